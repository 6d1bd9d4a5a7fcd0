"""Names and hashes the files of an exported model."""

from pathlib import Path

from stages.contract.hashing import sha256

MODEL = "model.onnx"


def files_sha256(folder: Path) -> str:
    """SHA-256 over model.onnx and its weight files, if it has any.

    Raises:
        FileNotFoundError: `folder` has no model.onnx.
    """
    return sha256(folder / MODEL, *sorted(folder.glob(f"{MODEL}.*")))
