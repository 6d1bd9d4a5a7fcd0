import numpy as np
import pytest
from transformers import BertConfig, BertForTokenClassification

from stages.training.batches import (
    as_batches,
    decay_groups,
    one_ahead,
    plan_steps,
    seed_of,
    share_of,
)

pytestmark = pytest.mark.usefixtures("one_thread")
LENGTHS = np.random.default_rng(5).integers(3, 65, size=700).tolist()


def model():
    config = BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, num_labels=5,
    )  # fmt: skip
    return BertForTokenClassification(config)


def test_only_matrices_decay():
    made = model()
    groups = decay_groups(made, 0.5, 0.1)
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0] * 3
    assert {group["lr"] for group in groups} == {0.5}
    names = {id(p): name for name, p in made.named_parameters()}
    in_groups = [
        [names.pop(id(p)) for group in groups[kind::2] for p in group["params"]] for kind in (0, 1)
    ]
    assert names == {}
    assert {name.rpartition(".")[2] for name in in_groups[0]} == {"weight"}
    assert not any("LayerNorm" in name for name in in_groups[0])
    assert all(name.endswith(".bias") or "LayerNorm" in name for name in in_groups[1])


def test_what_is_nearer_to_the_input_learns_more_slowly():
    made = model()
    names = {id(p): name for name, p in made.named_parameters()}
    rates = {
        names[id(p)]: group["lr"]
        for group in decay_groups(made, 1.0, 0.1, 0.5)
        for p in group["params"]
    }
    assert rates.keys() == {*names.values()}
    assert {rate for name, rate in rates.items() if ".embeddings." in name} == {0.25}
    assert {rate for name, rate in rates.items() if ".layer.0." in name} == {0.5}
    assert {rate for name, rate in rates.items() if ".layer.1." in name} == {1.0}
    assert rates["classifier.weight"] == rates["classifier.bias"] == 1.0


@pytest.mark.parametrize("tokens_per_step", [64, 200, 512, 4096])
def test_every_window_once_an_epoch_in_steps_of_one_shape(tokens_per_step):
    steps = plan_steps(LENGTHS, 3, tokens_per_step, 64, seed=1)
    assert {len(step) for step in steps} == {tokens_per_step // 64}
    windows = [i for step in steps for row in step for i in row]
    for epoch in range(3):
        assert sorted(windows[700 * epoch : 700 * (epoch + 1)]) == list(range(700))
    filled = [sum(bool(row) for row in step) for step in steps]
    assert min(filled) >= max(filled) - 1


@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
def test_ranks_share_the_rows_of_a_step(ranks):
    rows = [[number] for number in range(7)]
    shares = [share_of(rows, rank, ranks) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    assert sorted(row for share in shares for row in share if row) == rows
    assert sum(not row for share in shares for row in share) == -7 % ranks


def test_ranks_draw_dropout_of_their_own():
    assert seed_of(1, 2) == seed_of(1, 2, rank=0) != seed_of(1, 2, rank=1)


def test_epochs_and_seeds_differ():
    steps = plan_steps(LENGTHS, 2, 512, 64, seed=1)
    assert steps == plan_steps(LENGTHS, 2, 512, 64, seed=1)
    assert steps != plan_steps(LENGTHS, 2, 512, 64, seed=2)
    assert steps[: len(steps) // 2] != steps[len(steps) // 2 :]


def test_batches_have_one_shape_and_hold_every_label(rows_of):
    data, rows = rows_of(row_tokens=16)
    batches = as_batches(data, rows, rows_per_batch=2, row_tokens=16, first=0)
    assert {batch.shape for batch in batches} == {(4, 2, 16)}
    assert len(batches) == -(-len(rows) // 2)
    labelled = sum(int((labels >= 0).sum()) for labels in data.labels)
    assert sum(int((batch[3] >= 0).sum()) for batch in batches) == labelled


def test_each_step_has_a_seed_of_its_own():
    assert len({seed_of(seed, step) for seed in range(20) for step in range(50)}) == 1000


def test_one_is_made_ahead_and_in_order():
    made = []
    for got in one_ahead(lambda i: made.append(i) or i * 10, range(5)):
        assert made[: got // 10 + 1] == list(range(got // 10 + 1))
        last = got
    assert (last, made) == (40, [0, 1, 2, 3, 4])


def test_what_fails_ahead_fails_here():
    with pytest.raises(ZeroDivisionError):
        list(one_ahead(lambda i: 1 // i, [1, 0]))
