"""The model card: README.md of the exported model, in the form of Hugging Face's hub."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.contract.errors import StageError

NAME = "msra-ner"
TASK = "token-classification"
METRICS = {"precision": "Precision", "recall": "Recall", "f1": "F1"}


def model_card(export: Mapping[str, Any], metrics: Path, source: Path) -> str:
    """YAML for the hub, then Markdown; no sentence of the corpus is in it.

    Args:
        export: The figures of the exported file: export.json.
        metrics: What `evaluate` found before the export.
        source: What `download` says of the corpus and the encoder.

    Raises:
        StageError: `metrics` or `source` is not there.
    """
    from huggingface_hub import EvalResult, ModelCardData  # 0.3 s

    corpus, before = _read(source, "download"), _read(metrics, "evaluate")
    types = [name for name, value in export.items() if isinstance(value, dict) and "f1" in value]
    encoder = corpus["encoder"]["from"]
    slug = re.sub(r"\W+", "-", corpus["name"].lower()).strip("-")
    data = ModelCardData(
        language=corpus["language"],
        license="other",
        license_name=f"licence-of-{slug}",
        library_name="onnx",
        pipeline_tag=TASK,
        tags=["named-entity-recognition", TASK, *types],
        base_model=encoder["hub_id"] if isinstance(encoder, dict) else None,
        metrics=[*METRICS],
        model_name=NAME,
        eval_results=[
            EvalResult(
                task_type=TASK,
                task_name="Named-entity recognition",
                dataset_type=slug,
                dataset_name=corpus["name"],
                dataset_split="test",
                metric_type=metric,
                metric_name=" ".join([title, *([type_] if type_ else [])]),
                metric_value=round((export[type_] if type_ else export)[metric], 4),
            )
            for type_ in (None, *types)
            for metric, title in METRICS.items()
        ],
    )
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(_body(export, types, before, corpus))


def _body(
    export: Mapping[str, Any], types: list[str], before: dict[str, Any], corpus: dict[str, Any]
) -> Iterator[str]:
    test = before["test"]
    yield f"# {NAME}"
    yield f"\nFinds entities in text, language {corpus['language']}: {', '.join(types)}."
    yield "\n## Scores\n"
    yield (
        f"Of this file ({export['onnx_precision']}) on the test split of {corpus['name']},"
        f" {export['test_sentences']:,} sentences. An entity counts if its type, its first and its"
        " last character are right.\n"
    )
    yield from _table("", {"all": export} | {type_: export[type_] for type_ in types})
    yield (
        f"\nBefore the export F1 was {test['f1']:.4f}; with test sentences drawn anew it lies"
        f" between {test['f1_low']:.4f} and {test['f1_high']:.4f}."
    )
    if test["ece"] is not None:
        yield f"Expected calibration error of an entity's score: {test['ece']:.4f}."
    if before.get("slices"):
        yield "\nParts of the test split, and variants of it, before the export:\n"
        yield from _table("slice", before["slices"])
    yield "\n## Use\n"
    yield "```python"
    yield "import mlflow\n"
    yield f'model = mlflow.pyfunc.load_model("models:/{NAME}@champion")'
    yield 'model.predict(["..."])  # of each text its entities: text, type, start, end, score'
    yield "```\n"
    yield (
        "`model.onnx` gives a score of each label for each token, `labels.json` says which tag a"
        " label is and how long text is cut into windows, `tokenizer.json` is the tokenizer's."
    )
    yield "\n## Data\n"
    yield f"{corpus['name']}. Licence: {corpus['licence']}."
    yield "It holds for what is made of the data too, so for this model.\n"
    yield "| file | sentences | SHA-256 |"
    yield "|---|---|---|"
    for split in (name for name in ("train", "dev", "test") if name in corpus):
        sentences = corpus[split].get("sentences")  # which download counts in lines of BIO alone
        count = "" if sentences is None else f"{sentences:,}"
        yield f"| {split} | {count} | `{corpus[split]['sha256']}` |"
    yield "\n## Limits\n"
    yield (
        f"It was scored on {corpus['name']} alone. Text of another kind, time or spelling may give"
        " other scores: label some of it and measure before you rely on it."
    )
    yield ""


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
