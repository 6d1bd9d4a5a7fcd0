import pytest

from stages.contract.errors import StageError
from tests.stages.tiny import FILLER, align_text, tagged, write_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture
def split(tmp_path, encoder):
    """The texts of train and dev, in order."""

    def split(train, **changes):
        result = align_text(tmp_path, encoder, train=train, **changes)
        return [
            ["".join(cells) for cells in result.splits[name].sentence_cells()]
            for name in ("train", "dev")
        ]

    return split


DIFFERENT = [tagged(f"{number:03}") for number in range(100)]
# 40 texts: of 0 one copy, of 1 two, of 2 three, of 3 one ...
REPEATED = [tagged(f"{n:03}") for copy in range(3) for n in range(40) if n % 3 >= copy]


@pytest.mark.parametrize("wanted", [1, 10, 99])
def test_dev_is_as_large_as_asked_and_shares_nothing(split, wanted):
    train, dev = split(DIFFERENT, dev_sentences=wanted)
    assert len(dev) == wanted
    assert sorted(train + dev) == [f"{n:03}" for n in range(100)]
    assert train == sorted(train)
    assert dev == sorted(dev)


def test_seed(split):
    first = split(DIFFERENT, dev_sentences=10, seed=1)
    assert split(DIFFERENT, dev_sentences=10, seed=1) == first
    assert split(DIFFERENT, dev_sentences=10, seed=2) != first


def test_neighbours_are_held_out_together(split):
    train, dev = split(DIFFERENT, dev_sentences=20, dev_block_sentences=5)
    assert len(dev) == 20
    starts = dev[::5]
    assert all(int(start) % 5 == 0 for start in starts)
    assert dev == [f"{int(start) + n:03}" for start in starts for n in range(5)]
    assert not set(train) & set(dev)


def test_what_neighbours_repeat_elsewhere_is_held_out_with_them(split):
    train, dev = split(REPEATED, dev_sentences=20, dev_block_sentences=10)
    assert not set(train) & set(dev)
    assert len(train) + len(dev) == len(REPEATED)
    assert 20 <= len(dev) <= 49


@pytest.mark.parametrize("seed", range(5))
def test_repeated_sentences_stay_together(split, seed):
    train, dev = split(REPEATED, dev_sentences=20, seed=seed)
    assert not set(train) & set(dev)
    assert sorted(train + dev) == sorted("".join(c for c, _ in rows) for rows in REPEATED)
    assert 20 <= len(dev) <= 22  # the last text may have three copies


def test_repeated_sentences_with_other_tags_stay_together(split):
    train = [*(tagged("北京", (0, 2, t)) for t in ("LOC", "ORG", "PER")), *FILLER]
    for seed in range(5):
        sides = split(train, dev_sentences=2, seed=seed)
        assert sorted(side.count("北京") for side in sides) == [0, 3]


@pytest.mark.parametrize("wanted", [5, 6, 2500])
def test_too_few_sentences(split, wanted):
    with pytest.raises(StageError) as error:
        split(FILLER, dev_sentences=wanted)
    assert str(error.value) == (
        f"train has 5 sentences, too few to hold out align.dev_sentences = {wanted} in blocks of"
        " align.dev_block_sentences = 1; lower them"
    )


def test_train_sentences(split):
    everything, dev = split(DIFFERENT, dev_sentences=10)
    some, same_dev = split(DIFFERENT, dev_sentences=10, train_sentences=20)
    assert same_dev == dev
    assert len(some) == 20
    assert some == sorted(some)
    assert set(some) < set(everything)
    assert some != everything[:20]  # chosen from all over
    assert split(DIFFERENT, dev_sentences=10, train_sentences=20)[0] == some
    assert split(DIFFERENT, dev_sentences=10, train_sentences=20, seed=2)[0] != some
    for many in (90, 1000):
        assert split(DIFFERENT, dev_sentences=10, train_sentences=many) == [everything, dev]
