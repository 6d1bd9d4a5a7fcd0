"""The files of an encoder, and whether they fit each other."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from tokenizers.models import WordPiece

from stages.errors import StageError

CONFIG, WEIGHTS = "config.json", "model.safetensors"
TOKENIZER, VOCABULARY, ADDED_TOKENS = "tokenizer.json", "vocab.txt", "added_tokens.json"
SENTENCEPIECE = "*.model"


def check_parts(folder: Path, where: str) -> None:
    """Checks that config, weights and tokenizer can be read and belong together.

    Neither torch nor transformers is needed; of SentencePiece models the size is not checked.

    Raises:
        StageError: a file is empty or broken, the tokenizer knows more tokens than the config, or
            its two files differ.
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
        vocabulary = folder / VOCABULARY
        lines = vocabulary.read_bytes().splitlines() if vocabulary.exists() else []
        if (folder / TOKENIZER).exists():
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
            if lines and isinstance(tokenizer.model, WordPiece):
                _check_same(tokenizer.get_vocab(with_added_tokens=False), lines, where)
            ids = list(tokenizer.get_vocab().values())
        elif lines:
            ids = list(range(len(lines)))
            if (folder / ADDED_TOKENS).exists():
                ids += json.loads((folder / ADDED_TOKENS).read_bytes()).values()
        else:
            return 0
        return max(ids) + 1
    except StageError:
        raise
    except Exception as error:  # tokenizers raises just that
        raise StageError(f"{where}: its tokenizer cannot be read ({error})") from None


def _check_same(ids: dict[str, int], lines: list[bytes], where: str) -> None:
    """Of the two transformers reads tokenizer.json: a change of vocab.txt alone would be lost."""
    listed = {line.decode(): number for number, line in enumerate(lines)}
    if different := listed.items() ^ ids.items():
        token, _ = min(different, key=lambda item: (item[1], item[0]))
        raise StageError(
            f"{where}: {TOKENIZER} and {VOCABULARY} differ: {token!r} is {ids.get(token, 'not')} in"
            f" the first and {listed.get(token, 'not')} in the second; take both from one model, or"
            " name in download.encoder.folder a copy with the right one alone"
        )
