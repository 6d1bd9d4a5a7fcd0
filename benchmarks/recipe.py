"""Trains recipes with several seeds: the rows of docs/experiments.md.

Trains on data/aligned with each seed, by the recipe of params.yaml with overlays, and once more for
each further `--set`. Those that pretrain in the same way share one pretraining a seed. Prints and
writes the best dev F1 of each run and its dev F1 over time; with --test, for a recipe already
chosen, test F1 too. It imports only what the stages import, without DVC, for a GPU machine that has
no more. Elsewhere use `dvc exp`.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.machine import machine
from pipelines.workspaces.overlays import sections
from stages.model.decode import Decoder
from stages.model.device import choose_bf16, choose_device, device_figures, make_repeatable
from stages.model.tagger import forward_of
from stages.params.train import Train
from stages.scoring.spans import predict, score
from stages.text.windows_table import read_aligned
from stages.training.batches import packs
from stages.training.crf import transitions_of
from stages.training.data import Data
from stages.training.masked_lm import pretrain
from stages.training.ranks import SINGLE
from stages.training.runtime import Runtime
from stages.training.tagging import fine_tune, tagger_of


def main() -> None:
    """Trains with each seed; writes the results so far after each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--set", type=yaml.safe_load, action="append", metavar="'{train: {...}}'")
    parser.add_argument("--seed", type=int, action="append", required=True, metavar="N")
    parser.add_argument("--aligned", type=Path, default=Path("data/aligned"))
    parser.add_argument("--encoder", type=Path, default=Path("data/encoder"))
    parser.add_argument("--test", action="store_true", help="score test too")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    recipes = [{"set": values, "runs": []} for values in arguments.set or [{}]]
    for seed in arguments.seed:
        trainer = _Trainer(arguments.aligned, arguments.encoder, arguments.test)
        for recipe in recipes:
            values = {**recipe["set"], "train": {**recipe["set"].get("train", {}), "seed": seed}}
            params = sections(Path(), arguments.params, values).stages.train
            recipe["train"] = params.model_dump(exclude={"seed"})
            recipe["runs"].append({"seed": seed, **trainer.run(params)})
            keys = [key for key in recipe["runs"][0] if key.endswith("f1")]
            recipe["mean"] = {key: _spread([r[key] for r in recipe["runs"]]) for key in keys}
            print(json.dumps({**recipe["set"], **recipe["runs"][-1]}), flush=True)
            where = machine() | device_figures(trainer.device)
            result = {"machine": where, "recipes": recipes}
            arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for recipe in recipes:
        print(json.dumps({**recipe["set"], "mean": recipe["mean"]}))


class _Trainer:
    """Trains the same data with the same seed in several ways."""

    def __init__(self, aligned: Path, encoder: Path, test: bool) -> None:
        self._data, self._encoder = Data.read(aligned), encoder
        self._test = read_aligned(aligned / "test.parquet") if test else None
        self._pretrained: dict[str, tuple[Any, float]] = {}  # weights, seconds; by the section
        self.device = torch.device("cpu")

    def run(self, params: Train) -> dict[str, Any]:
        """Its best dev F1, its dev F1 over time and, if asked for, test F1."""
        self.device = choose_device(params.device, "train.device")
        make_repeatable(params.seed, params.cpu_threads, params.deterministic)
        torch._dynamo.reset()
        model = tagger_of(params, self._encoder, self._data.labels)
        packed = packs(model, self._data.labels.window_tokens)
        bf16 = choose_bf16(params.precision, self.device)
        runtime = Runtime(self.device, bf16, SINGLE, None, packed)
        before = 0.0
        if params.pretrain.epochs:
            key = params.pretrain.model_dump_json()
            if key not in self._pretrained:
                weights, measured = pretrain(params, self._encoder, self._data, runtime)
                self._pretrained[key] = weights, measured["fit_seconds"]
            weights, before = self._pretrained[key]
            model.base_model.load_state_dict(weights)
        state, measured = fine_tune(params, model, self._data, runtime)
        first, seconds = measured["first_step_seconds"], measured["fit_seconds"]
        per_step = (seconds - first) / state.step
        run = {
            "dev_f1": round(state.best_f1, 5),
            "best_step": state.best_step,
            "seconds": round(before + seconds, 1),
            "tokens_per_s": measured["tokens_per_s"],
            "curve": [  # seconds, estimated from the step; dev F1
                [round(before + first + per_step * row["step"], 1), row["dev_f1"]]
                for row in state.rows
                if "dev_f1" in row
            ],
        }
        if self._test:
            model.load_state_dict(state.best_weights)
            tags = self._data.labels.tags
            decoder = Decoder(tags, transitions_of(model))
            with torch.compiler.set_stance("force_eager"):
                forward = forward_of(model.eval())
                predicted = predict(self._test, forward, decoder, params.tokens_per_batch)[1]
            run["test_f1"] = round(float(score(self._test, predicted, tags)["f1"]), 5)
        return run


def _spread(values: list[float]) -> dict[str, float]:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.mean(values), 5), "stdev": round(deviation, 5)}


if __name__ == "__main__":
    main()
