"""IOB2 tags, their label numbers, and `labels.json`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ..contract.errors import StageError

Cells = Literal["characters", "words"]
"""What has one tag each."""

IGNORED = -100
"""Label of a token that is not scored: cross-entropy's `ignore_index` in torch."""


@dataclass(frozen=True)
class Labels:
    """`labels.json`: how text becomes token ids and labels, for later stages and the tagger."""

    tags: list[str]
    """A label is the index of its tag: O, then B- and I- of each type."""
    window_tokens: int
    window_overlap_tokens: int
    cls_id: int
    sep_id: int
    unknown_id: int
    cells: Cells = "characters"  # older models' labels.json has no such key

    def write(self, folder: Path) -> None:
        """Writes `folder`/labels.json."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (folder / "labels.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Labels":
        """Reads `folder`/labels.json.

        Raises:
            StageError: there is no such file.
        """
        path = folder / "labels.json"
        if not path.is_file():
            raise StageError(f"{path} is not here: run `dvc repro` first")
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def iob2_tags(types: Sequence[str]) -> list[str]:
    """`["PER"]` → `["O", "B-PER", "I-PER"]`."""
    return ["O", *(f"{prefix}-{type_}" for type_ in types for prefix in "BI")]


def follows(tag: str, before: str) -> bool:
    """Whether IOB2 allows `tag` right after `before`: I-X follows B-X and I-X only."""
    return not tag.startswith("I-") or before[1:] == tag[1:]
