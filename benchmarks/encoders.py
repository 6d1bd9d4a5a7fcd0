"""Trains and exports a model of each encoder family: `python -m benchmarks.encoders`, on a GPU.

All have BERT-base's sizes and random weights. Windows are as long as MSRA's, and a step has the
tokens of the recipe. Writes results/encoders.json beside this file, and prints its table.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
import transformers
from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedModel

from benchmarks.machine import machine
from benchmarks.our_loop import ROW_TOKENS, WARM_UP_STEPS, our_loop, timed
from stages.contract.section import read
from stages.model.batches import padded
from stages.model.device import make_repeatable
from stages.model.tagger import forward_of as torch_forward_of
from stages.onnx_export.graph import write_onnx
from stages.onnx_export.onnx_files import MODEL
from stages.onnx_export.opened import opened
from stages.onnx_export.placement import misplaced, per_provider, placed, shape_nodes
from stages.onnx_export.session import forward_of
from stages.params.export import Export
from stages.text.windows_table import Aligned
from stages.training.batches import packs

HERE = Path(__file__).parent
SIZES = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
SIZES |= {"intermediate_size": 3072, "vocab_size": 21128, "max_position_embeddings": 514}
FAIRSEQ = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
DEBERTA = {"relative_attention": True, "position_biased_input": False, "type_vocab_size": 0}
DEBERTA |= {"pos_att_type": ["p2c", "c2p"]}
DEBERTA_V3 = {"position_buckets": 256, "share_att_key": True, "norm_rel_ebd": "layer_norm"}
MODERN = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1}
FAMILIES: dict[str, dict[str, Any]] = {
    "BERT": {"model_type": "bert"},
    "RoBERTa": {"model_type": "roberta"} | FAIRSEQ,
    "XLM-R": {"model_type": "xlm-roberta"} | FAIRSEQ,
    "CamemBERT": {"model_type": "camembert"} | FAIRSEQ,
    "ELECTRA": {"model_type": "electra", "embedding_size": 768},
    "ERNIE": {"model_type": "ernie"},
    "ALBERT": {"model_type": "albert", "embedding_size": 128},
    "DistilBERT": {"model_type": "distilbert"},
    "EuroBERT": {"model_type": "eurobert", "num_key_value_heads": 12, "pad_token_id": 0},
    "MPNet": {"model_type": "mpnet"} | FAIRSEQ,
    "DeBERTa-v2": {"model_type": "deberta-v2"} | DEBERTA,
    "DeBERTa-v3": {"model_type": "deberta-v2"} | DEBERTA | DEBERTA_V3,
    "ModernBERT": {"model_type": "modernbert", "sep_token_id": 2} | MODERN,
    "RoFormer": {"model_type": "roformer", "embedding_size": 768},
    "MegatronBERT": {"model_type": "megatron-bert"},
    "RemBERT": {"model_type": "rembert", "input_embedding_size": 256},
    "ConvBERT": {"model_type": "convbert", "embedding_size": 768},
}
WINDOWS = 64  # compared between torch and ONNX Runtime


def main() -> None:
    """Measures each family in processes of its own, prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=[*FAMILIES])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--tokens-per-step", type=int, default=8192)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        print(json.dumps(PARTS[asked.part](asked)))
        return
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2)) as threads:
        exported = [*threads.map(lambda name: _process(name, "export"), asked.families)]
    rows = []
    for name, row in zip(asked.families, exported, strict=True):  # alone on the GPU
        rows.append({"family": name} | row | _process(name, "train"))
        print(as_row(rows[-1]), flush=True)
    result = machine() | {
        "device": torch.cuda.get_device_name(),
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, ort)},
        "tokens_per_step": asked.tokens_per_step,
        "families": rows,
    }
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "encoders.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def export_part(asked: argparse.Namespace) -> dict[str, Any]:
    """What export makes of the family: operators, nodes left to the CPU, difference from torch."""
    model = _model(asked.families[0]).eval()
    windows, params = _windows(WINDOWS), read(Export, HERE.parent / "params.yaml")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, MODEL)
        fused = write_onnx(model, path, "fp32", params.opset, params.one_file_bytes)
        session = opened(params, path)
        nodes = placed(session)
        ids = padded(windows.input_ids, 0)
        mask = padded([np.ones_like(one) for one in windows.input_ids], 0)
        expected = torch_forward_of(model.cuda())(ids, mask)
        difference = np.abs(forward_of(session)(ids, mask) - expected)[mask == 1].max()
        wrong = [node.operator for node in misplaced(nodes, shape_nodes(path))]
    return {
        "fused_operators": fused,
        "nodes_per_provider": per_provider(nodes),
        "cpu_nodes": {name: wrong.count(name) for name in sorted({*wrong})},
        "logit_difference_max": float(difference),
    }


def train_part(asked: argparse.Namespace) -> dict[str, Any]:
    """Whether the family packs, and its speed."""
    model = _model(asked.families[0]).cuda()
    fast = packs(model, ROW_TOKENS)
    steps, tokens_per_step = WARM_UP_STEPS + asked.steps, asked.tokens_per_step
    windows = _windows(4 * steps * tokens_per_step // ROW_TOKENS)
    tokens, seconds = timed(our_loop(steps, tokens_per_step, model, windows, fast, fast))
    return {
        "parameters": model.num_parameters(),
        "packs": fast,
        "tokens_per_s": round(sum(tokens) / seconds),
    }


PARTS = {"export": export_part, "train": train_part}


def as_row(row: dict[str, Any]) -> str:
    """The row in Markdown."""
    if not {"tokens_per_s", "fused_operators"} <= row.keys():
        return f"| {row['family']} | failed: {row} |"
    fused = row["fused_operators"]
    attention = "fused" if {"Attention", "MultiHeadAttention"} & {*fused} else "plain"
    nodes = ", ".join(f"{count} {name}" for name, count in row["cpu_nodes"].items()) or "none"
    return (
        f"| {row['family']} | {'packed' if row['packs'] else 'one window a row'}"
        f" | {row['tokens_per_s']:,} | {attention} | {row['logit_difference_max']:.1e} | {nodes} |"
    )


def _process(name: str, part: str) -> dict[str, Any]:
    """A part of the row of a family; empty if it fails, whose reason is on stderr."""
    command = [sys.executable, "-m", "benchmarks.encoders", *sys.argv[1:]]
    ended = subprocess.run(
        [*command, "--families", name, "--part", part], stdout=subprocess.PIPE, check=False
    )
    row: dict[str, Any] = {} if ended.returncode else json.loads(ended.stdout.splitlines()[-1])
    return row


def _model(name: str) -> PreTrainedModel:
    make_repeatable(0, 2, deterministic=False)
    config = AutoConfig.for_model(**SIZES | FAMILIES[name], num_labels=7)
    return AutoModelForTokenClassification.from_config(config)


def _windows(count: int) -> Aligned:
    """Windows of MSRA's lengths, of random tokens and labels."""
    known = json.loads((HERE / "msra-lengths.json").read_text(encoding="utf-8"))["windows"]
    rng, counts = np.random.default_rng(0), np.array([*known.values()])
    lengths = rng.choice([*map(int, known)], size=count, p=counts / counts.sum())
    ids = [rng.integers(1000, 20000, length).astype(np.int32) for length in lengths]
    labels = [rng.integers(0, 7, length).astype(np.int8) for length in lengths]
    return Aligned([*range(count)], [[""]] * count, [*ids], [*labels])


if __name__ == "__main__":
    main()
