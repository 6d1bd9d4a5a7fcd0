"""Going on with what the encoder was trained for, on the corpus's own text, before it tags.

Task-adaptive pre-training: https://aclanthology.org/2020.acl-main.740.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer

from stages.contract.errors import StageError
from stages.model.tagger import first_position, new_masked_lm
from stages.params.train import Train
from stages.text.labels import IGNORED, Labels
from stages.text.windows_table import Aligned
from stages.training.batches import batches_of, plan_steps, seed_of, summed
from stages.training.loop import Lesson, learn
from stages.training.ranks import Ranks

MASKED, KEPT = 0.8, 0.1  # of the chosen tokens, as BERT; the rest become other tokens


def pretrain(
    params: Train,
    encoder: Path,
    data: Aligned,
    labels: Labels,
    device: torch.device,
    bf16: bool,
    checkpoints: Path | None,
    ranks: Ranks,
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The encoder's weights, on the CPU, after masked language modelling on `data`; measures.

    A part of the tokens is hidden, chosen anew each epoch, and predicted from the rest of their
    window (https://arxiv.org/abs/1810.04805). The loop is `loop.learn`, at one learning rate for
    all layers.

    Raises:
        StageError: the tokenizer has no [MASK]; a loss that is no number.
    """
    mask_id = AutoTokenizer.from_pretrained(encoder, local_files_only=True).mask_token_id
    if mask_id is None:
        raise StageError(
            f"the tokenizer of {encoder} has no [MASK]: set train.pretrain.epochs to 0"
        )
    of = params.pretrain
    model = new_masked_lm(encoder).to(device)
    if params.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    lengths = [len(ids) for ids in data.input_ids]
    row_tokens = labels.window_tokens
    steps = plan_steps(lengths, of.epochs, of.tokens_per_step, row_tokens, params.seed)
    batches = batches_of(
        data, steps, ranks, params.tokens_per_batch, row_tokens, first_position(model)
    )

    def hidden(step: int) -> list[torch.Tensor]:
        rng = np.random.default_rng(seed_of(params.seed, step, ranks.rank))
        return [hide(batch, labels, mask_id, of.mask_fraction, rng) for batch in batches(step)]

    lesson = Lesson(
        name="pretrain",
        learning_rate=("train.pretrain.learning_rate", of.learning_rate),
        tokens=summed(steps, lengths),
        # What is to be expected, so that no rank need ask the others.
        labelled=[of.mask_fraction * n for n in summed(steps, [length - 2 for length in lengths])],
        batches=hidden,
    )
    folder = checkpoints / "pretrain" if checkpoints else None
    if folder and ranks.first:
        folder.mkdir(exist_ok=True)
    _, measured = learn(lesson, params, model, bf16, folder, ranks)
    weights = {name: w.to("cpu", copy=True) for name, w in model.base_model.state_dict().items()}
    return weights, measured


def hide(
    batch: torch.Tensor, labels: Labels, mask_id: int, fraction: float, rng: np.random.Generator
) -> torch.Tensor:
    """The batch, as `steps.as_batches` gives it, with tokens hidden in place; their ids are labels.

    Args:
        batch: int64 [4, rows, row length].
        labels: knows [CLS] and [SEP], which are never hidden.
        mask_id: of [MASK].
        fraction: of the tokens, to be predicted.
        rng: chooses.
    """
    ids, _, member, of_tokens = batch.unbind()
    words = (member > 0) & (ids != labels.cls_id) & (ids != labels.sep_id)
    chance = torch.from_numpy(rng.random(ids.shape))
    chosen = words & (chance < fraction)
    of_tokens.copy_(torch.where(chosen, ids, IGNORED))
    other = chosen & (chance >= (MASKED + KEPT) * fraction)
    ids[other] = torch.from_numpy(rng.choice(ids[words].numpy(), int(other.sum())))
    ids[chosen & (chance < MASKED * fraction)] = mask_id
    return batch
