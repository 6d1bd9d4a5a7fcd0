"""The Trainer of transformers, tuned, as a loop that yields after each step."""

import tempfile
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import torch
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from benchmarks.tutorial import Example, Windows, collate
from stages.text.windows_table import Aligned
from stages.training.gradients import compile_layers

LENGTHS = (32, 64, 96, 128)  # of a compiled model's batches, each of which is compiled


def trainer_loop(
    model: PreTrainedModel, data: Aligned, batch: int, compiled: bool = False
) -> Iterator[torch.Tensor]:
    """bf16, fused AdamW, batches of similar length, workers; yields the tokens of each step.

    One epoch, since its batches go from the longest windows to the shortest.
    The Trainer runs in a thread and waits at the end of each step, so that the caller can time it.
    `torch_compile` would compile the whole model for each length, which had not ended after three
    minutes on an H100 (torch 2.11). With `compiled` the layers are, for four lengths, in an epoch
    before.
    """
    if compiled:
        torch._dynamo.config.recompile_limit = 4 * len(LENGTHS)
        compile_layers(model)
    done: SimpleQueue[torch.Tensor | BaseException | None] = SimpleQueue()
    go: SimpleQueue[bool] = SimpleQueue()

    class Counting(Trainer):
        def training_step(self, model: Any, inputs: Any, *rest: Any, **more: Any) -> torch.Tensor:
            self.tokens = inputs["attention_mask"].sum()
            return super().training_step(model, inputs, *rest, **more)

    class Waiting(TrainerCallback):
        def on_step_end(self, _args: Any, _state: Any, control: Any, **_more: Any) -> None:
            done.put(trainer.tokens)
            control.should_training_stop |= not go.get()

    with tempfile.TemporaryDirectory() as folder:
        trainer = Counting(
            model,
            _arguments(folder, batch, epochs=2 if compiled else 1),
            data_collator=_collate_few_lengths if compiled else collate,
            train_dataset=Windows(data, range(len(data.input_ids))),
            callbacks=[Waiting()],
        )

        def train() -> None:
            try:
                trainer.train()
                done.put(None)
            except BaseException as error:
                done.put(error)

        thread = threading.Thread(target=train, daemon=True)
        thread.start()
        try:
            while (tokens := done.get()) is not None:
                if isinstance(tokens, BaseException):
                    raise tokens
                if not compiled or trainer.state.epoch > 1:
                    yield tokens
                go.put(True)
        finally:
            go.put(False)
            thread.join()


def _collate_few_lengths(rows: list[Example]) -> dict[str, torch.Tensor]:
    longest = max(len(row["input_ids"]) for row in rows)
    return collate(rows, min(length for length in LENGTHS if length >= longest))


def _arguments(folder: str, batch: int, epochs: int) -> TrainingArguments:
    return TrainingArguments(
        folder,
        num_train_epochs=epochs,
        per_device_train_batch_size=batch,
        learning_rate=5e-5,
        bf16=True,
        optim="adamw_torch_fused",
        train_sampling_strategy="group_by_length",
        dataloader_num_workers=4,
        dataloader_drop_last=True,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
