"""Fetches the pre-trained encoder, from the hub or a folder, and checks that its parts fit."""

import json
import shlex
import shutil
import time
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from stages.contract.errors import StageError
from stages.contract.hashing import sha256
from stages.contract.section import expanded
from stages.fetching.family import check_family
from stages.fetching.file import fetch
from stages.fetching.hub import REMEDY, on_the_hub
from stages.fetching.vocabulary import (
    ADDED_TOKENS,
    MERGES,
    SPECIAL_TOKENS,
    TOKENIZER,
    TOKENIZER_CONFIG,
    VOCABULARY,
    VOCABULARY_JSON,
    rows_needed,
)
from stages.fetching.weights import (
    INDEX,
    PICKLE,
    WHOLE,
    check_weights,
    named_weights,
    weights_of,
)
from stages.params.download import Download, Encoder

CONFIG = "config.json"
SENTENCEPIECE = "*.model"
SMALL = (
    *(CONFIG, TOKENIZER, VOCABULARY, VOCABULARY_JSON, MERGES, ADDED_TOKENS, SENTENCEPIECE),
    *(TOKENIZER_CONFIG, SPECIAL_TOKENS),
)
Measured = dict[str, dict[str, Any]]
Bring = Callable[[str], dict[str, Any]]


def fetch_encoder(params: Download, out: Path) -> Measured:
    """Creates the folder `out` with the encoder's files, and no others of its source.

    The config comes first and the weights last, each after the check of what came before: an
    encoder that cannot be trained costs seconds.

    Returns:
        Measurements by file name: `mirror`, `bytes_fetched`, `seconds`.

    Raises:
        StageError: the source cannot be read, lacks a file, has its weights only as a pickle, has
            weights although `from_scratch` (or the reverse); a file has another hash than expected;
            the encoder is of no family that can be trained; the parts do not fit each other.
    """
    encoder = params.encoder
    out.mkdir()
    if encoder.hub_id is not None:
        where, names, bring = _from_hub(encoder.hub_id, params, out)
    else:
        where, names, bring = _from_folder(encoder, out)
    measured: Measured = {}

    def take(some: Iterable[str]) -> None:
        for name in sorted(some):
            measured[name] = bring(name)
            expected = encoder.sha256.get(name)
            if expected and (found := sha256(out / name)) != expected:
                raise StageError(
                    f"{where}: {name} has sha256 {found}, download.encoder.sha256 expects"
                    f" {expected}"
                )

    first = names & {CONFIG, TOKENIZER_CONFIG}
    take(first)
    config = _checked_config(out, names, where)
    take(names - first - weights_of(names))
    _check_tokenizer(out, config, where)
    take(named_weights(out, names, where))
    _check_weights(out, config, where)
    return measured


def _from_hub(hub_id: str, params: Download, out: Path) -> tuple[str, set[str], Bring]:
    model = on_the_hub(hub_id, params.encoder, params.timeout_s, params.attempts)

    def bring(name: str) -> dict[str, Any]:
        source = model.files[name]
        if source is None:
            raise StageError(
                f"{model.where} has no hash of {name}: give one in download.encoder.sha256"
            )
        return fetch(
            source,
            out / name,
            timeout_s=params.timeout_s,
            attempts=params.attempts,
            remedy=f"it belongs to {model.where}: {REMEDY}",
            headers=model.headers,
        )

    return model.where, taken(model.files, params.encoder, model.where), bring


def _from_folder(encoder: Encoder, out: Path) -> tuple[str, set[str], Bring]:
    written = encoder.folder or ""
    where = f"download.encoder.folder {written}"
    folder = Path(expanded(written))
    if not folder.is_dir():
        raise StageError(f"{where}: {folder.absolute()} is not a folder")

    def bring(name: str) -> dict[str, Any]:
        started = time.monotonic()
        # Follows links, which the hub's own cache consists of.
        shutil.copyfile(folder / name, out / name)
        return {
            "mirror": written,
            "bytes_fetched": (out / name).stat().st_size,
            "seconds": round(time.monotonic() - started, 3),
        }

    names = [path.name for path in folder.iterdir() if path.is_file()]
    return where, taken(names, encoder, where), bring


