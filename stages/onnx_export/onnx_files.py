"""Names and hashes the files of an exported model."""

import hashlib
from pathlib import Path

MODEL = "model.onnx"


def files_sha256(folder: Path) -> str:
    """SHA-256 over model.onnx and its weight files, if it has any.

    Raises:
        FileNotFoundError: `folder` has no model.onnx.
    """
    digest = hashlib.sha256()
    for path in [folder / MODEL, *sorted(folder.glob(f"{MODEL}.*"))]:
        with path.open("rb") as file:
            while part := file.read(2**20):
                digest.update(part)
    return digest.hexdigest()
