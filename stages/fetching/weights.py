"""Checks an encoder's weights, in one file or in shards, without torch."""

import json
from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path

from safetensors import SafetensorError, safe_open

from stages.contract.errors import StageError

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD, PICKLE = "model-*-of-*.safetensors", "pytorch_model*.bin"
# How the tensor with a row a token is called: in BERT and most, ModernBERT, EuroBERT.
EMBEDDINGS = ("word_embeddings.weight", "tok_embeddings.weight", "embed_tokens.weight")


def weights_of(names: Collection[str]) -> set[str]:
    """The files among `names` that may have weights: one for all, or the shards."""
    if WHOLE in names:
        return {WHOLE}
    return {name for name in names if fnmatchcase(name, SHARD)} if INDEX in names else set()


def named_weights(folder: Path, names: Collection[str], where: str) -> set[str]:
    """The same, but of shards only those that the index in `folder` names.

    Raises:
        StageError: one of them is not among `names`, or the index is broken.
    """
    if WHOLE in names or INDEX not in names:
        return weights_of(names)
    named = set(_tensors(folder, where).values())
    if missing := named - weights_of(names):
        raise StageError(
            f"{where} has no {', '.join(sorted(missing))}, which {INDEX} names: copy all shards"
        )
    return named


def check_weights(folder: Path, vocab_size: int, where: str) -> None:
    """Checks that the files in `folder` are whole and have an embedding of `vocab_size` rows.

    Raises:
        StageError: a file is broken, a shard is missing or lacks a tensor that the index says it
            has, or the embedding has other rows.
    """
    names = {path.name for path in folder.iterdir()}
    found = {
        file: _rows(folder / file, where) for file in sorted(named_weights(folder, names, where))
    }
    if WHOLE not in found and INDEX in names:
        for tensor, file in _tensors(folder, where).items():
            if tensor not in found[file]:
                raise StageError(
                    f"{where}: {file} has no {tensor}, which {INDEX} says it has: take all shards"
                    " from one model"
                )
    for file, rows in found.items():
        for tensor, count in rows.items():
            if tensor.endswith(EMBEDDINGS) and count != vocab_size:
                raise StageError(
                    f"{where}: {tensor} in {file} has {count} rows, but vocab_size in config.json"
                    f" is {vocab_size}: take both from one model"
                )


def _tensors(folder: Path, where: str) -> dict[str, str]:
    """The shard of each tensor, as the index says."""
    try:
        shards: dict[str, str] = json.loads((folder / INDEX).read_bytes())["weight_map"]
        if shards and all(isinstance(name, str) for name in shards.values()):
            return shards
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    raise StageError(f"{where}: {INDEX} is not JSON with a weight_map: copy it again")


def _rows(path: Path, where: str) -> dict[str, int]:
    """The first dimension of each tensor, 0 of a scalar."""
    try:
        # Reads the header, which gives the length of the file.
        with safe_open(path, framework="numpy") as weights:
            return {
                name: (weights.get_slice(name).get_shape() or [0])[0]
                for name in weights.keys()  # noqa: SIM118
            }
    except SafetensorError as error:
        raise StageError(
            f"{where}: {path.name} is not a complete safetensors file ({error}): copy it again; "
            "in a git clone, with git-lfs"
        ) from None
