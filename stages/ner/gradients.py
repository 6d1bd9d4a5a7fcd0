"""The gradients of a training step, as fast as the device can."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel

from stages.ner.labels import IGNORED

WARM_UP = 3  # passes before a capture, as pytorch.org/docs/stable/notes/cuda.html asks for


def compile_layers(model: PreTrainedModel) -> None:
    """Compiles the encoder's layers in place, all by one compilation, for batches of one shape."""
    for layer in model.base_model.encoder.layer:
        layer.compile(fullgraph=True, dynamic=False)


class Gradients:
    """Adds up the gradients of a step; on a GPU by replaying one CUDA graph a batch, if `graph`.

    A graph starts some hundred kernels at once; all batches must then have the same shape. Wrapped
    for DDP, the model averages the gradients over the ranks during the last batch's backward.
    """

    def __init__(
        self, model: PreTrainedModel | DistributedDataParallel, bf16: bool, graph: bool
    ) -> None:
        self._model, self._bf16, self._replay = model, bf16, graph
        self._graph: torch.cuda.CUDAGraph | None = None
        self._loss = torch.zeros((), device=model.device)
        self._share = torch.zeros((), device=model.device)  # of one labelled token in the mean

    def __call__(self, batches: Sequence[torch.Tensor], labelled: float, seed: int) -> torch.Tensor:
        """The gradients are in the parameters' `.grad`; returns the loss, still on the device.

        The loss is the mean cross-entropy over the step's labelled tokens, in however many batches,
        so accumulation changes no result but by rounding. `seed` decides the step's dropout.
        """
        if self._replay and self._graph is None:
            self._graph = self._captured(batches[0])
        torch.manual_seed(seed)
        self._loss.zero_()
        self._share.fill_(1 / labelled)
        for batch in batches:
            if self._graph is None:
                with nullcontext() if batch is batches[-1] else self._not_averaged():
                    self._add(batch.to(self._model.device, non_blocking=True))
            else:
                self._batch.copy_(batch, non_blocking=True)
                self._graph.replay()
        return self._loss

    def _not_averaged(self) -> AbstractContextManager[None]:
        ddp = isinstance(self._model, DistributedDataParallel)
        return self._model.no_sync() if ddp else nullcontext()

    def _add(self, batch: torch.Tensor) -> None:
        ids, positions, member, labels = batch.unbind()
        mask = member[:, None, :, None] == member[:, None, None, :]
        with torch.autocast(self._model.device.type, torch.bfloat16, enabled=self._bf16):
            logits = self._model(input_ids=ids, position_ids=positions, attention_mask=mask).logits
        total = cross_entropy(
            logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        loss = total * self._share
        loss.backward()  # type: ignore[no-untyped-call]
        self._loss += loss.detach()

    def _captured(self, batch: torch.Tensor) -> torch.cuda.CUDAGraph:
        """Records what `_add` does on a batch of this shape; the weights stay as they are."""
        self._batch = batch.to(self._model.device)
        # All on one stream: on another the gradients would be added up outside of the graph.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._add(self._batch)
        torch.cuda.current_stream().wait_stream(stream)
        # Zeroed, not dropped: the graph adds to gradients at fixed addresses.
        self._model.zero_grad(set_to_none=False)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            self._add(self._batch)
        self._loss.zero_()
        return graph
