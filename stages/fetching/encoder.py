"""Fetches the pre-trained encoder, from the hub or a folder, and checks that its parts fit."""

import json
import shutil
import time
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from stages.contract.errors import StageError
from stages.contract.hashing import sha256
from stages.contract.section import expanded
from stages.fetching.file import fetch
from stages.fetching.hub import REMEDY, on_the_hub
from stages.fetching.vocabulary import (
    ADDED_TOKENS,
    SPECIAL_TOKENS,
    TOKENIZER,
    TOKENIZER_CONFIG,
    VOCABULARY,
    rows_needed,
)
from stages.params.download import Download, Encoder

CONFIG, WEIGHTS = "config.json", "model.safetensors"
SENTENCEPIECE = "*.model"
TAKEN = (
    *(CONFIG, WEIGHTS, TOKENIZER, VOCABULARY, ADDED_TOKENS, SENTENCEPIECE),
    *(TOKENIZER_CONFIG, SPECIAL_TOKENS),
)
Measured = dict[str, dict[str, Any]]


def fetch_encoder(params: Download, out: Path) -> Measured:
    """Creates the folder `out` with the encoder's files, and no others of its source.

    Returns:
        Measurements by file name: `mirror`, `bytes_fetched`, `seconds`.

    Raises:
        StageError: the source cannot be read, lacks a file, has its weights only as a pickle, has
            weights although `from_scratch` (or the reverse); a file has another hash than expected;
            the parts do not fit each other.
    """
    encoder = params.encoder
    out.mkdir()
    if encoder.hub_id is not None:
        where, measured = _from_hub(encoder.hub_id, params, out)
    else:
        where, measured = _from_folder(encoder, out)
    for name, expected in encoder.sha256.items():
        found = sha256(out / name)
        if found != expected:
            raise StageError(
                f"{where}: {name} has sha256 {found}, download.encoder.sha256 expects {expected}"
            )
    check_parts(out, where)
    return measured


def _from_hub(hub_id: str, params: Download, out: Path) -> tuple[str, Measured]:
    model = on_the_hub(hub_id, params.encoder, params.timeout_s, params.attempts)
    measured = {}
    for name in taken(model.files, params.encoder, model.where):
        source = model.files[name]
        if source is None:
            raise StageError(
                f"{model.where} has no hash of {name}: give one in download.encoder.sha256"
            )
        measured[name] = fetch(
            source,
            out / name,
            timeout_s=params.timeout_s,
            attempts=params.attempts,
            remedy=f"it belongs to {model.where}: {REMEDY}",
            headers=model.headers,
        )
    return model.where, measured


def _from_folder(encoder: Encoder, out: Path) -> tuple[str, Measured]:
    written = encoder.folder or ""
    where = f"download.encoder.folder {written}"
    folder = Path(expanded(written))
    if not folder.is_dir():
        raise StageError(f"{where}: {folder.absolute()} is not a folder")
    measured = {}
    for name in taken([path.name for path in folder.iterdir() if path.is_file()], encoder, where):
        started = time.monotonic()
        # Follows links, which the hub's own cache consists of.
        shutil.copyfile(folder / name, out / name)
        measured[name] = {
            "mirror": written,
            "bytes_fetched": (out / name).stat().st_size,
            "seconds": round(time.monotonic() - started, 3),
        }
    return where, measured


def taken(names: Iterable[str], encoder: Encoder, where: str) -> list[str]:
    """The files to take from `names`, after checking that they suffice.

    Raises:
        StageError: they lack a file, have their weights only as a pickle, or have weights although
            `from_scratch` (or the reverse).
    """
    names = set(names)
    chosen = {n for n in names if "/" not in n and any(fnmatchcase(n, p) for p in TAKEN)}
    pickles = {n for n in names if fnmatchcase(n, "pytorch_model*.bin")}
    if CONFIG not in chosen:
        raise StageError(f"{where} has no {CONFIG}: it is not a transformers model")
    if not any(fnmatchcase(n, p) for n in chosen for p in (VOCABULARY, TOKENIZER, SENTENCEPIECE)):
        raise StageError(
            f"{where} has no tokenizer: none of {VOCABULARY}, {TOKENIZER} and {SENTENCEPIECE}"
        )
    if encoder.from_scratch and (WEIGHTS in chosen or pickles):
        raise StageError(
            f"{where} has weights, but download.encoder.from_scratch is true: set it to false, or "
            "name a folder without weights"
        )
    if not encoder.from_scratch and WEIGHTS not in chosen:
        raise StageError(
            f"{where} has its weights only as a pickle, which can run any code when loaded: take a"
            f" revision or a copy that has {WEIGHTS}"
            if pickles
            else f"{where} has no {WEIGHTS}: add it or set download.encoder.from_scratch: true"
        )
    if unknown := encoder.sha256.keys() - chosen:
        raise StageError(
            f"download.encoder.sha256 names {', '.join(sorted(unknown))}, which {where} lacks; "
            f"it has {', '.join(sorted(chosen))}"
        )
    return sorted(chosen)


def check_parts(folder: Path, where: str) -> None:
    """Checks that config, weights and tokenizer can be read and belong together.

    Needs neither torch nor transformers. The size of a SentencePiece model is not checked.

    Raises:
        StageError: a file is empty or broken; the embedding has no row for a token, or other rows
            than the config says; the tokenizer lacks a special token, or its two files differ.
    """
    for path in sorted(folder.iterdir()):
        if not path.stat().st_size:
            raise StageError(f"{where}: {path.name} is empty: copy it again")
    try:
        vocab_size = int(json.loads((folder / CONFIG).read_bytes())["vocab_size"])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise StageError(
            f"{where}: {CONFIG} is not JSON with a number vocab_size: copy it again"
        ) from None
    if (folder / WEIGHTS).exists():
        _check_weights(folder / WEIGHTS, vocab_size, where)
    tokens = rows_needed(folder, where)
    if tokens > vocab_size:
        raise StageError(
            f"{where}: its tokenizer has {tokens} tokens, more than vocab_size {vocab_size} in "
            f"{CONFIG}: take both from one model"
        )


def _check_weights(path: Path, vocab_size: int, where: str) -> None:
    try:
        # Reads the header, which gives the length of the file.
        with safe_open(path, framework="numpy") as weights:
            rows = {
                name: weights.get_slice(name).get_shape()[0]
                for name in weights.keys()  # noqa: SIM118
                if name.endswith("word_embeddings.weight")
            }
    except SafetensorError as error:
        raise StageError(
            f"{where}: {path.name} is not a complete safetensors file ({error}): copy it again; "
            "in a git clone, with git-lfs"
        ) from None
    for name, count in rows.items():
        if count != vocab_size:
            raise StageError(
                f"{where}: {name} in {path.name} has {count} rows, but vocab_size in {CONFIG} is"
                f" {vocab_size}: take both from one model"
            )
