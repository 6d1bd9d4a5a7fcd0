"""The files that an exported model consists of."""

import hashlib
from pathlib import Path

MODEL = "model.onnx"


def files_sha256(folder: Path) -> str:
    """SHA-256 over model.onnx and, where there are any, the files of weights beside it.

    Raises:
        FileNotFoundError: no model.onnx there.
    """
    digest = hashlib.sha256()
    for path in [folder / MODEL, *sorted(folder.glob(f"{MODEL}.*"))]:
        with path.open("rb") as file:
            while part := file.read(2**20):
                digest.update(part)
    return digest.hexdigest()
