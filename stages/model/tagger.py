"""Makes, loads and runs the tagger, a token classifier of transformers."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging

from stages.contract.errors import StageError
from stages.model.emissions import Forward
from stages.model.encoder import check_window
from stages.text.labels import Labels

# A new head is missing from the weights, as it should be; the bars last under a second.
logging.set_verbosity_error()
logging.disable_progress_bar()
ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")  # by family
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")  # whole, or in shards


def new_tagger(
    encoder: Path, labels: Labels, attention_dropout: float | None = None
) -> PreTrainedModel:
    """A token classifier on the encoder in that folder, in fp32, with a new head.

    An encoder without weights (`from_scratch`) gets random ones. A pickle is never read. Without
    `attention_dropout` the encoder keeps its own.

    Raises:
        StageError: there is no encoder; it takes fewer tokens than a window has, or no
            `attention_dropout`; its weights are of another model, or only a pickle.
    """
    if not (encoder / "config.json").is_file():
        raise StageError(f"{encoder} holds no config.json: run `dvc repro download` first")
    config = AutoConfig.from_pretrained(
        encoder,
        num_labels=len(labels.tags),
        id2label=dict(enumerate(labels.tags)),
        label2id={tag: label for label, tag in enumerate(labels.tags)},
        dtype="float32",
    )
    check_window(encoder, labels.window_tokens)
    _set_attention_dropout(config, attention_dropout)
    return _with_weights(AutoModelForTokenClassification, encoder, config)


def new_masked_lm(encoder: Path, attention_dropout: float | None = None) -> PreTrainedModel:
    """The encoder with a head for masked language modelling, its own if the weights include one.

    Without `attention_dropout` the encoder keeps its own.

    Raises:
        StageError: it takes no `attention_dropout`; its weights are of another model, or only a
            pickle.
    """
    config = AutoConfig.from_pretrained(encoder, dtype="float32")
    _set_attention_dropout(config, attention_dropout)
    return _with_weights(AutoModelForMaskedLM, encoder, config)


def _set_attention_dropout(config: PretrainedConfig, value: float | None) -> None:
    if value is None:
        return
    names = [name for name in ATTENTION_DROPOUT if hasattr(config, name)]
    if not names:
        raise StageError(
            f"encoders of type {config.model_type} take no attention dropout: set"
            " train.attention_dropout to null"
        )
    for name in names:
        setattr(config, name, value)


def _with_weights(head: Any, encoder: Path, config: PretrainedConfig) -> PreTrainedModel:
    if not any((encoder / name).is_file() for name in WEIGHTS):
        if any(encoder.glob("*.bin")):
            raise StageError(f"{encoder} has its weights as a pickle only: take model.safetensors")
        return head.from_config(config)
    model, info = head.from_pretrained(
        encoder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
    )
    missing = [k for k in info["missing_keys"] if k.startswith(model.base_model_prefix + ".")]
    if missing:
        raise StageError(
            f"the weights in {encoder} lack {len(missing)} tensors that its config.json asks"
            f" for, {min(missing)} among them: take both from one model"
        )
    return model


def first_position(model: PreTrainedModel) -> int:
    """The position id of a first token: 0; in RoBERTa-like encoders, one above padding's."""
    embeddings = getattr(model.base_model, "embeddings", None)
    padding = getattr(embeddings, "padding_idx", None)
    return 0 if padding is None else int(padding) + 1


def load_tagger(folder: Path, device: torch.device) -> PreTrainedModel:
    """The fine-tuned model in that folder, in fp32, ready to predict.

    Raises:
        StageError: `train` has not written it.
    """
    if not (folder / "model.safetensors").is_file():
        raise StageError(f"{folder} holds no model.safetensors: run `dvc repro train` first")
    model = AutoModelForTokenClassification.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True
    )
    return model.to(device).eval()


def forward_of(model: PreTrainedModel, bf16: bool = False) -> Forward:
    """Wraps the model as a function of numpy arrays."""

    @torch.inference_mode()
    def forward(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            logits = model(
                input_ids=torch.from_numpy(ids).to(model.device),
                attention_mask=torch.from_numpy(mask).to(model.device),
            ).logits
        result: NDArray[np.float32] = logits.float().cpu().numpy()
        return result

    return forward
