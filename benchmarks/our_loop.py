"""This project's training step, for `training` to time on one GPU and `scaling` on several."""

import time
from collections.abc import Iterator
from typing import Any

import torch
from transformers import BertConfig, BertForTokenClassification, PreTrainedModel

from stages.model.device import make_repeatable
from stages.model.tagger import first_position
from stages.text.labels import IGNORED
from stages.text.windows_table import Aligned
from stages.training.batches import batch_maker, packs, prefetch
from stages.training.gradients import Gradients, compile_layers
from stages.training.optimizer import Update, decay_groups
from stages.training.plan import Plan
from stages.training.ranks import SINGLE, Ranks

ROW_TOKENS = 128
WARM_UP_STEPS = 5


def our_loop(
    steps: int,
    tokens_per_step: int,
    model: PreTrainedModel,
    data: Aligned,
    compiled: bool = False,
    graph: bool = False,
    deterministic: bool = False,
    ranks: Ranks = SINGLE,
) -> Iterator[int]:
    """The loop of stages/train.py without evaluations; yields this rank's tokens of each step."""
    make_repeatable(0, 2, deterministic)
    plan = Plan([*map(len, data.input_ids)], 2, tokens_per_step, ROW_TOKENS, seed=0)[:steps]
    optimizer = torch.optim.AdamW(
        decay_groups(model, 1e-4, 0.01), fused=model.device.type == "cuda"
    )
    packed = packs(model, ROW_TOKENS)
    if compiled:
        compile_layers(model)
    gradients = Gradients(ranks.wrap(model), bf16=True, graph=graph, packed=packed)
    first = first_position(model) if packed else None
    make = batch_maker(data, plan, ranks, tokens_per_step, ROW_TOKENS, first)
    update = Update(model, optimizer, clip_norm=1.0, graph=graph)
    model.train()
    for step, batches in enumerate(prefetch(make, range(len(plan)))):
        labelled = sum(int((batch[3] != IGNORED).sum()) for batch in batches)
        gradients(batches, labelled, seed=step)
        update()
        yield sum(int((batch[2] > 0).sum()) for batch in batches)


def new_model(layers: int) -> BertForTokenClassification:
    """A BERT of that many layers, BERT-base if 12, with the same random weights each time."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=21128, num_labels=7, num_hidden_layers=layers)
    return BertForTokenClassification(config).cuda()


def timed(steps: Iterator[Any]) -> tuple[list[int], float]:
    """Tokens of each step after the warm-up, and the seconds of all these steps."""
    for _ in range(WARM_UP_STEPS - 1):
        next(steps)
    torch.cuda.synchronize()
    began = time.perf_counter()
    tokens = list(steps)
    torch.cuda.synchronize()
    return [*map(int, tokens)], time.perf_counter() - began
