"""The tiny model as champion, with its splits in DVC's cache, and the log of a server."""

import hashlib
import json
import random
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from pipelines.names import MODEL
from pipelines.registry.keys import PROGRAMS
from pipelines.serving.request_log import SCHEMA
from pipelines.serving.row_files import RowFiles
from pipelines.settings import Watch
from pipelines.tracking import connection
from pipelines.tracking.connection import Project
from pipelines.watching.texts import Reference, Text
from pipelines.workspaces import overlays
from stages.model.decode import Span
from stages.scoring.predictions import sha256
from stages.serving.tagger import Tagger
from stages.text.labels import Labels
from stages.text.windows_table import read_aligned
from tests.conftest import ROOT
from tests.invented import Tagged, a_sentence, entities_of, text_of
from tests.pipelines import champion
from tests.tiny import Tiny

SETTINGS = overlays.sections(ROOT).watch.model_copy(update={"bootstrap_samples": 100})


@pytest.fixture(scope="session")
def tagger(tiny: Tiny) -> Tagger:
    return Tagger(tiny.onnx, cpu_threads=1)


def in_domain(seed: int, number: int = 300) -> list[Tagged]:
    """Sentences as those of the tiny corpus, of which no two nights have the same."""
    drawn = random.Random(seed)  # noqa: S311
    return [a_sentence(drawn) for _ in range(number)]


def scored(tagger: Tagger, sentences: Iterable[Tagged]) -> list[Text]:
    """The sentences with what the model finds in them."""
    sentences = list(sentences)
    return [
        Text(
            text_of(sentence),
            {Span(e.start, e.end, e.type): e.score for e in found},
            frozenset(Span(*each) for each in entities_of(sentence)),
        )
        for sentence, found in zip(sentences, tagger(list(map(text_of, sentences))), strict=True)
    ]


@pytest.fixture(scope="session")
def known(tiny: Tiny, tagger: Tagger) -> Reference:
    """What the tiny model does on a test split of sentences, without the two long ones."""
    train = read_aligned(tiny.aligned / "train.parquet")
    characters = frozenset(c for cells in train.cells for c in cells)
    return Reference(scored(tagger, in_domain(0, 600)), characters, ["LOC", "ORG", "PER"])


@dataclass(frozen=True)
class Served:
    """A project whose champion serves, with a log."""

    project: Project
    settings: Watch
    tagger: Tagger

    def log(self, sentences: Iterable[Tagged], version: str = "1") -> None:
        """Writes the texts and what the model finds in them, as `serve --log-requests` does."""
        files = RowFiles(self.project.folder / self.settings.folder / MODEL, SCHEMA)
        texts = list(map(text_of, sentences))
        for text, found in zip(texts, self.tagger(texts), strict=True):
            entities = [dict(vars(entity)) for entity in found]
            row = {"time": datetime.now(UTC), "version": version, "text": text}
            files.add(row | {"entities": entities})
        files.write()


@pytest.fixture(scope="module")
def champion_project(
    tiny: Tiny, empty_mlflow: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tiny model as champion; DVC's cache has the splits that its dvc.lock names."""
    folder = tmp_path_factory.mktemp("watched") / "project"
    folder.mkdir()
    shutil.copy(empty_mlflow, folder)
    champion.register(folder, tiny.onnx, [])
    listed = [
        {"relpath": path.name, "md5": _cached(folder, path.read_bytes())}
        for path in sorted(tiny.aligned.iterdir())
    ]
    whole = _cached(folder, json.dumps(listed).encode(), ".dir")
    test = next(each["md5"] for each in listed if each["relpath"] == "test.parquet")
    deps = [
        {"path": "data/aligned", "md5": whole},
        {"path": "data/aligned/test.parquet", "md5": test},
    ]
    lock = {"stages": {"train": {"deps": deps[:1]}, "evaluate": {"deps": deps[1:]}}}
    client = connection.connect(folder)
    version = client.get_model_version(MODEL, "1")
    client.log_text(version.run_id, yaml.safe_dump(lock), "dvc.lock")
    tags, split = Labels.read(tiny.aligned).tags, read_aligned(tiny.aligned / "test.parquet")
    gold = [[tags[label] for label in labels] for labels in split.sentence_labels()]
    digest = sha256(split.sentence_cells(), gold)
    client.set_model_version_tag(MODEL, "1", f"{PROGRAMS}test_sha256", digest)
    return folder


@pytest.fixture
def served(
    champion_project: Path, tagger: Tagger, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """That project before its first night."""
    monkeypatch.chdir(champion_project)
    made = Served(connection.check(champion_project, model=MODEL), SETTINGS, tagger)
    yield made
    shutil.rmtree(champion_project / SETTINGS.folder, ignore_errors=True)
    client = made.project.client
    if found := client.get_experiment_by_name(f"{MODEL}-watch"):
        for run in client.search_runs([found.experiment_id]):
            client.delete_run(run.info.run_id)


def _cached(project: Path, content: bytes, ending: str = "") -> str:
    """Puts a file into DVC's cache; returns its name there."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() + ending
    path = project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return md5
