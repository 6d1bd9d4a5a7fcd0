import pytest
import torch
from torch.distributions import Categorical, kl_divergence
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForTokenClassification

from stages.text.labels import IGNORED
from stages.training.batches import make_batches
from stages.training.crf import Crf
from stages.training.gradients import Gradients, compile_layers

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def model():
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, num_labels=5,
    )  # fmt: skip
    return BertForTokenClassification(config)


def of_step(model, data, rows, rows_per_batch, row_tokens=16, r_drop=0.0):
    model.zero_grad()
    batches = make_batches(data, rows, rows_per_batch, row_tokens, first_position=0)
    loss = Gradients(model, False, False, r_drop)(batches, labelled_in(data), seed=5)
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters()}


def labelled_in(data):
    return sum(int((labels >= 0).sum()) for labels in data.labels)


def close(ours, theirs, **how):
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, msg=name, **how)


def test_a_packed_step_is_the_mean_over_the_labels_of_windows_that_stand_alone(model, rows_of):
    data, rows = rows_of(row_tokens=16)
    model.eval()  # no dropout
    loss, gradients = of_step(model, data, rows, len(rows))
    losses = []
    model.zero_grad()
    for ids, labels in zip(data.input_ids, data.labels, strict=True):
        logits = model(input_ids=torch.tensor(ids)[None]).logits[0]
        losses += cross_entropy(logits, torch.tensor(labels), reduction="none")[labels >= 0]
    torch.stack(losses).mean().backward()
    assert loss == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)
    close(gradients, {n: p.grad for n, p in model.named_parameters()}, rtol=1e-4, atol=1e-6)
    assert max(gradient.abs().max().item() for gradient in gradients.values()) > 0.01


@pytest.mark.parametrize("rows_per_batch", [1, 2, 3])
def test_accumulating_gives_the_gradients_of_one_batch(model, rows_of, rows_per_batch):
    data, rows = rows_of(row_tokens=16)
    model.eval()
    loss, whole = of_step(model, data, rows, len(rows))
    again, accumulated = of_step(model, data, rows, rows_per_batch)
    assert again == pytest.approx(loss, rel=1e-5)
    close(accumulated, whole, rtol=1e-4, atol=1e-6)


def test_dropout_is_the_same_for_the_same_seed_whatever_was_drawn_before(model, rows_of):
    data, rows = rows_of(row_tokens=16)
    model.train()
    first, _ = of_step(model, data, rows, 2)
    torch.rand(7)
    assert of_step(model, data, rows, 2)[0] == first
    model.eval()
    assert of_step(model, data, rows, 2)[0] != first


def test_r_drop_adds_how_far_two_answers_are_apart(model, rows_of):
    data, rows = rows_of(row_tokens=16)
    model.train()
    answers = []
    model.register_forward_hook(lambda *_: answers.append(_[-1].logits.detach()))
    loss, _ = of_step(model, data, rows, len(rows), r_drop=0.5)
    [both] = answers
    labels = make_batches(data, rows, len(rows), 16, first_position=0)[0][3]
    kept = labels != IGNORED
    p, q = (Categorical(logits=half[kept]) for half in both.chunk(2))
    log_likelihood = (p.log_prob(labels[kept]) + q.log_prob(labels[kept])) / 2
    apart = (kl_divergence(p, q) + kl_divergence(q, p)) / 2
    assert apart.mean() > 1e-4
    assert loss == pytest.approx((0.5 * apart - log_likelihood).mean().item(), rel=1e-4)


@pytest.mark.parametrize("crf", [False, True])
def test_without_dropout_r_drop_changes_nothing(model, rows_of, crf):
    data, rows = rows_of(row_tokens=16)
    if crf:
        model.crf = Crf(["O", "B-A", "I-A", "B-B", "I-B"])
    model.eval()
    loss, gradients = of_step(model, data, rows, 2)
    again, twice = of_step(model, data, rows, 2, r_drop=3.0)
    assert again == pytest.approx(loss, rel=1e-5)
    close(twice, gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.gpu
def test_one_graph_and_compiled_layers_give_the_same_gradients(model, rows_of):
    data, rows = rows_of(row_tokens=16)
    model = model.cuda().eval()
    loss, gradients = of_step(model, data, rows, 2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    batches, labelled = make_batches(data, rows, 2, 16, first_position=0), labelled_in(data)
    compile_layers(model)
    compiled = Gradients(model, False, graph=True)
    for _ in range(3):
        model.zero_grad(set_to_none=False)
        assert compiled(batches, labelled, seed=5).item() == pytest.approx(loss, rel=1e-4)
        close({n: p.grad for n, p in model.named_parameters()}, gradients, rtol=1e-3, atol=1e-5)
    close(before, dict(model.named_parameters()), rtol=0, atol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("r_drop", [0.0, 1.0])
def test_each_replay_draws_its_own_dropout_from_the_seed(model, rows_of, r_drop):
    data, rows = rows_of(row_tokens=16)
    model = model.cuda().train()
    batches, labelled = make_batches(data, rows, 2, 16, first_position=0), labelled_in(data)
    compile_layers(model)
    compiled = Gradients(model, False, True, r_drop)
    losses = [compiled(batches, labelled, seed=seed).item() for seed in (1, 2, 1, 2, 3)]
    assert losses[:2] == losses[2:4]
    assert len({*losses}) == 3
