"""The Trainer of transformers, tuned, as a loop that yields after each step."""

import tempfile
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import torch
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from benchmarks.tutorial import Windows, collate
from stages.text.windows_table import Aligned


def trainer_loop(
    model: PreTrainedModel, data: Aligned, steps: int, batch: int
) -> Iterator[torch.Tensor]:
    """bf16, fused AdamW, batches of similar length, workers; yields the tokens of each step.

    The Trainer runs in a thread and waits at the end of each step, so that the caller can time it.
    `torch_compile` is off: it compiles each length anew, which had not ended after three minutes on
    an H100 (torch 2.11).
    """
    done: SimpleQueue[torch.Tensor | BaseException | None] = SimpleQueue()
    go: SimpleQueue[bool] = SimpleQueue()

    class Counting(Trainer):
        def training_step(self, model: Any, inputs: Any, *rest: Any, **more: Any) -> torch.Tensor:
            self.tokens = inputs["attention_mask"].sum()
            return super().training_step(model, inputs, *rest, **more)

    class Waiting(TrainerCallback):
        def on_step_end(self, _args: Any, _state: Any, control: Any, **_more: Any) -> None:
            done.put(trainer.tokens)
            control.should_training_stop = not go.get()

    with tempfile.TemporaryDirectory() as folder:
        trainer = Counting(
            model,
            _arguments(folder, steps, batch),
            data_collator=collate,
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
                yield tokens
                go.put(True)
        finally:
            go.put(False)
            thread.join()


def _arguments(folder: str, steps: int, batch: int) -> TrainingArguments:
    return TrainingArguments(
        folder,
        max_steps=steps,
        per_device_train_batch_size=batch,
        learning_rate=5e-5,
        bf16=True,
        optim="adamw_torch_fused",
        train_sampling_strategy="group_by_length",
        dataloader_num_workers=4,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
