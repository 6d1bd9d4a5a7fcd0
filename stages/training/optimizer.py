"""The optimizer, its parameter groups, its step and the schedule of its learning rate."""

import math
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel, get_linear_schedule_with_warmup

from stages.model.layers import encoder_layers
from stages.params.train import Train


def make_optimizer(
    model: PreTrainedModel, params: Train, learning_rate: float, layer_decay: float, steps: int
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """AdamW, and a learning rate that rises linearly at first, then falls linearly to 0."""
    optimizer = torch.optim.AdamW(
        decay_groups(
            model, learning_rate, params.weight_decay, layer_decay, params.crf_learning_rate
        ),
        lr=learning_rate,
        fused=model.device.type == "cuda",
    )
    warmup_steps = math.ceil(params.warmup_fraction * steps)
    return optimizer, get_linear_schedule_with_warmup(optimizer, warmup_steps, steps)


def decay_groups(
    model: PreTrainedModel,
    rate: float,
    weight_decay: float,
    layer_decay: float = 1.0,
    crf_rate: float = 0.0,
) -> list[dict[str, Any]]:
    """Parameters grouped by learning rate and weight decay; head and last layer come first.

    Weight decay applies to matrices, not to biases and layer norms, as in BERT's training. Each
    layer learns at `layer_decay` times the rate of the layer above, the embeddings, and whatever
    else is in no layer, below the first (https://aclanthology.org/P18-1031: general features should
    change less). The transitions of a CRF come last, with a rate of their own, `crf_rate`, and no
    decay.
    """
    transitions = dict.fromkeys(model.crf.parameters()) if hasattr(model, "crf") else {}
    layers = encoder_layers(model)
    depths = {p: len(layers) for p in model.base_model.parameters()}
    for number, layer in enumerate(layers, start=1):
        depths |= dict.fromkeys(layer.parameters(), len(layers) - number)
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad and parameter not in transitions:
            key = depths.get(parameter, 0), parameter.ndim < 2
            groups.setdefault(key, []).append(parameter)
    result: list[dict[str, Any]] = [
        {
            "params": parameters,
            "lr": rate * layer_decay**depth,
            "weight_decay": 0.0 if vector else weight_decay,
        }
        for (depth, vector), parameters in sorted(groups.items(), key=lambda group: group[0])
    ]
    if transitions:
        result.append({"params": [*transitions], "lr": crf_rate, "weight_decay": 0.0})
    return result


class Update:
    """Clips the gradients, takes the optimizer's step and zeroes the gradients.

    With `graph` it replays a CUDA graph from the second call on: to start a kernel for each of
    hundreds of small tensors takes the CPU longer than a small model's step takes the GPU.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        optimizer: torch.optim.Optimizer,
        clip_norm: float,
        graph: bool,
    ) -> None:
        self._model, self._optimizer, self._clip_norm = model, optimizer, clip_norm
        self._graph = torch.cuda.CUDAGraph() if graph else None
        self._rates: torch.Tensor | None = None  # of the groups, on the device, for the graph

    def __call__(self) -> None:
        """Changes the weights by the learning rates that the schedule has set."""
        if self._graph is None:
            self._update()
        elif self._rates is None:
            self._update()  # the first makes the optimizer's state, outside the graph
            self._rates = self._captured(self._graph)
        else:
            # A copy from the host would wait for the device.
            for rate, group in zip(self._rates, self._optimizer.param_groups, strict=True):
                rate.fill_(group["lr"])
            self._graph.replay()

    def _update(self) -> None:
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=False)  # a graph adds to them at fixed addresses

    def _captured(self, graph: torch.cuda.CUDAGraph) -> torch.Tensor:
        """Captures `_update`, without doing it; returns the rates that the graph will read."""
        groups = self._optimizer.param_groups
        before = [group["lr"] for group in groups]
        rates = torch.tensor(before, device=self._model.device)
        for group, rate in zip(groups, rates, strict=True):
            group |= {"lr": rate, "capturable": True}
        # A thread of NCCL queries older work during the capture.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._update()
        for group, value in zip(groups, before, strict=True):
            group |= {"lr": value, "capturable": False}
        return rates
