"""The CRF's loss against all label sequences that IOB2 allows, counted one by one."""

import math
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import BertConfig, BertForTokenClassification

import stages.training.crf
from stages.text.labels import IGNORED, follows, iob2_tags
from stages.training.batches import make_batches, pack
from stages.training.crf import Crf, transitions_of
from stages.training.gradients import Gradients
from stages.training.optimizer import decay_groups

pytestmark = pytest.mark.usefixtures("one_thread")
TAGS = iob2_tags(["PER", "LOC"])
LABELS = range(len(TAGS))
O, B, I, B2, I2 = LABELS  # noqa: E741
X = IGNORED
# Windows of two rows; the second row ends in padding, the third is all padding.
ROWS = [
    [[X, B, I, O, X], [X, O, X, X, B2, X], [X, X, X, I, O, X]],  # the last continues a sentence
    [[X, X, X], [X, I2, X], [X, X, B, B, I, X]],  # one scores nothing; one begins with I-
    [],
]
TOKENS = 19


def rows_as_tensors(rows=ROWS, tokens=TOKENS):
    labels = torch.full((len(rows), tokens), IGNORED)
    windows = torch.zeros((len(rows), tokens), dtype=torch.int64)
    for number, row in enumerate(rows):
        flat = [label for window in row for label in window]
        labels[number, : len(flat)] = torch.tensor(flat, dtype=torch.int64)
        counted = [n for n, window in enumerate(row, start=1) for _ in window]
        windows[number, : len(flat)] = torch.tensor(counted, dtype=torch.int64)
    return labels, windows


def learnt(seed=0, scale=1.0):
    """A CRF with some transitions, and logits for `rows_as_tensors`."""
    torch.manual_seed(seed)
    crf = Crf(TAGS)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    return crf, torch.randn(len(ROWS), TOKENS, len(TAGS), requires_grad=True)


def negative_log_likelihood(crf, logits, labels, windows):
    """By enumeration, in double precision."""
    start, scores = (p.detach().double() for p in (crf.start, crf.scores))
    total = 0.0
    for row, row_labels, row_windows in zip(logits.detach().double(), labels, windows, strict=True):
        for window in range(1, int(row_windows.max()) + 1):
            own = (row_windows == window).nonzero()[:, 0]
            at = [int(i) for i in own if row_labels[i] != IGNORED]
            if not at:
                continue
            gold = tuple(int(row_labels[i]) for i in at)
            free = at[0] - int(own[0]) > 1 or TAGS[gold[0]].startswith("I-")

            def score(path, at=at, free=free, row=row):
                if not (free or follows(TAGS[path[0]], "O")):
                    return -math.inf
                if not all(follows(TAGS[b], TAGS[a]) for a, b in pairwise(path)):
                    return -math.inf
                value = 0.0 if free else float(start[path[0]])
                value += sum(float(scores[a, b]) for a, b in pairwise(path))
                return value + sum(float(row[i, label]) for i, label in zip(at, path, strict=True))

            every = [score(path) for path in product(LABELS, repeat=len(at))]
            total += float(np.logaddexp.reduce(every)) - score(gold)
    return total


@pytest.mark.parametrize("scale", [0.0, 1.0, 5.0])
def test_the_loss_is_that_of_all_allowed_sequences(scale):
    crf, logits = learnt(scale=scale)
    labels, windows = rows_as_tensors()
    expected = negative_log_likelihood(crf, logits, labels, windows)
    assert crf(logits, labels, windows).item() == pytest.approx(expected, rel=1e-5)
    # A window a row: the same sum.
    alone = [[window] for row in ROWS for window in row]
    parts = [
        row[own == k] for row, own in zip(logits, windows, strict=True) for k in own.unique() if k
    ]
    padded = pad_sequence(parts, batch_first=True)
    given = rows_as_tensors(alone, padded.shape[1])
    assert crf(padded, *given).item() == pytest.approx(expected, rel=1e-5)


