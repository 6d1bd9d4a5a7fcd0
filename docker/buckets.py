"""Copies the buckets of compose.yaml's store into a folder, or back, for `docker/team`."""

import os
import sys
from pathlib import Path

import s3fs


def main(way: str, folder: Path) -> None:
    """`way` is `get` or `put`; each bucket of NER_BUCKETS is a folder below `folder`."""
    store = s3fs.S3FileSystem()
    for bucket in os.environ["NER_BUCKETS"].split():
        copy = folder / bucket
        if way == "get":
            copy.mkdir(parents=True)
            if store.ls(bucket):
                store.get(f"{bucket}/", f"{copy}/", recursive=True)
        else:
            store.makedirs(bucket, exist_ok=True)
            if any(copy.iterdir()):
                store.put(f"{copy}/", f"{bucket}/", recursive=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
