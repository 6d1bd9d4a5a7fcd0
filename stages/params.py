"""The sections of params.yaml, one a stage. No defaults here: params.yaml holds every number."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from stages.params_align import Align
from stages.section import Address, Fraction, Positive, Section, Seed

Device = Literal["auto", "cpu", "cuda"]
UNPINNED = "unpinned"  # a source that is meant to change; source.json has the hash that was found


class Source(Section):
    """One file to fetch, and how to know that it is the right one."""

    sources: list[Address] = Field(
        min_length=1,
        description="Tried in turn: http(s):// or file:// addresses or paths, $VARIABLES filled in",
    )
    bytes: Positive | None = Field(description="Size")
    git_blob: str | None = Field(pattern=r"^[0-9a-f]{40}$", description="Git's id of the content")
    sha256: str | None = Field(
        pattern=f"^([0-9a-f]{{64}}|{UNPINNED})$", description=f"Of the content, or {UNPINNED}"
    )

    @model_validator(mode="after")
    def _has_a_hash(self) -> Self:
        if not (self.git_blob or self.sha256):
            raise ValueError("needs git_blob or sha256: a source without either cannot be checked")
        if self.sha256 == UNPINNED and (self.git_blob or self.bytes):
            raise ValueError(f"is {UNPINNED}, so bytes and git_blob must be null")
        return self


class Encoder(Section):
    """The pre-trained encoder: a hub id at a revision, or a folder."""

    hub_id: str | None = Field(description="Hugging Face hub id; HF_ENDPOINT is honoured")
    revision: str | None = Field(pattern=r"^[0-9a-f]{40}$", description="Commit of the hub id")
    folder: str | None = Field(description="Local folder instead; $VARIABLES are expanded")
    sha256: dict[str, str] = Field(description="File name → SHA-256, for the files to check")
    from_scratch: bool = Field(description="Whether the encoder comes without weights on purpose")

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        if (self.hub_id is None) == (self.folder is None):
            raise ValueError("needs either hub_id or folder")
        if self.hub_id is not None and self.revision is None:
            raise ValueError("hub_id needs revision, the 40 digits of a commit")
        return self


class Download(Section):
    """What `download` fetches."""

    name: str = Field(min_length=1, description="Of the corpus, for the report and the model card")
    language: str = Field(pattern=r"^[a-z]{2,3}$", description="Of the corpus, by ISO 639")
    train: Source
    dev: Source | None = Field(description="null: align holds it out of train")
    test: Source
    licence: str = Field(description="Of the corpus, copied into source.json")
    encoder: Encoder
    timeout_s: Annotated[float, Field(gt=0)] = Field(description="Without a byte, before giving up")
    attempts: Positive = Field(description="A source, each going on where the last was cut off")

    @property
    def splits(self) -> dict[str, Source]:
        """The corpus's files, by split."""
        sources = {"train": self.train, "dev": self.dev, "test": self.test}
        return {name: source for name, source in sources.items() if source is not None}


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


class Bootstrap(Section):
    """The interval of a score, by drawing the test sentences anew."""

    samples: Annotated[int, Field(ge=100)] = Field(description="How many times")
    confidence: Fraction = Field(description="Of the interval, two-sided")
    seed: Seed


class Evaluate(Section):
    """How `evaluate` scores, and what its report shows."""

    device: Device
    cpu_threads: Positive
    tokens_per_batch: Positive
    errors: Positive = Field(
        description="The most confident ones, kept in errors.jsonl; as many sentences in the report"
    )
    length_bins: list[Positive] = Field(
        min_length=1, description="Lower bounds of the entity lengths in the F1-by-length plot"
    )
    sentence_length_bins: list[Positive] = Field(
        min_length=1, description="Lower bounds of the sentence lengths, in characters"
    )
    frequency_bins: list[Annotated[int, Field(ge=0)]] = Field(
        min_length=1, description="Lower bounds of how often an entity is in train; 0: unseen"
    )
    confidence_bins: Positive = Field(description="Equal ranges, for the calibration error")
    thresholds: list[Fraction] = Field(min_length=1, description="Of confidence")
    bootstrap: Bootstrap


class Export(Section):
    """How `export` writes and checks the ONNX file."""

    precision: Literal["fp32", "fp16", "bf16", "int8"] = Field(
        description="Of the weights; int8 is for the CPU"
    )
    require_cuda: bool = Field(description="Fail where the CUDA provider cannot run the model")
    cpu_operators: list[str] = Field(
        description="Operators on shapes, which the CPU may run where CUDA is required"
    )
    cpu_threads: Positive
    opset: Annotated[int, Field(ge=18)]
    tokens_per_batch: Positive
    logit_tolerance: Annotated[float, Field(gt=0)] = Field(description="ONNX against torch, fp32")
    tag_agreement_min: Fraction = Field(description="Tokens with torch's tag, other precisions")
    f1_delta_max: Fraction = Field(description="To torch's F1, either way, other precisions")
    one_file_bytes: Annotated[int, Field(gt=0, lt=2**31)] = Field(
        description="More of weights than this go to model.onnx.data"
    )

    @model_validator(mode="after")
    def _int8_is_for_the_cpu(self) -> Self:
        if self.precision == "int8" and self.require_cuda:
            raise ValueError(
                "precision is int8, which CUDA does not run: set require_cuda: false, or precision:"
                " fp16"
            )
        return self


class Params(Section):
    """All of params.yaml."""

    download: Download
    align: Align
    train: Train
    evaluate: Evaluate
    export: Export
    promote: dict[str, Any] = Field(description="Not a stage's: see pipelines/settings.py")
    run: dict[str, Any] = Field(description="Not a stage's: see pipelines/settings.py")
