"""Each family's layers, and whether its attention keeps the windows of a packed row apart."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    BertConfig,
    BertForTokenClassification,
)

from stages.text.labels import IGNORED
from stages.training.batches import batch_maker, packs, separate_batches
from stages.training.gradients import Gradients
from stages.training.optimizer import decay_groups
from stages.training.ranks import SINGLE, Ranks
from tests.support.families import FAMILIES

pytestmark = pytest.mark.usefixtures("one_thread")
# Their attention takes a mask with four axes as a mask, and their positions can be given.
PACKED = {"BERT", "RoBERTa", "XLM-R", "CamemBERT", "ELECTRA", "ERNIE", "ALBERT", "DistilBERT"}
PACKED |= {"EuroBERT"}


@pytest.fixture
def tagger(family):
    def tagger(name):
        torch.manual_seed(3)
        return AutoModelForTokenClassification.from_pretrained(family(name), num_labels=5)

    return tagger


@pytest.mark.parametrize("name", FAMILIES)
def test_whether_it_packs(tagger, name):
    model = tagger(name).train()
    before = torch.random.get_rng_state()
    assert packs(model, 64) == (name in PACKED)
    assert model.training
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_same_model_packs_or_not_by_its_attention():
    config = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2)
    assert packs(BertForTokenClassification(config), 32)
    config._attn_implementation = "eager"
    assert not packs(BertForTokenClassification(config), 32)


def test_local_attention_is_seen_in_a_row_that_one_window_fills(family):
    """Its rows of 16 tokens pack: no token is further than 8 from another."""
    model = AutoModelForTokenClassification.from_pretrained(family("ModernBERT"), num_labels=5)
    assert packs(model, 8)
    assert not packs(model, 32)


@pytest.mark.parametrize("name", FAMILIES)
def test_layers_learn_at_falling_rates(tagger, name):
    model = tagger(name)
    groups = decay_groups(model, 1.0, 0.01, layer_decay=0.5)
    grouped = [parameter for group in groups for parameter in group["params"]]
    assert {*grouped} == {*model.parameters()}
    assert len(grouped) == len({*grouped})
    layers = 1 if name == "ALBERT" else 2
    assert {group["lr"] for group in groups} == {0.5**depth for depth in range(layers + 1)}
    of_head = next(g["lr"] for g in groups if [*model.parameters()][-1] in {*g["params"]})
    assert of_head == 1.0
    [embedding] = [p for p in [model.get_input_embeddings().weight] if p.requires_grad]
    assert next(g["lr"] for g in groups if embedding in {*g["params"]}) == 0.5**layers


@pytest.mark.parametrize("name", FAMILIES)
def test_a_head_on_labelled_positions_alone_gives_the_same_gradients(family, name):
    torch.manual_seed(3)
    model = AutoModelForMaskedLM.from_pretrained(family(name)).eval()
    seen = []
    model.get_output_embeddings().register_forward_hook(lambda *_: seen.append(_[-1].shape[1]))
    ids = torch.randint(5, 30, (3, 12))
    labels = ids.where(
        torch.rand(ids.shape).argsort(dim=1) < torch.tensor([[3], [0], [2]]), IGNORED
    )
    batch = torch.stack([ids, torch.arange(12).expand(3, -1), torch.ones_like(ids), labels])

    def step(fraction):
        model.zero_grad()
        gradients = Gradients(model, False, False, packed=False, labelled_fraction=fraction)
        loss = gradients([batch], 5, seed=1)
        return loss, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    (whole, of_whole), (loss, ours) = step(1.0), step(0.25)
    assert seen == [12, 3]
    torch.testing.assert_close(loss, whole)
    assert ours.keys() == of_whole.keys()
    for key, gradient in of_whole.items():
        torch.testing.assert_close(ours[key], gradient, rtol=1e-4, atol=1e-6, msg=key)


@pytest.mark.parametrize("tokens_per_batch", [16, 1024])
def test_a_step_window_by_window_is_the_mean_over_their_labels(tagger, rows_of, tokens_per_batch):
    data, rows = rows_of(row_tokens=16)
    model = tagger("MPNet").eval()  # no dropout
    batches = separate_batches(data, rows, tokens_per_batch)
    assert (len(batches) > 1) == (tokens_per_batch == 16)
    labelled = sum(int((labels >= 0).sum()) for labels in data.labels)
    model.zero_grad()
    loss = Gradients(model, False, False, packed=False)(batches, labelled, seed=5)
    ours = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    losses = []
    for ids, labels in zip(data.input_ids, data.labels, strict=True):
        logits = model(input_ids=torch.tensor(ids)[None]).logits[0]
        losses.append(cross_entropy(logits, torch.tensor(labels), reduction="none")[labels >= 0])
    torch.cat(losses).mean().backward()
    assert loss.item() == pytest.approx(torch.cat(losses).mean().item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-3, atol=1e-6, msg=name)


def test_the_windows_of_a_step_are_those_of_the_packed_step(rows_of):
    data, rows = rows_of(row_tokens=16)
    ranks = [Ranks(rank, 2) for rank in range(2)]
    made = [batch_maker(data, [rows, []], rank, 64, 16, first_position=None) for rank in ranks]
    found = [
        row[0][row[2] > 0].tolist() for make in made for batch in make(0) for row in batch.unbind(1)
    ]
    assert sorted(found) == sorted(np.asarray(ids).tolist() for ids in data.input_ids)


def test_a_rank_without_windows_learns_nothing_but_takes_part(tagger, rows_of):
    data, _ = rows_of(row_tokens=16)
    [batch] = batch_maker(data, [[[0]], []], SINGLE, 64, 16, first_position=None)(1)
    model = tagger("MPNet")
    assert Gradients(model, False, False, packed=False)([batch], 1, seed=5).item() == 0
    assert model.classifier.weight.grad.abs().max().item() == 0
