"""The loss of a linear-chain CRF on packed rows, and its parameters.

Lafferty et al., 2001. Why it is own code: `stages.model.transitions`.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import log_softmax, pad
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from stages.model.transitions import Transitions, allowed
from stages.text.labels import IGNORED

FORBIDDEN = -1e4  # nats, in place of -inf, which makes gradients NaN
LEAST = 1e-30  # of the largest weight in a product; fp32 ends at 1e-38
SCORES_AT_ONCE = 2**23  # tokens times pairs of labels: some 150 MB until the backward pass


class Crf(nn.Module):
    """The transitions, all 0 at first, and the negative log-likelihood of labels."""

    _forbidden: torch.Tensor
    """[labels, labels]: `FORBIDDEN` where a column's label may not follow a row's, else 0."""

    def __init__(self, tags: Sequence[str]) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(len(tags)))
        self.scores = nn.Parameter(torch.zeros(len(tags), len(tags)))
        forbidden = FORBIDDEN * torch.from_numpy(~allowed(tags)).float()
        self.register_buffer("_forbidden", forbidden, persistent=False)

    def forward(
        self, logits: torch.Tensor, labels: torch.Tensor, windows: torch.Tensor
    ) -> torch.Tensor:
        """The negative log-likelihood of the labels in nats, summed over all windows.

        The labels of a window that are not IGNORED are one sequence. Shapes do not depend on values
        and nothing waits for the device, so a CUDA graph can replay it.

        Args:
            logits: fp32 [rows, row length, labels].
            labels: int64 [rows, row length].
            windows: number of each token's window within its row, int64 [rows, row length].
        """
        rows = max(1, SCORES_AT_ONCE // (labels.shape[1] * self.scores.numel()))
        parts = list(
            zip(*(torch.split(each, rows) for each in (logits, labels, windows)), strict=True)
        )
        if len(parts) == 1:
            return self._loss(*parts[0])
        # Computed again in the backward pass, or hundreds of labels would fill the memory.
        losses = [
            checkpoint(self._loss, *part, use_reentrant=False, preserve_rng_state=False)
            for part in parts
        ]
        return torch.stack(losses).sum()

    def _loss(
        self, logits: torch.Tensor, labels: torch.Tensor, windows: torch.Tensor
    ) -> torch.Tensor:
        tokens = labels.shape[1]
        more = 2 ** (tokens - 1).bit_length() - tokens  # for `product`
        labels, windows = pad(labels, (0, more), value=IGNORED), pad(windows, (0, more))
        # Near 0 fp32 is finer. It changes no difference of two sequences.
        emissions = pad(log_softmax(logits, dim=-1), (0, 0, 0, more))
        before, scores = self._scores(labels, windows)
        scores = scores + emissions[..., None, :]
        # A token that is not scored has the identity, which changes no product.
        identity = FORBIDDEN * (1 - torch.eye(scores.shape[-1], device=scores.device))
        scores = torch.where((labels != IGNORED)[..., None, None], scores, identity)
        number = torch.arange(scores.shape[-1], device=labels.device)
        passed = (number[:, None] == before[..., None, None]) & (number == labels[..., None, None])
        gold = scores.masked_fill(~passed, 0).sum(dim=(1, 2, 3))
        return (product(scores)[:, 0].logsumexp(dim=-1) - gold).sum()

    def _scores(
        self, labels: torch.Tensor, windows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of each token the label before it, and the scores [rows, row length, before, label].

        The first label of a window has the same score after any label of the window before, so that
        a row is one sequence. A window that continues a sentence, by its context or by an I- at its
        start, may begin with any label, at no cost: what is before it is not known.
        """
        positions = torch.arange(labels.shape[1], device=labels.device)
        last = positions.expand_as(labels).masked_fill(labels == IGNORED, -1).cummax(dim=1).values
        last = pad(last[:, :-1], (1, 0), value=-1)  # the scored token before
        at = last.clamp(min=0)
        before = labels.gather(1, at).clamp(min=0)
        first = (last < 0) | (windows.gather(1, at) != windows)
        context = pad(windows, (2, 0))[:, :-2] == windows  # besides [CLS]
        inner = self._forbidden[0][labels.clamp(min=0)] < 0
        start = (self.start + self._forbidden[0]).expand(*labels.shape, -1)
        start = start.masked_fill((context | inner)[..., None], 0)
        scores = self.scores + self._forbidden
        return before, torch.where(first[..., None, None], start[..., None, :], scores)


def product(scores: torch.Tensor) -> torch.Tensor:
    """Multiplies matrices in log space: [rows, n, labels, labels] → [rows, labels, labels].

    In pairs, then pairs of pairs: the seven steps for 128 tokens take a GPU less time than 128
    steps from token to token, though they are more work. `n` is a power of two.
    """
    while scores.shape[1] > 1:
        left, right = torch.unflatten(scores, 1, (-1, 2)).unbind(2)
        of_row = left.detach().amax(dim=-1, keepdim=True)
        of_column = right.detach().amax(dim=-2, keepdim=True)
        weights = (left - of_row).exp() @ (right - of_column).exp()
        scores = weights.clamp(min=LEAST).log() + of_row + of_column
    return scores[:, 0]


def transitions_of(model: PreTrainedModel) -> Transitions | None:
    """The transitions of a model with a CRF head; None: its head is linear."""
    crf = getattr(model, "crf", None)
    if crf is None:
        return None
    forbidden = crf._forbidden < 0
    start = crf.start.detach().masked_fill(forbidden[0], -torch.inf)
    scores = crf.scores.detach().masked_fill(forbidden, -torch.inf)
    return Transitions(start.cpu().numpy(), scores.cpu().numpy())
