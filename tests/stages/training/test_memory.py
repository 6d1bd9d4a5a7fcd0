from dataclasses import replace

import pytest
from transformers import BertConfig

from stages.contract.errors import StageError
from stages.training.memory import GIB, ModelSize, Need, require

BERT_BASE = Need(
    model=ModelSize(BertConfig(), parameters=102_000_000, outputs=7),
    row_tokens=128,
    tokens_per_batch=32768,
    bf16=True,
    compiled=True,
    checkpointing=False,
)


# On an H100, torch.cuda.max_memory_allocated.
MEASURED_GIB = {
    (8192, True): 4.8,
    (16384, True): 8.1,
    (32768, True): 13.4,
    (65536, True): 25.0,
    (32768, False): 15.8,
}


@pytest.mark.parametrize(("tokens", "compiled"), MEASURED_GIB)
def test_it_is_near_what_was_measured(tokens, compiled):
    need = replace(BERT_BASE, tokens_per_batch=tokens, compiled=compiled)
    assert need.bytes() / GIB == pytest.approx(MEASURED_GIB[tokens, compiled], rel=0.06)


def test_what_is_needed_is_said():
    assert require(BERT_BASE, 79 * GIB) == (
        "training needs about 13.9 GiB of GPU memory, 79.0 GiB are free: weights 0.4 GiB,"
        " gradients 0.4 GiB, optimizer 0.8 GiB, activations 12.2 GiB, bf16 weights 0.2 GiB"
    )


def refused(need, free):
    with pytest.raises(StageError) as error:
        require(need, free)
    return str(error.value)


def test_too_little_is_said_with_settings_that_fit():
    assert refused(BERT_BASE, 6 * GIB) == (
        "training needs about 13.9 GiB of GPU memory, but 6.0 GiB are free; set"
        " train.tokens_per_batch to 8192, or train.gradient_checkpointing to true,"
        " train.compile to false and train.tokens_per_batch to 32768;"
        " `nvidia-smi` shows which other processes use the GPU"
    )
    require(replace(BERT_BASE, tokens_per_batch=8192), 6 * GIB)
    require(replace(BERT_BASE, compiled=False, checkpointing=True), 6 * GIB)


def test_where_nothing_fits():
    assert refused(BERT_BASE, GIB) == (
        "training needs about 13.9 GiB of GPU memory, but 1.0 GiB are free; no batch is small"
        " enough; `nvidia-smi` shows which other processes use the GPU"
    )


def test_what_costs_more():
    assert replace(BERT_BASE, bf16=False).bytes() > BERT_BASE.bytes()
    assert replace(BERT_BASE, compiled=False).bytes() > BERT_BASE.bytes()
    assert (
        replace(BERT_BASE, passes=2).bytes() == replace(BERT_BASE, tokens_per_batch=65536).bytes()
    )
    config = BertConfig(hidden_size=384, intermediate_size=1536)
    small = replace(BERT_BASE, model=replace(BERT_BASE.model, config=config))
    assert small.parts()["activations"] < 0.6 * BERT_BASE.parts()["activations"]
