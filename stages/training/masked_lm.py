"""Masked language modelling on the corpus and plain text, before the encoder learns to tag.

Task-adaptive pre-training: https://aclanthology.org/2020.acl-main.740.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.contract.errors import StageError
from stages.model.encoder import load_tokenizer
from stages.model.tagger import first_position, new_masked_lm
from stages.params.train import Train
from stages.text.labels import IGNORED, Labels
from stages.training.batches import batch_maker, step_seed
from stages.training.data import Data
from stages.training.loop import fit
from stages.training.objective import Objective
from stages.training.plan import PerStep, Plan
from stages.training.runtime import Runtime

MASKED, KEPT = 0.8, 0.1  # of the chosen tokens, as in BERT; random tokens replace the rest


def pretrain(
    params: Train, encoder: Path, data: Data, runtime: Runtime
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Trains the encoder by masked language modelling on the training split and the text.

    Returns its weights, on the CPU, and what was measured. A fraction of the tokens is hidden,
    chosen anew each epoch, and predicted from the rest of their window
    (https://arxiv.org/abs/1810.04805). The loop is `loop.fit`, with one learning rate for all
    layers.

    Raises:
        StageError: the tokenizer has no [MASK]; the loss is not finite.
    """
    mask_id = load_tokenizer(encoder).mask_token_id
    if mask_id is None:
        raise StageError(
            f"the tokenizer of {encoder} has no [MASK]: set train.pretrain.epochs to 0"
        )
    model = new_masked_lm(encoder, params.attention_dropout).to(runtime.device)
    if params.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    if runtime.checkpoints:
        folder = runtime.checkpoints / "pretrain"
        if runtime.ranks.first:
            folder.mkdir(exist_ok=True)
        runtime = replace(runtime, checkpoints=folder)
    first = first_position(model) if runtime.packed else None
    objective = _objective(params, data, runtime, mask_id, first)
    _, measured = fit(objective, params, model, runtime)
    weights = {name: w.to("cpu", copy=True) for name, w in model.base_model.state_dict().items()}
    return weights, measured


def _objective(
    params: Train, data: Data, runtime: Runtime, mask_id: int, first_position: int | None
) -> Objective:
    own, ranks, labels = params.pretrain, runtime.ranks, data.labels
    windows = data.unlabelled
    row_tokens, lengths = labels.window_tokens, windows.lengths
    steps = Plan(lengths, own.epochs, own.tokens_per_step, row_tokens, params.seed)
    batches = batch_maker(
        windows, steps, ranks, params.tokens_per_batch, row_tokens, first_position
    )

    def masked(step: int) -> list[torch.Tensor]:
        rng = np.random.default_rng(step_seed(params.seed, step, ranks.rank))
        return [hide(batch, labels, mask_id, own.mask_fraction, rng) for batch in batches(step)]

    return Objective(
        name="pretrain",
        learning_rate=("train.pretrain.learning_rate", own.learning_rate),
        tokens=PerStep(steps, lengths),
        # Expected, so that ranks need not talk; without [CLS] and [SEP].
        labelled=PerStep(steps, lengths - 2, own.mask_fraction),
        batches=masked,
        labelled_fraction=own.mask_fraction,
    )


def hide(
    batch: torch.Tensor, labels: Labels, mask_id: int, fraction: float, rng: np.random.Generator
) -> torch.Tensor:
    """Hides tokens of a batch in place; their ids become its labels. Returns the batch.

    The same fraction of each row, rounded, so that the number has a limit.

    Args:
        batch: int64 [4, rows, row length], as `batches.make_batches` returns it.
        labels: names [CLS] and [SEP], which are never hidden.
        mask_id: of [MASK].
        fraction: of a row's tokens, to predict.
        rng: chooses the tokens.
    """
    ids, _, windows, targets = batch.numpy()
    words = (windows > 0) & (ids != labels.cls_id) & (ids != labels.sep_id)
    chance = np.where(words, rng.random(ids.shape, dtype=np.float32), 2)
    most = math.ceil(fraction * ids.shape[1])
    rows = np.arange(len(ids))[:, None]
    chosen = np.argpartition(chance, most - 1, axis=1)[:, :most]
    chosen = chosen[rows, np.argsort(chance[rows, chosen], axis=1)]  # the last are left out
    counted = np.arange(most) < np.rint(fraction * words.sum(axis=1, keepdims=True))
    row, position = np.broadcast_to(rows, chosen.shape)[counted], chosen[counted]
    targets[...] = IGNORED
    targets[row, position] = ids[row, position]
    fate = rng.random(len(row))
    replaced = fate >= MASKED + KEPT
    others = rng.choice(ids[words], int(replaced.sum()))
    ids[row[replaced], position[replaced]] = others
    ids[row[fate < MASKED], position[fate < MASKED]] = mask_id
    return batch