def test_gradients_are_those_of_finite_differences():
    crf, logits = learnt()
    labels, windows = rows_as_tensors()
    crf(logits, labels, windows).backward()
    for parameter in (crf.start, crf.scores, logits):
        values, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for index in range(0, len(values), max(1, len(values) // 25)):
            kept, sides = values[index].item(), []
            for change in (1e-3, -1e-3):
                values[index] = kept + change
                sides.append(negative_log_likelihood(crf, logits, labels, windows))
            values[index] = kept
            assert gradient[index] == pytest.approx((sides[0] - sides[1]) / 2e-3, abs=2e-3)
    forbidden = [(a, b) for a, b in product(LABELS, LABELS) if not follows(TAGS[b], TAGS[a])]
    assert {crf.scores.grad[pair].item() for pair in forbidden} == {0.0}
    assert logits.grad[labels == IGNORED].abs().max() == 0


@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_no_gradient_is_infinite_however_sure_the_model_is(scale):
    crf, logits = learnt(scale=3.0)
    loss = crf(logits * scale, *rows_as_tensors())
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in (crf.start, crf.scores, logits))


def test_in_parts_it_is_the_same(monkeypatch):
    crf, logits = learnt()
    given = (logits, *rows_as_tensors())
    crf(*given).backward()
    whole = [p.grad.clone() for p in (*crf.parameters(), logits)]
    expected = crf(*given).item()
    crf.zero_grad()
    logits.grad = None
    monkeypatch.setattr(stages.training.crf, "SCORES_AT_ONCE", 2 * TOKENS * len(TAGS) ** 2)
    loss = crf(*given)
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    for ours, theirs in zip((*crf.parameters(), logits), whole, strict=True):
        torch.testing.assert_close(ours.grad, theirs)


def test_transitions_are_what_was_learnt_where_it_is_allowed():
    crf, _ = learnt()
    model = torch.nn.Module()
    assert transitions_of(model) is None
    model.crf = crf
    found = transitions_of(model)
    for a, b in product(LABELS, LABELS):
        allowed = follows(TAGS[b], TAGS[a])
        assert found.scores[a, b] == (crf.scores[a, b].item() if allowed else -math.inf)
    assert [math.isfinite(value) for value in found.start] == [True, True, False, True, False]


def tagger():
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, num_labels=len(TAGS),
    )  # fmt: skip
    model = BertForTokenClassification(config).eval()
    model.crf = learnt()[0]
    return model


def step(model, data, rows, rows_per_batch, graph=False):
    gradients = Gradients(model, False, graph)
    model.zero_grad(set_to_none=not graph)
    labelled = sum(int((labels >= 0).sum()) for labels in data.labels)
    batches = make_batches(data, rows, rows_per_batch, 16, first_position=0)
    loss = gradients(batches, labelled, seed=5).item()
    return loss, {name: p.grad.clone() for name, p in model.named_parameters()}


def test_a_step_is_the_mean_over_the_labels(rows_of):
    data, rows = rows_of(row_tokens=16)
    model = tagger()
    labelled = sum(int((labels >= 0).sum()) for labels in data.labels)
    packed = [torch.from_numpy(each) for each in vars(pack(data, rows, 16)).values()]
    ids, positions, windows, labels = packed
    mask = windows[:, None, :, None] == windows[:, None, None, :]
    logits = model(input_ids=ids, position_ids=positions, attention_mask=mask).logits
    expected = model.crf(logits, labels, windows).item() / labelled
    for rows_per_batch in (len(rows), 2):
        loss, gradients = step(model, data, rows, rows_per_batch)
        assert loss == pytest.approx(expected, rel=1e-5)
        assert gradients["crf.scores"].abs().max() > 1e-3


def test_transitions_have_their_own_rate_and_no_decay():
    model = tagger()
    *others, last = decay_groups(model, 0.5, 0.1, 0.9, crf_rate=0.25)
    assert [id(p) for p in last.pop("params")] == [id(p) for p in model.crf.parameters()]
    assert last == {"lr": 0.25, "weight_decay": 0.0}
    count = sum(len(group["params"]) for group in others)
    assert count == len(list(model.parameters())) - 2
    assert others[0]["lr"] == 0.5


@pytest.mark.gpu
def test_a_cuda_graph_gives_the_loss_and_gradients_of_eager(rows_of):
    data, rows = rows_of(row_tokens=16)
    model = tagger().cuda()
    loss, gradients = step(model, data, rows, 2)
    again, replayed = step(model, data, rows, 2, graph=True)
    assert again == pytest.approx(loss, rel=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(replayed[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
