"""The tagger as a torch model: transformers' own classes, nothing forked."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedModel
from transformers.utils import logging

from stages.errors import StageError
from stages.ner.emissions import Forward

# A fresh head is meant to be missing from the checkpoint; the bars are shorter than a second.
logging.set_verbosity_error()
logging.disable_progress_bar()


def choose_device(wanted: str, key: str, instead: str = "cpu") -> torch.device:
    """The device for `auto`, `cpu` or `cuda`.

    Args:
        wanted: one of the three.
        key: of the parameter that asks for it.
        instead: the value of `key` that does without a GPU.

    Raises:
        StageError: `cuda` without one, with what was found.
    """
    if torch.cuda.is_available() and wanted != "cpu":
        return torch.device("cuda")
    if wanted == "cuda":
        build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a CPU build"
        raise StageError(
            f"{key} asks for CUDA, but torch {torch.__version__} ({build}) finds no CUDA GPU;"
            f" see `nvidia-smi`, or set {key}: {instead}"
        )
    return torch.device("cpu")


def make_repeatable(seed: int, cpu_threads: int, deterministic: bool) -> None:
    """Seeds torch and fixes what else decides its results: threads, algorithms."""
    # cuBLAS reads it at its first use: https://docs.nvidia.com/cuda/cublas/#results-reproducibility
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(cpu_threads)
    torch.use_deterministic_algorithms(deterministic)
    # It would fill every new tensor with NaN, to make a read of memory that none wrote repeatable.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)


def new_tagger(encoder: Path, tags: Sequence[str]) -> PreTrainedModel:
    """A token classifier on the encoder of that folder, in fp32; its head is fresh.

    An encoder without weights (`from_scratch`) starts from random ones.
    """
    config = AutoConfig.from_pretrained(
        encoder,
        num_labels=len(tags),
        id2label=dict(enumerate(tags)),
        label2id={tag: label for label, tag in enumerate(tags)},
        dtype="float32",
    )
    if (encoder / "model.safetensors").is_file():
        return AutoModelForTokenClassification.from_pretrained(
            encoder, config=config, dtype=torch.float32, use_safetensors=True
        )
    return AutoModelForTokenClassification.from_config(config)


def load_tagger(folder: Path, device: torch.device) -> PreTrainedModel:
    """The fine-tuned model of that folder, in fp32, ready to predict.

    Raises:
        StageError: if `train` has not written it.
    """
    if not (folder / "model.safetensors").is_file():
        raise StageError(f"{folder} holds no model.safetensors: run `dvc repro train` first")
    model = AutoModelForTokenClassification.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True
    )
    return model.to(device).eval()


def forward_of(model: PreTrainedModel, bf16: bool = False) -> Forward:
    """The model as numpy in, numpy out."""

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


def device_figures(device: torch.device) -> dict[str, Any]:
    """What `.measured` keeps of torch and its device."""
    figures: dict[str, Any] = {"device": device.type, "torch": torch.__version__}
    if device.type == "cuda":
        figures["gpu"] = torch.cuda.get_device_name(device)
        figures["gpu_memory_peak_mib"] = round(torch.cuda.max_memory_allocated(device) / 2**20)
    return figures
