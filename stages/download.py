"""The stage `download`: fetches the corpus and the encoder, the only one with network."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from stages.contract.command import command
from stages.contract.errors import StageError
from stages.contract.hashing import digests, sha256
from stages.contract.outs import whole
from stages.fetching.encoder import fetch_encoder
from stages.fetching.file import fetch
from stages.fetching.growing import GROWING, copy_growing
from stages.params.download import Download

LINE_BYTES = 2**16  # bounds what is read of a file without lines


def download(
    params: Download, corpus: Path, encoder: Path, inputs: Path = Path("inputs")
) -> dict[str, Any]:
    """Writes the folders `corpus` and `encoder`, both or neither.

    `corpus` has train, test, dev if there is one, each with the ending of its first source, the
    files of plain text as `text.0` and so on, and source.json: hashes, counts, name and licence of
    the files, but not their mirrors, which may differ from run to run. Every file is checked before
    it takes its place. With a growing source the folder `growing` in it has the files that were
    taken to `inputs`.

    Returns:
        Measurements: `mirror`, `bytes_fetched` and `seconds` of each file.

    Raises:
        StageError: a file could not be fetched, or is the wrong one; existing folders are kept.
    """
    try:
        with whole(corpus, encoder) as [corpus_out, encoder_out]:
            corpus_out.mkdir()
            files = {
                params.files[name]: fetch(
                    source,
                    corpus_out / params.files[name],
                    timeout_s=params.timeout_s,
                    attempts=params.attempts,
                    remedy=f"try again, or add a mirror or a copy to download.{name}.sources",
                )
                for name, source in params.fetched.items()
            }
            files |= fetch_encoder(params, encoder_out)
            added = copy_growing(inputs / GROWING, corpus_out / GROWING) if params.growing else {}
            source = describe(params, corpus_out, encoder_out) | added
            (corpus_out / "source.json").write_text(
                json.dumps(source, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
            )
            for path in [*corpus_out.rglob("*"), *encoder_out.iterdir()]:
                path.chmod(0o755 if path.is_dir() else 0o644)  # independent of the umask
    except OSError as error:
        raise StageError(f"{error.filename or corpus}: {error.strerror or error}") from None
    return {"files": files}


def describe(params: Download, corpus: Path, encoder: Path) -> dict[str, Any]:
    """The content of source.json, for the files in these folders."""
    files = {
        name: digests(corpus / file) | (_counts(corpus / file) if name in params.splits else {})
        for name, file in params.files.items()
    }
    origin = (
        {"hub_id": params.encoder.hub_id, "revision": params.encoder.revision}
        if params.encoder.folder is None
        else "folder"
    )
    return {
        "name": params.name,
        "language": params.language,
        "licence": params.licence,
        **files,
        "encoder": {
            "from": origin,
            "sha256": {p.name: sha256(p) for p in sorted(encoder.iterdir())},
        },
    }


def _counts(path: Path) -> dict[str, Any]:
    """Number of sentences, and of entities per type, in lines with B-, I- or O; else nothing.

    A line with a tab and only a token or only a tag, of which MSRA's train has 57, is in no entity.
    `align` reads every format strictly.
    """
    sentences, entities, before = 0, Counter[str](), b""
    with path.open("rb") as file:
        # Line by line: a list of all lines would be ten times as large as the file.
        while line := file.readline(LINE_BYTES):
            columns = [] if line.startswith(b"-DOCSTART-") else line.split()
            tag = b"O" if len(columns) == 1 and b"\t" in line else b"".join(columns[-1:])
            if tag not in (b"", b"O") and tag[:2] not in (b"B-", b"I-"):
                return {}
            sentences += bool(tag) and not before
            if tag[:2] == b"B-" or (tag[:2] == b"I-" and tag[2:] != before[2:]):
                entities[tag[2:].decode(errors="replace")] += 1
            before = tag
    return {"sentences": sentences, "entities": dict(sorted(entities.items()))}


def main() -> None:
    """Runs the stage in the current folder."""
    command(
        Download,
        lambda params: download(params, Path("data/corpus"), Path("data/encoder"), Path("inputs")),
        "Fetch the corpus and the encoder from their pinned sources.",
    )


if __name__ == "__main__":
    main()
