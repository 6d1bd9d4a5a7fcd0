"""Where and how a training runs."""

from dataclasses import dataclass
from pathlib import Path

import torch

from stages.training.export_trial import Check
from stages.training.ranks import Ranks


@dataclass(frozen=True)
class Runtime:
    """The device, precision, processes and checkpoint folder of a training."""

    device: torch.device
    bf16: bool
    ranks: Ranks
    checkpoints: Path | None
    """The same folder in all ranks; None: keep no checkpoints."""
    packed: bool = True
    """Several windows a row; False: one, for encoders that would mix them."""
    trial: Check = lambda _: None
    """Tells of a trial of the export that runs beside the training."""
