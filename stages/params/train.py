"""The section `train` of params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stages.contract.section import Device, Fraction, Positive, Section, Seed


class Pretrain(Section):
    """How `train` goes on with masked language modelling on the training text, before it tags."""

    epochs: Annotated[int, Field(ge=0)] = Field(description="0: not at all")
    learning_rate: Annotated[float, Field(gt=0)]
    tokens_per_step: Positive = Field(description="As train.tokens_per_step")
    mask_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(description="Of tokens, predicted")


class Train(Section):
    """How `train` fine-tunes."""

    device: Device = Field(description="auto: CUDA if there is one; cuda: or fail")
    gpus: Literal["auto"] | Positive = Field(
        description="Processes on this machine, one a GPU; auto: all that are visible, 1 on the CPU"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        description="auto: bf16 where the GPU has it, else fp32; bf16: or fail, on the CPU too"
    )
    cpu_threads: Positive = Field(description="Of torch on the CPU; part of the result")
    seed: Seed
    deterministic: bool = Field(description="The same bytes on the same kind of device")
    pretrain: Pretrain
    epochs: Positive
    learning_rate: Annotated[float, Field(gt=0)] = Field(description="Of head and last layer")
    layer_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Of the learning rate, from each layer to the one below"
    )
    r_drop: Annotated[float, Field(ge=0)] = Field(
        description="Weight of how far two dropouts of a batch disagree; takes twice the time"
    )
    warmup_fraction: Fraction = Field(description="Of all steps, rising linearly")
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Annotated[float, Field(gt=0)] = Field(description="Of the gradient, L2")
    tokens_per_step: Positive = Field(
        description="An optimizer step, padding included, in rows of align.window_tokens"
    )
    tokens_per_batch: Positive = Field(description="Of them, held in memory at once")
    compile: bool = Field(
        description="On a GPU: compile the layers and replay a step as one CUDA graph"
    )
    gradient_checkpointing: bool = Field(
        description="Compute each layer twice instead of keeping it, for small GPUs"
    )
    evals_per_epoch: Positive
    patience_evals: Positive = Field(description="Stop after as many without a better dev F1")
    checkpoint_minutes: Annotated[float, Field(gt=0)] = Field(
        description="Between two checkpoints; a killed run goes on from the last"
    )
    save_dtype: Literal["float32", "float16", "bfloat16"] = Field(description="Of models/ner")

    @model_validator(mode="after")
    def _a_graph_keeps_what_it_computed(self) -> Self:
        if self.gradient_checkpointing and self.compile:
            raise ValueError("gradient_checkpointing needs compile: false")
        return self
