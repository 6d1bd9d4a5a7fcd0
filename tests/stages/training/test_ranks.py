import pytest
import torch

from stages.contract.errors import StageError
from stages.training.ranks import Ranks, process_count, process_group, run

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def no_torchrun(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "PET_NNODES"):
        monkeypatch.delenv(name, raising=False)


def test_how_many_process_count():
    assert [process_count(gpus, CPU) for gpus in ("auto", 1, 2)] == [1, 1, 2]
    found = torch.cuda.device_count()
    assert process_count("auto", GPU) == found
    with pytest.raises(StageError) as error:
        process_count(found + 1, GPU)
    assert str(error.value) == (
        f"train.gpus is {found + 1}, but {found} are visible: lower it or set it to auto"
    )


def test_alone_it_is_the_first_of_one_and_nothing_is_wrapped():
    with process_group(CPU) as ranks:
        assert ranks == Ranks(0, 1)
        assert ranks.first
        assert ranks.broadcast("f1") == "f1"
        assert ranks.all_equal(3)
        assert ranks.mean(torch.tensor(0.5)) == 0.5
        model = torch.nn.Linear(2, 2)
        assert ranks.wrap(model) is model
        assert not torch.distributed.is_initialized()


def test_one_process_is_this_one():
    assert run(1, "no.such.module", lambda: {"seconds": 1}) == {"seconds": 1}


def test_only_rank_0_measures(monkeypatch):
    for rank, measured in (("0", {"seconds": 1}), ("1", None)):
        monkeypatch.setenv("RANK", rank)
        assert run(2, "no.such.module", lambda: {"seconds": 1}) == measured
