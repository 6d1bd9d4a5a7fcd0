"""Checks an encoder's tokenizer files, without transformers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import BPE, WordPiece

from stages.contract.errors import StageError

TOKENIZER, VOCABULARY, ADDED_TOKENS = "tokenizer.json", "vocab.txt", "added_tokens.json"
VOCABULARY_JSON, MERGES = "vocab.json", "merges.txt"
TOKENIZER_CONFIG, SPECIAL_TOKENS = "tokenizer_config.json", "special_tokens_map.json"
# By their keys in the two files above, as transformers calls them where these say nothing.
OF_BERT = {"unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"}
OF_ROBERTA = {"unk": "<unk>", "cls": "<s>", "sep": "</s>", "pad": "<pad>", "mask": "<mask>"}
OF_MPNET = OF_ROBERTA | {"unk": "[UNK]"}
NEEDED = ("unk", "cls", "sep")


def rows_needed(folder: Path, config: Mapping[str, Any], where: str) -> int:
    """Rows that the embedding needs for every token; of SentencePiece, at least so many.

    Raises:
        StageError: a file cannot be read; a line of vocab.txt is more than a token; there is none
            of the special tokens in it that every window has; tokenizer.json differs from it.
    """
    try:
        vocabulary = folder / VOCABULARY
        lines = vocabulary.read_bytes().splitlines() if vocabulary.exists() else []
        if (folder / TOKENIZER).exists():
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
            if lines and isinstance(tokenizer.model, WordPiece):
                _check_same(tokenizer.get_vocab(with_added_tokens=False), lines, where)
            ids = tokenizer.get_vocab()
            named = _special_tokens(folder, {})
        elif lines:
            ids = _listed(lines, where) | _added(folder)
            of_mpnet = config.get("model_type") == "mpnet"
            named = _special_tokens(folder, OF_MPNET if of_mpnet else OF_BERT)
            _check_special(ids, named, VOCABULARY, where)
        elif (folder / VOCABULARY_JSON).exists():
            model = BPE.from_file(str(folder / VOCABULARY_JSON), str(folder / MERGES))
            ids = Tokenizer(model).get_vocab() | _added(folder)
            named = _special_tokens(folder, OF_ROBERTA)
            _check_special(ids, named, VOCABULARY_JSON, where)
        else:
            ids = _pieces(folder) | _added(folder)
            # Either way of writing them; transformers adds those that are missing.
            defaults = {k: t if (t := OF_ROBERTA[k]) in ids else OF_BERT[k] for k in OF_BERT}
            named = _special_tokens(folder, defaults)
        # transformers adds those that are missing, after all others.
        missing = {*named.values()} - ids.keys()
        return max(ids.values()) + 1 + len(missing)
    except StageError:
        raise
    except Exception as error:  # tokenizers and sentencepiece raise no narrower class
        raise StageError(
            f"{where}: its tokenizer cannot be read ({error}): copy it again"
        ) from None


def _added(folder: Path) -> dict[str, int]:
    path = folder / ADDED_TOKENS
    added: dict[str, int] = json.loads(path.read_bytes()) if path.exists() else {}
    return added


def _pieces(folder: Path) -> dict[str, int]:
    """The tokens of the SentencePiece model in the folder."""
    from sentencepiece import SentencePieceProcessor  # 0.1 s

    [path, *_] = sorted(folder.glob("*.model"))
    model = SentencePieceProcessor(model_proto=path.read_bytes())
    return {model.id_to_piece(id_): id_ for id_ in range(model.get_piece_size())}


def _special_tokens(folder: Path, defaults: dict[str, str]) -> dict[str, str]:
    """The special tokens by kind, `defaults` where the encoder's files name none."""
    named = dict(defaults)
    for name in (SPECIAL_TOKENS, TOKENIZER_CONFIG):  # the last counts
        path = folder / name
        said: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
        for kind in OF_BERT:
            token = said.get(f"{kind}_token")
            if token is not None:
                named[kind] = token["content"] if isinstance(token, dict) else token
    return named


def _listed(lines: list[bytes], where: str) -> dict[str, int]:
    for number, line in enumerate(lines, 1):
        if b"\t" in line:
            raise StageError(
                f"{where}: {VOCABULARY} line {number} is {line.decode()[:40]!r}, but a line is one"
                f" token, and its number is the line's; remove the tab and what follows:"
                f" `cut -f1`, if the lines are in the order of the numbers"
            )
    return {line.decode(): number for number, line in enumerate(lines)}


def _check_special(ids: dict[str, int], named: dict[str, str], file: str, where: str) -> None:
    lacking = [named[kind] for kind in NEEDED if named[kind] not in ids]
    if lacking:
        raise StageError(
            f"{where}: {file} has no {', '.join(lacking)}, which every text needs; take the"
            f" vocabulary that belongs to the weights, or name its tokens in {TOKENIZER_CONFIG}"
        )


def _check_same(ids: dict[str, int], lines: list[bytes], where: str) -> None:
    """Checks that both files have the same tokens.

    transformers reads tokenizer.json, so an edit of vocab.txt alone would have no effect.
    """
    listed = {line.decode(): number for number, line in enumerate(lines)}
    if different := listed.items() ^ ids.items():
        token, _ = min(different, key=lambda item: (item[1], item[0]))
        raise StageError(
            f"{where}: {TOKENIZER} and {VOCABULARY} differ: {token!r} is {ids.get(token, 'not')} in"
            f" the first and {listed.get(token, 'not')} in the second; take both from one model, or"
            " set download.encoder.folder to a copy that has only the right one"
        )
