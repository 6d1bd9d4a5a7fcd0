"""`pipelines serve --shadow`: another version scores a sample of what the champion answers."""

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pyarrow.parquet as pq
import pytest

from pipelines.names import MODEL
from pipelines.registry import versions
from pipelines.registry.registry import Registry
from pipelines.serving.disagreements import read
from pipelines.serving.loading import Loaded
from pipelines.serving.metrics import Metrics
from pipelines.serving.sampling import QUEUE_TEXTS, TEXT_CHARACTERS
from pipelines.serving.shadow import NICENESS, Plan, Shadow
from pipelines.tracking import connection
from tests.pipelines.served import Server
from tests.pipelines.workspaces.test_process_group import wait_for

KEPT = "entities.append(Entity(text[start:end], span.type, "
OTHER = "span.type == 'PER' or entities.append(Entity(text[start:end], 'ORG', "


@pytest.fixture(scope="module")
def project(registered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Champion 1; challenger 2 finds no people, and takes places for organisations."""
    project = tmp_path_factory.mktemp("shadow") / "project"
    shutil.copytree(registered, project)
    code = project / "stages/serving/tagger.py"
    text = code.read_text()
    assert text.count(KEPT) == 1
    code.write_text(text.replace(KEPT, OTHER))
    client = connection.connect(project)
    [experiment] = client.search_experiments(filter_string="name = 'registered'")
    tags = {"dvc_lock": "2" * 64, "commit": "none"}
    with mlflow.start_run(experiment_id=experiment.experiment_id, tags=tags) as run:
        versions.log_model(project, MODEL)
        made = versions.register(Registry(client, MODEL), client.get_run(run.info.run_id))
    assert made == "2"
    return project


@pytest.fixture
def server(project: Path, tmp_path: Path) -> Iterator[Server]:
    options = ["--sample", "1", "--every", "0.2", "--shadow-folder", str(tmp_path / "kept")]
    options += ["--log-requests", str(tmp_path / "asked"), "--redact-digits"]
    served = Server(project, tmp_path / "log", "--shadow", "challenger", *options)
    try:
        yield served.ready()
    finally:
        if served.process.poll() is None:
            assert served.stop() == 0


def compared(server: Server) -> float:
    results = ("same", "different", "dropped", "failed")
    return sum(server.metric(f'ner_shadow_texts_total{{result="{r}"}}') for r in results)


def test_the_champion_answers_and_what_differs_is_kept(server, project, sentences, tmp_path):
    wait_for(lambda: "ner_shadow_model_info{" in server.get("/metrics"), "it is loaded", 60)
    texts = [text for text, _ in sentences]
    server.rows({"inputs": [None]})  # has no answer to keep
    rows = server.rows({"inputs": texts})
    found = [[(e["text"], e["type"], e["start"], e["end"]) for e in r["entities"]] for r in rows]
    assert found == [expected for _, expected in sentences]
    wait_for(lambda: compared(server) == len(texts), "all are compared", 60)
    types = [[type_ for _, type_, *_ in expected] for _, expected in sentences]
    missed, changed = (sum(each.count(type_) for each in types) for type_ in ("PER", "LOC"))
    assert min(missed, changed) > 0
    for kind, count in {"missed": missed, "type": changed, "spurious": 0, "boundary": 0}.items():
        assert server.metric(f'ner_shadow_disagreements_total{{kind="{kind}"}}') == count
    found = nicenesses(server.process.pid)
    assert found == sorted({found[0], min(19, found[0] + NICENESS)})

    client = connection.connect(project)
    client.set_registered_model_alias(MODEL, "champion", "2")
    client.delete_registered_model_alias(MODEL, "challenger")
    try:
        wait_for(lambda: "ner_shadow_model_info{" not in server.get("/metrics"), "it is gone", 60)
        wait_for(lambda: server.metric("ner_swaps_total") == 1, "the champion is swapped", 60)
        wait_for(lambda: server.metric("ner_versions_loaded") == 1, "the old one goes", 60)
        server.rows({"inputs": texts})
        assert compared(server) == len(texts)
    finally:
        client.set_registered_model_alias(MODEL, "champion", "1")
        client.set_registered_model_alias(MODEL, "challenger", "2")
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()

    kept = list(read(tmp_path / "kept" / MODEL, "1", "2"))
    assert len(kept) == len(texts)
    differing = [text for text, has in zip(texts, types, strict=True) if {"PER", "LOC"} & {*has}]
    assert sorted(row["text"] for row in kept if row["text"]) == sorted(differing)
    assert all(bool(row["text"]) == bool(row["differences"]) for row in kept)

    [path] = (tmp_path / "asked" / MODEL).iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    log = pq.read_table(path).to_pylist()
    assert [row["version"] for row in log] == ["1"] * len(texts) + ["2"] * len(texts)
    asked = [re.sub(r"\d", "0", text) for text in texts]
    assert asked != texts  # some have digits
    assert [row["text"] for row in log] == asked * 2
    assert all(
        [(e["type"], e["start"], e["end"]) for e in row["entities"]]
        == [(type_, start, end) for _, type_, start, end in expected]
        for row, (_, expected) in zip(log, sentences, strict=False)
    )
    assert all(e["text"] == r["text"][e["start"] : e["end"]] for r in log for e in r["entities"])


def nicenesses(pid: int) -> list[int]:
    stats = [path.read_text() for path in Path("/proc", str(pid), "task").glob("*/stat")]
    return sorted({int(stat.rpartition(")")[2].split()[16]) for stat in stats})


def shadow(folder: Path, metrics: Metrics, sample: float = 1.0) -> Shadow:
    registry = Registry(None, MODEL)  # type: ignore[arg-type]
    return Shadow(Plan("2", "challenger", sample, folder), registry, metrics, 1.0)


def answers(texts: list[str]) -> list[dict]:
    if "broken" in texts:
        raise ValueError("broken")
    return [{"entities": [], "error": None} for _ in texts]


LOADED = Loaded("2", "CPUExecutionProvider", answers)


def counted(metrics: Metrics) -> dict[str, float]:
    [family] = [f for f in metrics.registry.collect() if f.name == "ner_shadow_texts"]
    return {s.labels["result"]: s.value for s in family.samples if s.name.endswith("_total")}


def take(metrics: Metrics, texts: list[str], version: str = "1") -> None:
    metrics.took(version, texts, answers([""] * len(texts)), 0.1)


def test_what_does_not_fit_is_dropped_and_nothing_waits(tmp_path: Path) -> None:
    metrics = Metrics()
    made = shadow(tmp_path, metrics)
    take(metrics, ["before it is loaded"])
    made.swap(LOADED)
    take(metrics, ["of the same version"], "2")
    assert counted(metrics) == {"dropped": 0}
    take(metrics, ["x" * (TEXT_CHARACTERS + 1)])
    take(metrics, ["x" * TEXT_CHARACTERS] * (QUEUE_TEXTS + 7))
    assert counted(metrics) == {"dropped": 8}


def test_a_share_of_the_texts_is_taken(tmp_path: Path) -> None:
    metrics = Metrics()
    shadow(tmp_path, metrics, sample=0.1).swap(LOADED)
    for _ in range(20):
        take(metrics, ["x"] * 1000)
    taken = QUEUE_TEXTS + counted(metrics)["dropped"]
    assert 1700 < taken < 2300  # 7 standard deviations


def test_a_version_that_raises_stops_nothing(tmp_path: Path) -> None:
    metrics, stop = Metrics(), threading.Event()
    made = shadow(tmp_path, metrics)
    made.swap(LOADED)
    take(metrics, ["broken"] * 8)
    take(metrics, ["whole"] * 3)
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    wait_for(lambda: counted(metrics) == {"dropped": 0, "failed": 8, "same": 3}, "all are done", 20)
    stop.set()
    thread.join(20)
    assert len(list(read(tmp_path / MODEL, "1", "2"))) == 3


def test_another_name_than_challenger_is_refused(project: Path, command, monkeypatch) -> None:
    monkeypatch.chdir(project)
    code, _, said = command("serve", "--port", "0", "--shadow", "best")
    assert code == 2
    assert "best is neither challenger nor a version's number" in said