def taken(names: Iterable[str], encoder: Encoder, where: str) -> set[str]:
    """The files to take from `names`, after checking that they suffice.

    Raises:
        StageError: they lack a file, have their weights only as a pickle, or have weights although
            `from_scratch` (or the reverse).
    """
    names = set(names)
    chosen = {n for n in names if "/" not in n and any(fnmatchcase(n, p) for p in SMALL)}
    pickles = {n for n in names if fnmatchcase(n, PICKLE)}
    weights = weights_of(names)
    if CONFIG not in chosen:
        raise StageError(f"{where} has no {CONFIG}: it is not a transformers model")
    if not _has_tokenizer(chosen):
        raise StageError(
            f"{where} has no tokenizer: none of {TOKENIZER}, {VOCABULARY}, {VOCABULARY_JSON} with"
            f" {MERGES} and {SENTENCEPIECE}"
        )
    if encoder.from_scratch and (weights or pickles):
        raise StageError(
            f"{where} has weights, but download.encoder.from_scratch is true: set it to false, or "
            "name a folder without weights"
        )
    if not encoder.from_scratch and not weights:
        raise StageError(
            f"{where} has its weights only as a pickle, which can run any code when loaded:"
            f" {_conversion(encoder)}"
            if pickles
            else f"{where} has no {WHOLE}: add it or set download.encoder.from_scratch: true"
        )
    chosen |= weights | ({INDEX} & names if WHOLE not in weights else set())
    if unknown := encoder.sha256.keys() - chosen:
        raise StageError(
            f"download.encoder.sha256 names {', '.join(sorted(unknown))}, which {where} lacks; "
            f"it has {', '.join(sorted(chosen))}"
        )
    return chosen


def _has_tokenizer(names: set[str]) -> bool:
    if {VOCABULARY_JSON, MERGES} <= names:
        return True
    return any(fnmatchcase(n, p) for n in names for p in (VOCABULARY, TOKENIZER, SENTENCEPIECE))


def _conversion(encoder: Encoder) -> str:
    """How to get safetensors of a pickle."""
    command = "python -m stages.fetching.pickled"
    if encoder.hub_id is None:
        return f"convert it with `{command} {shlex.quote(expanded(encoder.folder or ''))}`"
    folder = f"encoders/{encoder.hub_id.rpartition('/')[2]}"
    return (
        f"set download.encoder.folder: {folder} after `hf download {encoder.hub_id} --revision"
        f" {encoder.revision} --local-dir {folder} && {command} {folder}`"
    )


def check_parts(folder: Path, where: str) -> None:
    """Checks that config, weights and tokenizer can be read and belong together.

    Needs neither torch nor transformers.

    Raises:
        StageError: a file is empty or broken; the encoder cannot be trained; the embedding has no
            row for a token, or other rows than the config says; the tokenizer lacks a special
            token, or its two files differ; a shard of the weights is missing.
    """
    config = _checked_config(folder, {path.name for path in folder.iterdir()}, where)
    _check_tokenizer(folder, config, where)
    _check_weights(folder, config, where)


def _checked_config(folder: Path, names: set[str], where: str) -> dict[str, Any]:
    _check_not_empty(folder, where)
    config, of_tokenizer = (_read(folder / name, where) for name in (CONFIG, TOKENIZER_CONFIG))
    if not isinstance(config.get("vocab_size"), int):
        raise StageError(f"{where}: {CONFIG} is not JSON with a number vocab_size: copy it again")
    check_family(config, of_tokenizer, TOKENIZER in names, where)
    return config


def _check_tokenizer(folder: Path, config: dict[str, Any], where: str) -> None:
    _check_not_empty(folder, where)
    tokens, rows = rows_needed(folder, config, where), config["vocab_size"]
    if tokens > rows:
        raise StageError(
            f"{where}: its tokenizer has {tokens} tokens, more than vocab_size {rows} in {CONFIG}:"
            " take both from one model"
        )


def _check_weights(folder: Path, config: dict[str, Any], where: str) -> None:
    _check_not_empty(folder, where)
    check_weights(folder, config["vocab_size"], where)


def _check_not_empty(folder: Path, where: str) -> None:
    for path in sorted(folder.iterdir()):
        if not path.stat().st_size:
            raise StageError(f"{where}: {path.name} is empty: copy it again")


def _read(path: Path, where: str) -> dict[str, Any]:
    """The object in a JSON file, empty if there is no such file."""
    try:
        said = json.loads(path.read_bytes()) if path.exists() else {}
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        more = " with a number vocab_size" if path.name == CONFIG else ""
        raise StageError(f"{where}: {path.name} is not JSON{more}: copy it again")
    return said
