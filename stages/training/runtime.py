"""Where and how a training runs."""

from dataclasses import dataclass
from pathlib import Path

import torch

from stages.training.ranks import Ranks


@dataclass(frozen=True)
class Runtime:
    """The device, precision, processes and checkpoint folder of a training."""

    device: torch.device
    bf16: bool
    ranks: Ranks
    checkpoints: Path | None
    """The same folder in all ranks; None: keep no checkpoints."""
