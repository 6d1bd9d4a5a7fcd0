"""Reads a corpus of any format from its text."""

from pathlib import Path
from typing import Any

import pytest

from stages.contract.errors import StageError
from stages.corpus.corpus import Corpus
from stages.corpus.formats.read import read_corpus
from stages.params.align import Align
from tests.stages.tiny import PARAMS


def align_params(**changes: Any) -> Align:
    return Align.model_validate(PARAMS | {"types": None} | changes)


def read(path: Path, text: str, repair: bool = True, **changes: Any) -> Corpus:
    path.write_bytes(text.encode())
    return read_corpus(path, align_params(**changes), repair)


@pytest.fixture
def refused(tmp_path):
    """The sentence with which it is refused, without the folder."""

    def refused(text: str, repair: bool = False, **changes: Any) -> str:
        with pytest.raises(StageError) as error:
            read(tmp_path / "test.txt", text, repair, **changes)
        message = str(error.value)
        assert "\n" not in message
        assert message.startswith(f"{tmp_path}/test.txt")
        return message.removeprefix(f"{tmp_path}/")

    return refused
