"""The files that an exported model consists of."""

from pathlib import Path

from stages.contract.hashing import sha256

MODEL = "model.onnx"


def files_sha256(folder: Path) -> str:
    """SHA-256 over model.onnx and, where there are any, the files of weights beside it.

    Raises:
        FileNotFoundError: no model.onnx there.
    """
    return sha256(folder / MODEL, *sorted(folder.glob(f"{MODEL}.*")))
