"""Runs a registered model in a separate process, with the code that was logged with it.

`python -m pipelines.promotion.isolated_model` reads a job as JSON from stdin and writes JSON to
stdout. It imports nothing from stages/, which would replace the code of the model.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.errors import Exit, Refused
from pipelines.workspaces import clean_environment

WARM_UP = 3  # texts of each length that are not timed: ONNX Runtime plans memory for each shape
TEXTS_AT_ONCE = 64
TIMEOUT_S = 3600.0  # a test split of 5,000 sentences takes minutes on a CPU
# Frequent characters and digits: latency depends on the length, hardly on the characters.
ALPHABET = "的一是在不了有和人这中大为上个国我以要他0123456789"


def latency(
    model: Path, characters: Sequence[int], texts: int
) -> tuple[dict[int, tuple[float, float]], str]:
    """Times single texts.

    Args:
        model: Folder of the MLflow model.
        characters: The lengths.
        texts: Number of texts of each length.

    Returns:
        Length in characters → median and 99th percentile in milliseconds; and the provider.
    """
    drawn = random.Random(0)  # noqa: S311
    each = texts + WARM_UP
    batches = [
        ["".join(drawn.choices(ALPHABET, k=length))] for length in characters for _ in range(each)
    ]
    done = _run(model, batches)
    figures = {}
    for number, length in enumerate(characters):
        timed = done["ms"][number * each + WARM_UP : (number + 1) * each]
        p50, p99 = np.percentile(timed, [50, 99])
        figures[length] = (float(p50), float(p99))
    return figures, done["provider"]


def entities(model: Path, texts: Sequence[str]) -> list[set[tuple[int, int, str]]]:
    """The (start, end, type) of each text's entities; raises as `answers`."""
    return [{(e["start"], e["end"], e["type"]) for e in found} for found in answers(model, texts)]


def answers(model: Path, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
    """Each text's entities, as the model's own code gives them: with scores.

    Raises:
        Refused: if the model does not load, or returns an error for a text.
    """
    batches = [
        list(texts[start : start + TEXTS_AT_ONCE]) for start in range(0, len(texts), TEXTS_AT_ONCE)
    ]
    rows = _run(model, batches)["rows"]
    wrong = [row["error"] for row in rows if row.get("error")]
    if wrong:
        raise Refused(Exit.ERROR, f"The model returns an error for a test sentence: {wrong[0]}")
    return [row["entities"] for row in rows]


def _run(model: Path, batches: list[list[str]]) -> dict[str, Any]:
    # -P keeps the current folder, and so this project's stages/, off the path.
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), *_pythonpath()]))
    job = json.dumps({"model": str(model), "batches": batches})
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pipelines.promotion.isolated_model"],
            input=job,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=clean_environment.make() | {"PYTHONPATH": path},
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise Refused(
            Exit.FILES, f"The {model.name}'s model did not answer within {TIMEOUT_S:.0f} s here"
        ) from None
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise Refused(Exit.FILES, f"The {model.name}'s model does not run here ({words})")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _pythonpath() -> list[str]:
    return os.environ.get("PYTHONPATH", "").split(os.pathsep)


def _main() -> None:
    import mlflow
    import pandas as pd

    job = json.load(sys.stdin)
    milliseconds, rows = [], []
    with redirect_stdout(sys.stderr):
        # Puts the model's own stages/ first on the path.
        model = mlflow.pyfunc.load_model(job["model"])
        for batch in job["batches"]:
            frame = pd.DataFrame({"text": batch})
            started = time.perf_counter()
            found = model.predict(frame)
            milliseconds.append((time.perf_counter() - started) * 1000)
            rows += found
    tagger = getattr(model.unwrap_python_model(), "tagger", None)
    provider = getattr(tagger, "provider", "unknown")
    json.dump({"ms": milliseconds, "rows": rows, "provider": provider}, sys.stdout)


if __name__ == "__main__":
    _main()
