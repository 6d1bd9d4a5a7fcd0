import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForTokenClassification

from stages.ner.aligned import Aligned
from stages.ner.steps import backward, decay_groups, plan_steps

pytestmark = pytest.mark.usefixtures("one_thread")
LENGTHS = np.random.default_rng(5).integers(3, 65, size=700).tolist()


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=5,
    )
    return BertForTokenClassification(config).eval()  # no dropout


@pytest.fixture(scope="module")
def data():
    """Five windows with differently many labelled tokens."""
    rng = np.random.default_rng(2)
    lengths = (3, 12, 7, 9, 4)
    labels = [rng.integers(0, 5, size=n) for n in lengths]
    for row in labels:
        row[[0, -1]] = -100
        row[1 : len(row) // 3] = -100
    return Aligned(
        sentence=list(range(5)),
        cells=[[]] * 5,
        input_ids=[rng.integers(1, 30, size=n) for n in lengths],
        labels=labels,
    )


def gradients(model, data, batches):
    model.zero_grad()
    loss = backward(model, data, batches, bf16=False)
    return loss, {name: p.grad.clone() for name, p in model.named_parameters()}


def test_the_loss_is_the_mean_over_labelled_tokens(model, data):
    loss, _ = gradients(model, data, [[0, 1], [2, 3, 4]])
    losses = []
    for ids, labels in zip(data.input_ids, data.labels, strict=True):  # alone: no padding
        logits = model(input_ids=torch.tensor(ids)[None]).logits[0]
        losses += [
            cross_entropy(logits[at], torch.tensor(label)).item()
            for at, label in enumerate(labels)
            if label >= 0
        ]
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("batches", [[[0], [1], [2], [3], [4]], [[3, 1], [4, 0, 2]]])
def test_accumulating_gives_the_gradients_of_one_batch(model, data, batches):
    loss, whole = gradients(model, data, [[0, 1, 2, 3, 4]])
    again, accumulated = gradients(model, data, batches)
    assert again.item() == pytest.approx(loss.item(), rel=1e-5)
    assert max(gradient.abs().max().item() for gradient in whole.values()) > 0.01
    for name, gradient in whole.items():
        torch.testing.assert_close(accumulated[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_only_matrices_decay(model):
    decays, stays = decay_groups(model, 0.1)
    assert (decays["weight_decay"], stays["weight_decay"]) == (0.1, 0.0)
    names = {id(p): name for name, p in model.named_parameters()}
    in_groups = [[names.pop(id(p)) for p in group["params"]] for group in (decays, stays)]
    assert names == {}
    assert {name.rpartition(".")[2] for name in in_groups[0]} == {"weight"}
    assert not any("LayerNorm" in name for name in in_groups[0])
    assert all(name.endswith(".bias") or "LayerNorm" in name for name in in_groups[1])


@pytest.mark.parametrize("tokens_per_batch", [64, 200, 512, 4096])
def test_every_window_once_an_epoch_within_the_budgets(tokens_per_batch):
    steps = plan_steps(LENGTHS, 3, 512, tokens_per_batch, seed=1)
    windows = [i for step in steps for batch in step for i in batch]
    for epoch in range(3):
        assert sorted(windows[700 * epoch : 700 * (epoch + 1)]) == list(range(700))
    for step in steps:
        for batch in step:
            assert len(batch) * max(LENGTHS[i] for i in batch) <= min(tokens_per_batch, 512)
        of_step = [LENGTHS[i] for batch in step for i in batch]
        assert len(of_step) * max(of_step) <= 512
    # Of similar length: little of what is computed is padding.
    padded = sum(len(b) * max(LENGTHS[i] for i in b) for step in steps for b in step)
    assert padded < 1.1 * 3 * sum(LENGTHS)


def test_what_a_step_holds_does_not_depend_on_the_memory():
    whole, cut = (plan_steps(LENGTHS, 2, 512, tokens, seed=1) for tokens in (512, 100))
    assert [[i for batch in step for i in batch] for step in cut] == [step[0] for step in whole]
    assert max(len(step) for step in cut) > 4


def test_epochs_and_seeds_differ():
    steps = plan_steps(LENGTHS, 2, 512, 512, seed=1)
    assert steps == plan_steps(LENGTHS, 2, 512, 512, seed=1)
    assert steps != plan_steps(LENGTHS, 2, 512, 512, seed=2)
    assert steps[: len(steps) // 2] != steps[len(steps) // 2 :]
    first_lengths = [LENGTHS[step[0][0]] for step in steps]
    assert first_lengths != sorted(first_lengths, reverse=True)
