import pytest
import torch
from transformers import BertConfig, BertForTokenClassification

from stages.training.optimizer import Update, decay_groups


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


@pytest.mark.gpu
def test_a_replayed_update_equals_one_that_is_not():
    """With rates that change from step to step, and gradients that are clipped."""
    after = {}
    for graph in (False, True):
        torch.manual_seed(3)
        tagger = model().cuda()
        optimizer = torch.optim.AdamW(decay_groups(tagger, 1e-3, 0.01, 0.9), fused=True)
        update = Update(tagger, optimizer, clip_norm=0.5, graph=graph)
        for step in range(1, 6):
            for parameter in tagger.parameters():
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                parameter.grad += torch.randn_like(parameter)
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 / step
            update()
        assert all(not parameter.grad.any() for parameter in tagger.parameters())
        after[graph] = tagger.state_dict()
    for name, weights in after[False].items():
        torch.testing.assert_close(after[True][name], weights, rtol=1e-6, atol=1e-7, msg=name)
