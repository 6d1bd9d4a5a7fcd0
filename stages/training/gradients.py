"""Computes the gradients of a training step, on a GPU by CUDA graphs."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import Module
from torch.nn.functional import cross_entropy, log_softmax, one_hot
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from stages.model.layers import encoder_layers
from stages.text.labels import IGNORED
from stages.training.batches import model_inputs

# Passes before a capture, alone and for DDP: pytorch.org/docs/stable/notes/cuda.html
WARM_UP, WARM_UP_DDP = 3, 11

# One kernel for both sums of a norm's backward took 97 us a call, two take 64 (H200, 16k x 384).
INDUCTOR: dict[str, str | int | bool] = {"triton.mix_order_reduction": False}


def compile_layers(model: PreTrainedModel) -> None:
    """Compiles the encoder's layers in place, with one compilation, for batches of one shape."""
    for layer in encoder_layers(model):
        layer.compile(fullgraph=True, dynamic=False, options=INDUCTOR)


class Gradients:
    """Adds up the gradients of a step; with `graph` it replays a CUDA graph for each batch.

    A graph starts hundreds of kernels at once; all batches must have the same shape. A model
    wrapped for DDP averages the gradients over the ranks during the backward of the last batch,
    which therefore has its own graph, NCCL's kernels included.

    A model with a CRF as its attribute `crf` gets the CRF's loss in place of cross-entropy.

    With `r_drop` each batch goes through the model twice, with different dropout, and the loss
    includes `r_drop` times the divergence of the two outputs, token by token
    (https://arxiv.org/abs/2106.14448); with a CRF too, whose transitions have no dropout.

    Without `packed` a row of a batch is one window, and batches may differ in shape.

    At most `labelled_fraction` of a row's positions, rounded up, have a label. Below 1, the head
    sees so many positions alone: one over a vocabulary would cost as much as several layers.
    """

    def __init__(
        self,
        model: PreTrainedModel | DistributedDataParallel,
        bf16: bool,
        graph: bool,
        r_drop: float = 0.0,
        packed: bool = True,
        labelled_fraction: float = 1.0,
    ) -> None:
        self._model, self._bf16, self.graph, self._r_drop = model, bf16, graph, r_drop
        self._packed, self._labelled_fraction = packed, labelled_fraction
        self._ddp = isinstance(model, DistributedDataParallel)
        self._crf = getattr(model.module if self._ddp else model, "crf", None)
        self._graphs: dict[bool, torch.cuda.CUDAGraph] = {}  # key: is it a step's last batch
        self._loss = torch.zeros((), device=model.device)
        self._share = torch.zeros((), device=model.device)  # one labelled token's weight

    def __call__(self, batches: Sequence[torch.Tensor], labelled: float, seed: int) -> torch.Tensor:
        """Adds the gradients to the parameters' `.grad`; returns the loss, on the device.

        The loss is the mean over the step's labelled tokens, whatever the number of batches, so
        accumulation changes results by rounding only. `seed` decides the dropout.
        """
        if self.graph and not self._graphs:
            self._batch = batches[0].to(self._model.device)
            for last in {batch is batches[-1] for batch in batches} if self._ddp else {True}:
                self._graphs[last] = self._captured(last)
        torch.manual_seed(seed)
        self._loss.zero_()
        self._share.fill_(1 / labelled)
        for batch in batches:
            last = not self._ddp or batch is batches[-1]
            if self._graphs:
                self._batch.copy_(batch, non_blocking=True)
                self._graphs[last].replay()
            else:
                self._add(batch.to(self._model.device, non_blocking=True), last)
        return self._loss

    def _add(self, batch: torch.Tensor, last: bool) -> None:
        if not last and isinstance(self._model, DistributedDataParallel):
            with self._model.no_sync():
                self._add(batch, last=True)
            return
        if self._r_drop:
            batch = torch.cat([batch, batch], dim=1)
        _, _, windows, labels = batch.unbind()
        with (
            torch.autocast(self._model.device.type, torch.bfloat16, enabled=self._bf16),
            self._head_on(labels) as labels,
        ):
            logits = self._model(**model_inputs(batch, self._packed)).logits
        logits = logits.float()
        if self._crf is None:
            total = cross_entropy(
                logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum"
            )
        else:
            total = self._crf(logits, labels, windows)
        if self._r_drop:
            total = total / 2 + self._r_drop * _divergence(logits, labels)
        loss = total * self._share
        loss.backward()  # type: ignore[no-untyped-call]
        self._loss += loss.detach()

    @contextmanager
    def _head_on(self, labels: torch.Tensor) -> Iterator[torch.Tensor]:
        """Lets the head see only positions with labels; gives their labels, [rows, positions]."""
        if self._labelled_fraction == 1:
            yield labels
            return
        length = labels.shape[1]
        count = math.ceil(self._labelled_fraction * length)  # fixed, for a graph
        positions = (labels != IGNORED).int().topk(count).indices
        chosen = one_hot(positions, length)

        def choose(_module: Module, _inputs: Any, output: ModelOutput) -> ModelOutput:
            # A product, as the backward of an index adds up in any order, or sorts first.
            hidden = output["last_hidden_state"]
            output["last_hidden_state"] = chosen.to(hidden.dtype) @ hidden
            return output

        model: PreTrainedModel = self._model.module if self._ddp else self._model
        hook = model.base_model.register_forward_hook(choose)
        try:
            yield labels.gather(1, positions)
        finally:
            hook.remove()

    def _captured(self, last: bool) -> torch.cuda.CUDAGraph:
        """Captures `_add` for batches of this shape; the weights do not change."""
        # One stream for all: on another, the gradients would be added up outside the graph.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_DDP if self._ddp else WARM_UP):
                self._add(self._batch, last)
        torch.cuda.current_stream().wait_stream(stream)
        # Zeroed, not dropped: the graph adds to gradients at fixed addresses.
        self._model.zero_grad(set_to_none=False)
        graph = torch.cuda.CUDAGraph()
        # A thread of NCCL queries older work during the capture.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            self._add(self._batch, last)
        self._loss.zero_()
        return graph


def _divergence(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Symmetric Kullback-Leibler divergence of the two halves of the rows, summed over labels."""
    one, other = log_softmax(logits, dim=-1).chunk(2)
    divergence = ((one - other) * (one.exp() - other.exp())).sum(dim=-1) / 2
    # Multiplied by the mask, not indexed: a graph's shapes are fixed.
    return (divergence * (labels.chunk(2)[0] != IGNORED)).sum()
