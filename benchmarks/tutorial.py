"""The training loop of tutorials, to compare with ours."""

from collections.abc import Iterator, Sequence

import torch
from torch.optim import AdamW
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel, get_linear_schedule_with_warmup

from stages.text.labels import IGNORED
from stages.text.windows_table import Aligned

Example = dict[str, list[int]]


class Windows(Dataset[Example]):
    """The windows of a split as lists, as in `datasets`."""

    def __init__(self, data: Aligned, indices: Sequence[int]) -> None:
        self._rows = [
            {"input_ids": data.input_ids[i].tolist(), "labels": data.labels[i].tolist()}
            for i in indices
        ]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Example:
        return self._rows[index]


def collate(rows: list[Example], length: int | None = None) -> dict[str, torch.Tensor]:
    """Pads rows to `length`, by default to the longest row."""
    length = length or max(len(row["input_ids"]) for row in rows)

    def filled(key: str, fill: int) -> torch.Tensor:
        return torch.tensor([row[key] + [fill] * (length - len(row[key])) for row in rows])

    mask = [[1] * len(r["input_ids"]) + [0] * (length - len(r["input_ids"])) for r in rows]
    return {
        "input_ids": filled("input_ids", 0),
        "attention_mask": torch.tensor(mask),
        "labels": filled("labels", IGNORED),
    }


def tutorial_loop(
    model: PreTrainedModel,
    data: Aligned,
    epochs: int,
    learning_rate: float,
    seed: int,
    length: int = 128,
    batch: int = 16,
    steps: int | None = None,
) -> Iterator[int]:
    """fp32, AdamW, linear decay, every row padded to `length`.

    As in huggingface.co/learn/llm-course/chapter7/2, without accelerate. Yields the tokens of each
    step, without padding.
    """
    windows = Windows(data, range(len(data.input_ids)))
    torch.manual_seed(seed)
    loader = DataLoader(
        windows, batch_size=batch, shuffle=True, collate_fn=lambda rows: collate(rows, length)
    )
    total = steps or epochs * len(loader)
    optimizer = AdamW(model.parameters(), lr=learning_rate)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, total)
    for _ in range(epochs):
        for rows in loader:
            model.train()
            on_device = {key: value.to(model.device) for key, value in rows.items()}
            loss = model(**on_device).loss
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            yield int(rows["attention_mask"].sum())
            total -= 1
            if not total:
                return
