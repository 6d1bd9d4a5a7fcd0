"""The section `train` of params.yaml."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from stages.contract.section import Device, Fraction, Positive, Section, Seed


class Pretrain(Section):
    """Masked language modelling on the training text, before fine-tuning."""

    epochs: Annotated[int, Field(ge=0)] = Field(description="0: none")
    learning_rate: Annotated[float, Field(gt=0)]
    tokens_per_step: Positive = Field(description="As train.tokens_per_step")
    mask_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Of the tokens, to predict"
    )

    @model_validator(mode="before")
    @classmethod
    def _text_is_downloaded(cls, values: Any) -> Any:
        if isinstance(values, dict) and "text" in values:
            raise ValueError("text belongs to download.text: that stage fetches and checks it")
        return values


class Train(Section):
    """How `train` works."""

    device: Device = Field(description="auto: CUDA if available; cuda: fail without it")
    gpus: Literal["auto"] | Positive = Field(
        description="Processes on this machine, one per GPU; auto: all visible GPUs, 1 on the CPU"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        description="auto: bf16 if the GPU has it, else fp32; bf16: fail without it, as on the CPU"
    )
    cpu_threads: Positive = Field(description="Threads of torch on the CPU; they change the result")
    seed: Seed
    deterministic: bool = Field(description="Same bytes on the same kind of device")
    pretrain: Pretrain
    head: Literal["linear", "crf"] = Field(
        description="linear: each token's own tag; crf: a linear-chain CRF's tag sequence"
    )
    crf_learning_rate: Annotated[float, Field(gt=0)] = Field(
        description="Of the CRF's transitions; no weight decay"
    )
    epochs: Positive
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        description="Of the head and the last layer"
    )
    layer_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Of the learning rate, from each layer to the one below"
    )
    r_drop: Annotated[float, Field(ge=0)] = Field(
        description="Weight of the divergence between two dropouts of a batch; takes twice the time"
    )
    attention_dropout: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        description="Of attention weights; null: the encoder's own. 0 saves a tenth of the time"
    )
    warmup_fraction: Fraction = Field(description="Of all steps, with a linearly rising rate")
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Annotated[float, Field(gt=0)] = Field(description="Maximum L2 norm of the gradient")
    tokens_per_step: Positive = Field(
        description="Per optimizer step, padding included, in rows of align.window_tokens"
    )
    tokens_per_batch: Positive = Field(description="Of these, in memory at once")
    compile: bool = Field(
        description="On a GPU: compile the layers and replay each batch as a CUDA graph"
    )
    gradient_checkpointing: bool = Field(
        description="Compute each layer twice instead of keeping its activations, for small GPUs"
    )
    evals_per_epoch: Positive
    patience_evals: Positive = Field(
        description="Stop after this many evaluations without a better dev F1"
    )
    checkpoint_minutes: Annotated[float, Field(gt=0)] = Field(
        description="Between two checkpoints; a killed run resumes from the last"
    )
    try_export: bool = Field(
        description="Export two random layers beside the first steps, and end if that fails"
    )
    save_dtype: Literal["float32", "float16", "bfloat16"] = Field(description="Of models/ner")

    @model_validator(mode="after")
    def _checkpointing_excludes_compilation(self) -> Self:
        if self.gradient_checkpointing and self.compile:
            raise ValueError("gradient_checkpointing needs compile: false")
        return self
