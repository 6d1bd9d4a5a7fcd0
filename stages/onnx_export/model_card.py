"""Writes the model card: README.md of the exported model, in the format of Hugging Face's hub."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.contract.errors import StageError

NAME = "named-entity-recognition"  # until the model is registered, by a name of its own
TASK = "token-classification"
HEADS = {
    "linear": "linear, the most probable tags that IOB2 allows",
    "crf": "linear-chain CRF, the most probable tag sequence by its learnt transitions",
}
METRICS = {"precision": "Precision", "recall": "Recall", "f1": "F1"}


def model_card(export: Mapping[str, Any], metrics: Path, source: Path) -> str:
    """YAML for the hub, then Markdown; it contains no sentence of the corpus.

    Args:
        export: The figures of the exported file: export.json.
        metrics: metrics.json, by `evaluate`.
        source: source.json, by `download`.

    Raises:
        StageError: `metrics` or `source` does not exist.
    """
    from huggingface_hub import EvalResult, ModelCardData  # 0.3 s

    corpus, before = _read(source, "download"), _read(metrics, "evaluate")
    types = [*export["types"]]
    encoder = corpus["encoder"]["from"]
    slug = re.sub(r"\W+", "-", corpus["name"].lower()).strip("-")
    results = [
        EvalResult(
            task_type=TASK,
            task_name="Named-entity recognition",
            dataset_type=slug,
            dataset_name=corpus["name"],
            dataset_split="test",
            metric_type=metric,
            metric_name=" ".join([title, *([type_] if type_ else [])]),
            metric_value=round((export["types"][type_] if type_ else export)[metric], 4),
        )
        for type_ in (None, *types)
        for metric, title in METRICS.items()
    ]
    of_data: dict[str, Any] = {
        "language": corpus["language"],
        "license": "other",
        "license_name": f"licence-of-{slug}",
    }
    of_model: dict[str, Any] = {
        "library_name": "onnx",
        "pipeline_tag": TASK,
        "tags": ["named-entity-recognition", TASK, *types],
        "base_model": encoder["hub_id"] if isinstance(encoder, dict) else None,
        "metrics": [*METRICS],
        "model_name": NAME,
    }
    card = ModelCardData(**of_data, **of_model, eval_results=results)
    return f"---\n{card.to_yaml()}\n---\n\n" + "\n".join(_body(export, types, before, corpus))


def _body(
    export: Mapping[str, Any], types: list[str], before: dict[str, Any], corpus: dict[str, Any]
) -> Iterator[str]:
    yield f"# {NAME}"
    yield f"\nFinds entities in text, language {corpus['language']}: {', '.join(types)}."
    yield f"Head: {HEADS[export['model_head']]}."
    yield from _scores(export, before, corpus)
    yield from _use(export)
    yield "\n## Data\n"
    yield f"{corpus['name']}. Licence: {corpus['licence']}."
    yield "It covers what is made from the data too, so this model as well.\n"
    yield "| file | sentences | SHA-256 |"
    yield "|---|---|---|"
    for split in (name for name in ("train", "dev", "test") if name in corpus):
        sentences = corpus[split].get("sentences")  # download counts them only in lines of BIO
        count = "" if sentences is None else f"{sentences:,}"
        yield f"| {split} | {count} | `{corpus[split]['sha256']}` |"
    if added := corpus.get("growing"):
        yield f"| {len(added):,} files of a growing source, in train | | in `source.json` |"
    texts = [corpus[name]["sha256"] for name in corpus if name.startswith("text.")]
    if texts:
        yield "\nUnlabelled text, for the pretraining of the encoder:\n"
        yield from (f"- a file with SHA-256 `{digest}`" for digest in texts)
    yield "\n## Limits\n"
    yield (
        f"It was scored only on {corpus['name']}. Scores on text of another kind, time or spelling"
        " may differ: label some of it and measure before you rely on the model."
    )
    yield ""


def _scores(
    export: Mapping[str, Any], before: dict[str, Any], corpus: dict[str, Any]
) -> Iterator[str]:
    test = before["test"]
    yield "\n## Scores\n"
    yield (
        f"Of this file ({export['onnx_precision']}) on the test split of {corpus['name']},"
        f" {export['test_sentences']:,} sentences. An entity counts if its type, its first and its"
        " last character are right.\n"
    )
    yield from _table("", {"all types": export} | export["types"])
    yield (
        f"\nBefore the export F1 was {test['f1']:.4f}, with a bootstrap interval of"
        f" {test['f1_low']:.4f} to {test['f1_high']:.4f}."
    )
    if test["ece"] is not None:
        yield (
            f"Expected calibration error of an entity's score: {test['ece']:.4f}, before its"
            f" calibration {test['ece_uncalibrated']:.4f}."
        )
    yield "\nThe entities that pass the threshold of their type, before the export:\n"
    yield from _table("", {"all types": before["passed"]} | before["passed"]["types"])
    if before.get("slices"):
        yield "\nSlices of the test split, before the export:\n"
        yield from _table("slice", before["slices"])


def _use(export: Mapping[str, Any]) -> Iterator[str]:
    yield "\n## Use\n"
    yield "```python"
    yield "import mlflow\n"
    yield 'model = mlflow.pyfunc.load_model("models:/NAME@champion")'
    yield "# The entities of each text: text, type, start, end, score, passed."
    yield 'model.predict(["..."])'
    yield "```\n"
    yield (
        "`model.onnx` scores each label for each token, `labels.json` has the tag of each label and"
        " the window length, `tokenizer.json` is the tokenizer."
    )
    yield (
        "`calibration.json` has each type's temperature and bias, which make a probability of a"
        " confidence, and the threshold that a score must reach to pass."
    )
    if export["model_head"] == "crf":
        yield "`transitions.json` has the CRF's score of each tag after each other."


def _table(first: str, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield f"| {first} | precision | recall | F1 | entities |"
    yield "|---|---|---|---|---|"
    for name, row in rows.items():
        figures = " | ".join(f"{row[metric]:.4f}" for metric in METRICS)
        title = name.replace("|", "\\|")
        yield f"| {title} | {figures} | {row['support']:,} |"


def _read(path: Path, stage: str) -> Any:
    if not path.is_file():
        raise StageError(f"{path} is not here: run `dvc repro {stage}` first")
    return json.loads(path.read_text(encoding="utf-8"))
