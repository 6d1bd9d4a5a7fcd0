"""The aligned data that training reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from stages.text.labels import Labels
from stages.text.windows_table import Aligned, read_aligned


@dataclass(frozen=True)
class Data:
    """The training and dev splits, and the labels of both."""

    train: Aligned
    dev: Aligned
    labels: Labels

    @classmethod
    def read(cls, aligned: Path) -> Self:
        """Reads what `align` wrote.

        Raises:
            StageError: a file is missing.
        """
        train, dev = (read_aligned(aligned / f"{split}.parquet") for split in ("train", "dev"))
        return cls(train, dev, Labels.read(aligned))

    @property
    def lengths(self) -> list[int]:
        """Of the training windows, in tokens."""
        return [len(ids) for ids in self.train.input_ids]
