"""The files of an encoder, and whether they fit each other."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from stages.contract.errors import StageError

CONFIG, WEIGHTS = "config.json", "model.safetensors"
TOKENIZER, VOCABULARY, ADDED_TOKENS = "tokenizer.json", "vocab.txt", "added_tokens.json"
SENTENCEPIECE = "*.model"


def check_parts(folder: Path, where: str) -> None:
    """Checks that config, weights and tokenizer can be read and belong together.

    Neither torch nor transformers is needed; of SentencePiece models the size is not checked.

    Raises:
        StageError: a file is empty or broken, or the tokenizer knows more tokens than the config.
    """
    for path in sorted(folder.iterdir()):
        if not path.stat().st_size:
            raise StageError(f"{where}: {path.name} is empty: copy it anew")
    try:
        vocab_size = int(json.loads((folder / CONFIG).read_bytes())["vocab_size"])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise StageError(f"{where}: {CONFIG} is not JSON with a number vocab_size") from None
    if (folder / WEIGHTS).exists():
        _check_weights(folder / WEIGHTS, where)
    tokens = _tokens(folder, where)
    if tokens > vocab_size:
        raise StageError(
            f"{where}: its tokenizer has {tokens} tokens, more than vocab_size {vocab_size} in "
            f"{CONFIG}: take both from one model"
        )


def _check_weights(path: Path, where: str) -> None:
    try:
        # Reads the header, which says how long the file has to be.
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as error:
        raise StageError(
            f"{where}: {path.name} is no whole safetensors file ({error}): copy it anew, with "
            "git-lfs if by git"
        ) from None


def _tokens(folder: Path, where: str) -> int:
    """Rows that the embedding needs; 0 where that cannot be told."""
    try:
        if (folder / TOKENIZER).exists():
            ids = list(Tokenizer.from_file(str(folder / TOKENIZER)).get_vocab().values())
        elif (folder / VOCABULARY).exists():
            ids = list(range(len((folder / VOCABULARY).read_bytes().splitlines())))
            if (folder / ADDED_TOKENS).exists():
                ids += json.loads((folder / ADDED_TOKENS).read_bytes()).values()
        else:
            return 0
        return max(ids) + 1
    except Exception as error:  # tokenizers raises just that
        raise StageError(f"{where}: its tokenizer cannot be read ({error})") from None
