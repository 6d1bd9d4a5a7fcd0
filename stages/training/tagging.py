"""Fine-tuning as a tagger."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from stages.model.tagger import first_position, forward_of
from stages.params.train import Train
from stages.scoring.spans import predict, score
from stages.text.labels import IGNORED, Labels
from stages.text.windows_table import Aligned
from stages.training.batches import batches_of, plan_steps, summed
from stages.training.checkpoint import Standing
from stages.training.loop import Lesson, learn
from stages.training.ranks import Ranks


def fit(
    params: Train,
    model: PreTrainedModel,
    data: Aligned,
    dev: Aligned,
    labels: Labels,
    bf16: bool,
    checkpoints: Path | None,
    ranks: Ranks,
) -> tuple[Standing, dict[str, Any]]:
    """Trains `model` on `data` as `loop.learn` does, and keeps the weights with the best dev F1."""
    lengths = [len(ids) for ids in data.input_ids]
    row_tokens = labels.window_tokens
    steps = plan_steps(lengths, params.epochs, params.tokens_per_step, row_tokens, params.seed)

    def dev_f1(on_batch: Callable[[int], object]) -> float:
        model.eval()
        # Batches of dev come in many shapes, and each would be compiled anew.
        with torch.compiler.set_stance("force_eager"):
            forward = forward_of(model, bf16)
            _, found = predict(dev, forward, labels.tags, params.tokens_per_batch, on_batch)
        return float(score(dev, found, labels.tags)["f1"])

    lesson = Lesson(
        name="train",
        learning_rate=("train.learning_rate", params.learning_rate),
        tokens=summed(steps, lengths),
        labelled=summed(steps, [int((row != IGNORED).sum()) for row in data.labels]),
        batches=batches_of(
            data, steps, ranks, params.tokens_per_batch, row_tokens, first_position(model)
        ),
        layer_decay=params.layer_decay,
        r_drop=params.r_drop,
        evals=params.epochs * params.evals_per_epoch,
        dev_f1=dev_f1,
    )
    return learn(lesson, params, model, bf16, checkpoints, ranks)
