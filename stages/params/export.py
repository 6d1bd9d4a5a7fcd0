"""The section `export` of params.yaml, without defaults: params.yaml has every number."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stages.contract.section import Fraction, Positive, Section


class Export(Section):
    """How `export` writes and checks the ONNX file."""

    precision: Literal["fp32", "fp16", "bf16", "int8"] = Field(
        description="Of the weights; int8 only for the CPU"
    )
    require_cuda: bool = Field(description="Fail if the CUDA provider cannot run the model")
    cpu_threads: Positive
    opset: Annotated[int, Field(ge=18)]
    tokens_per_batch: Positive
    logit_tolerance: Annotated[float, Field(gt=0)] = Field(
        description="Largest difference of ONNX to torch, fp32"
    )
    tag_agreement_min: Fraction = Field(
        description="Share of cells with torch's tag, other precisions"
    )
    f1_delta_max: Fraction = Field(
        description="Difference to torch's F1 in either direction, other precisions"
    )
    one_file_bytes: Annotated[int, Field(gt=0, lt=2**31)] = Field(
        description="Larger weights go to model.onnx.data"
    )

    @model_validator(mode="after")
    def _int8_is_for_the_cpu(self) -> Self:
        if self.precision == "int8" and self.require_cuda:
            raise ValueError(
                "precision is int8, which CUDA does not run: set require_cuda: false, or precision:"
                " fp16"
            )
        return self
