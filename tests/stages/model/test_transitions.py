import json
import math

import numpy as np
import pytest

from stages.contract.errors import StageError
from stages.model.decode import Decoder
from stages.model.transitions import NAME, Transitions, allowed
from stages.text.labels import iob2_tags

TAGS = iob2_tags(["PER", "地点"])


@pytest.fixture
def written(tmp_path):
    scores = np.random.default_rng(0).standard_normal((len(TAGS), len(TAGS)), dtype=np.float32)
    table = np.where(allowed(TAGS), scores, -np.inf).astype(np.float32)
    made = Transitions(table[0] + np.float32(0.1), table)
    made.write(tmp_path, TAGS)
    return made


def test_what_is_written_is_read_to_the_bit(written, tmp_path):
    found = Decoder.read(tmp_path, TAGS).transitions
    for name in ("start", "scores"):
        ours = getattr(found, name)
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, getattr(written, name))


def test_the_file_names_tags_and_has_no_forbidden_pair(written, tmp_path):
    text = (tmp_path / NAME).read_text(encoding="utf-8")
    values = json.loads(text)
    assert list(values["start"]) == ["O", "B-PER", "B-地点"]
    assert list(values["after"]) == TAGS
    assert list(values["after"]["I-PER"]) == ["O", "B-PER", "I-PER", "B-地点"]
    assert "地点" in text
    assert max(len(line) for line in text.splitlines()) < 40
    assert math.isclose(values["start"]["O"], written.start[0], rel_tol=1e-6)


def test_without_the_file_the_head_is_linear(tmp_path):
    assert Decoder.read(tmp_path, TAGS) == Decoder(TAGS, None)


@pytest.mark.parametrize("tags", [TAGS[:3], [*TAGS, "B-ORG", "I-ORG"], iob2_tags(["PER", "LOC"])])
def test_of_other_tags_it_is_refused(written, tmp_path, tags):
    with pytest.raises(StageError) as error:
        Decoder.read(tmp_path, tags)
    assert str(error.value) == (
        f"{tmp_path}/transitions.json and labels.json have different tags: take both from one run"
    )
