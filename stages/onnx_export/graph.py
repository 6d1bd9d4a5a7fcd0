"""Exports the tagger as an ONNX graph, with ONNX Runtime's fused operators where they fit.

Before torch 2.8 attention stays in separate operators.
"""

import copy
import inspect
import logging
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import onnx
import torch
from torch import nn
from transformers import PreTrainedModel

from stages.contract.errors import StageError
from stages.onnx_export.attention import use_fused_attention

DTYPES = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "int8": torch.float32,  # quantised afterwards
}


def write_onnx(
    model: PreTrainedModel, path: Path, precision: str, opset: int, one_file_bytes: int
) -> dict[str, int]:
    """Writes `model` to `path`: ids and mask, both int64 [batch, length] → fp32 logits.

    More than `one_file_bytes` of weights go to `path` + `.data`: protobuf is limited to 2 GiB.

    Returns:
        Number of each of ONNX Runtime's own operators.

    Raises:
        StageError: torch cannot export the model.
    """
    proto = _fuse_rest(_exported(model, DTYPES[precision], opset), precision)
    if precision == "int8":
        proto = _quantised(proto)
    _remove_paths(proto)
    external = sum(len(tensor.raw_data) for tensor in proto.graph.initializer) > one_file_bytes
    operators = Counter(n.op_type for n in proto.graph.node if n.domain == "com.microsoft")
    onnx.save(
        proto,
        path,
        save_as_external_data=external,
        all_tensors_to_one_file=True,
        location=f"{path.name}.data",
    )
    return dict(sorted(operators.items()))


class _Logits(nn.Module):
    """The model with tensors in and out."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.has_types = "token_type_ids" in inspect.signature(model.forward).parameters

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        types = {"token_type_ids": torch.zeros_like(input_ids)} if self.has_types else {}
        logits: torch.Tensor = self.model(
            input_ids=input_ids, attention_mask=attention_mask, **types
        ).logits
        return logits.float()


def _exported(model: PreTrainedModel, dtype: torch.dtype, opset: int) -> onnx.ModelProto:
    model = copy.deepcopy(model).to("cpu")
    # Two sentences of four tokens: the exporter takes an axis of 1 for a constant. Two tensors:
    # given the same one twice, it makes one input of both.
    examples = (torch.ones((2, 4), dtype=torch.int64), torch.ones((2, 4), dtype=torch.int64))
    dynamic = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", min=2)}
    if hasattr(torch.onnx, "ops"):
        use_fused_attention(model)
    else:  # torch 2.6, where a named axis is bound to the encoder's positions
        logging.getLogger(__name__).warning("no fused attention by torch %s", torch.__version__)
        model.set_attn_implementation("sdpa")
        dynamic = dict.fromkeys(dynamic, torch.export.Dim.DYNAMIC)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):  # the two inputs have the same axes
            program = torch.onnx.export(
                _Logits(model.to(dtype)).eval(),
                examples,
                dynamo=True,
                input_names=["input_ids", "attention_mask"],
                output_names=["logits"],
                dynamic_shapes={"input_ids": dynamic, "attention_mask": dynamic},
                opset_version=opset,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        cause = str(error.__cause__ or error).strip().partition("\n")[0]
        raise StageError(
            f"torch {torch.__version__} cannot export an encoder of type"
            f" {model.config.model_type} to ONNX ({cause}): choose another download.encoder,"
            " such as bert, xlm-roberta, deberta-v2 or, for long windows, modernbert"
        ) from None
    if program is None:
        raise StageError("torch.onnx.export returned no program; try another export.opset")
    return program.model_proto


def _fuse_rest(proto: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """Fuses GELU with its bias and, of half precision, layer norm with the sum before it.

    On a CPU that takes twice the time of its parts. For CUDA ONNX Runtime does it where it opens a
    model of fp32.
    """
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    options.enable_attention = False  # already fused
    options.enable_embed_layer_norm = False  # needs a mask
    # ModernBERT's layer norms have no bias, which the fusion expects.
    norms = [n for n in proto.graph.node if n.op_type == "LayerNormalization"]
    options.enable_skip_layer_norm = DTYPES[precision] != torch.float32 and all(
        len(norm.input) == 3 for norm in norms
    )
    return optimize_model(proto, "bert", optimization_options=options, opt_level=0).model


def _quantised(proto: onnx.ModelProto) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        logging.disable(logging.WARNING)  # it advises what was already done, on the root logger
        try:
            quantize_dynamic(proto, path, weight_type=QuantType.QInt8)
        finally:
            logging.disable(logging.NOTSET)
        return onnx.load(path)


def _remove_paths(proto: onnx.ModelProto) -> None:
    """Removes stack traces, which contain paths of this machine."""
    for node in [*proto.graph.node, *(n for f in proto.functions for n in f.node)]:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    proto.graph.ClearField("metadata_props")
    for value in [*proto.graph.value_info, *proto.graph.input, *proto.graph.output]:
        value.ClearField("metadata_props")
