"""Fine-tunes the encoder as a tagger."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from stages.model.decode import Decoder
from stages.model.tagger import first_position, forward_of, new_tagger
from stages.params.train import Train
from stages.scoring.spans import predict, score
from stages.text.labels import Labels
from stages.training.batches import batch_maker
from stages.training.checkpoint import TrainingState
from stages.training.crf import Crf, transitions_of
from stages.training.data import Data
from stages.training.loop import fit
from stages.training.objective import Evaluation, Objective
from stages.training.plan import PerStep, Plan
from stages.training.runtime import Runtime


def tagger_of(params: Train, encoder: Path, labels: Labels) -> PreTrainedModel:
    """The encoder with a new head for `labels`; a CRF's parameters are among the model's."""
    model = new_tagger(encoder, labels, params.attention_dropout)
    if params.head == "crf":
        model.crf = Crf(labels.tags)
    return model


def fine_tune(
    params: Train, model: PreTrainedModel, data: Data, runtime: Runtime
) -> tuple[TrainingState, dict[str, Any]]:
    """Trains `model` as `loop.fit` does, and keeps the weights with the best dev F1."""
    if params.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    model.to(runtime.device)
    tags, row_tokens = data.labels.tags, data.labels.window_tokens
    lengths = data.train.lengths
    steps = Plan(lengths, params.epochs, params.tokens_per_step, row_tokens, params.seed)

    def dev_f1(on_batch: Callable[[int], object]) -> float:
        model.eval()
        # Batches of dev have many shapes, and each would be compiled anew.
        with torch.compiler.set_stance("force_eager"):
            forward = forward_of(model, runtime.bf16)
            decoder = Decoder(tags, transitions_of(model))
            _, predicted = predict(data.dev, forward, decoder, params.tokens_per_batch, on_batch)
        return float(score(data.dev, predicted, tags)["f1"])

    objective = Objective(
        name="train",
        learning_rate=("train.learning_rate", params.learning_rate),
        tokens=PerStep(steps, lengths),
        labelled=PerStep(steps, data.train.labelled),
        batches=batch_maker(
            data.train,
            steps,
            runtime.ranks,
            params.tokens_per_batch,
            row_tokens,
            first_position(model) if runtime.packed else None,
        ),
        layer_decay=params.layer_decay,
        r_drop=params.r_drop,
        evaluation=Evaluation(params.epochs * params.evals_per_epoch, dev_f1),
    )
    return fit(objective, params, model, runtime)
