"""One committed stand-in project for the tests that leave it as it is, and copies for the rest."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.pipelines import standin
from tests.support.once import once
from tests.tiny import Tiny

if TYPE_CHECKING:
    from tests.pipelines.registered import Registered


OF_THE_USER = ("GIT_", "MLFLOW_", "DVC_")


@pytest.fixture(autouse=True, scope="session")
def no_settings_of_the_one_who_runs_the_tests() -> Iterator[None]:
    """Fixtures of the session come before those of a test, and connect to MLflow too."""
    with pytest.MonkeyPatch.context() as patch:
        _delete(patch)
        yield


@pytest.fixture(autouse=True)
def _no_settings_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    _delete(monkeypatch)


def _delete(patch: pytest.MonkeyPatch) -> None:
    for key in os.environ:
        if key.startswith(OF_THE_USER):
            patch.delenv(key)


@pytest.fixture(scope="session")
def ran(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """A project after `python -m pipelines run`, which had to start a Prefect server itself."""

    def make(folder: Path) -> None:
        project = standin.project(folder / "project")
        (folder / "done.json").write_text(json.dumps(vars(standin.pipelines(project, "run"))))

    folder = once(tmp_path_factory, "ran", make)
    done = json.loads((folder / "done.json").read_text())
    return folder / "project", subprocess.CompletedProcess(**done)


@pytest.fixture(scope="session")
def one_version(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Path:
    """A project with one run, whose result is registered as version 1; to be copied."""
    from tests.pipelines import done

    def make(folder: Path) -> None:
        project = standin.project(folder / "project")
        shutil.copy(empty_mlflow, project)
        done.run(project, 0.5)

    return once(tmp_path_factory, "one_version", make) / "project"


@pytest.fixture
def copied(one_version: Path, tmp_path: Path) -> Path:
    """A copy of it, as `cp -a` makes one."""
    return Path(shutil.copytree(one_version, tmp_path / "copy", symlinks=True))


@pytest.fixture(scope="session")
def logged(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> "Registered":
    """A project with runs to register; who registers versions forgets them."""
    from tests.pipelines import registered

    return registered.project(tmp_path_factory.mktemp("registered") / "project", empty_mlflow)


@pytest.fixture(scope="session")
def latency() -> "Callable[..., object]":
    """Times a model once: it is a process that imports MLflow, and most versions are alike."""
    from pipelines.promotion import isolated_model
    from stages.contract.hashing import checksums

    measure, known = isolated_model.latency, {}

    def latency(model: Path, *given: object) -> object:
        # The others name the run and the version.
        files = [item for item in checksums(model).items() if item[0].startswith(("artif", "code"))]
        key = repr((files, given))
        if key not in known:
            known[key] = measure(model, *given)
        return known[key]

    return latency


@pytest.fixture
def made(
    logged: "Registered", latency: "Callable[..., object]", monkeypatch: pytest.MonkeyPatch
) -> "Iterator[Registered]":
    """That project with its registry empty and MLflow's client pointing there."""
    from pipelines.promotion import isolated_model
    from pipelines.registry import claim
    from pipelines.tracking import connection

    monkeypatch.setattr(claim, "SETTLE_S", 0.01)
    monkeypatch.setattr(isolated_model, "latency", latency)
    connection.connect(logged.project)
    yield logged
    logged.forget()


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """For `promote --params`: a latency that is soon measured."""
    path = tmp_path / "quick.yaml"
    path.write_text("promote: {latency: {characters: [16], texts: 20}}\n")
    return path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a subcommand in this process; gives its exit code, stdout and stderr."""
    from pipelines.cli.app import main

    def command(*arguments: object) -> tuple[int, str, str]:
        before = signal.getsignal(signal.SIGTERM)
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        finally:
            signal.signal(signal.SIGTERM, before)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


@pytest.fixture(scope="session")
def run(prefect_url: str, empty_mlflow: Path):
    """`run(project, **parameters)` gives the flow run's final state."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from pipelines.flows.train import msra_ner

    def run(project: Path, **parameters):
        if not (project / "mlflow.db").exists() and "MLFLOW_TRACKING_URI" not in os.environ:
            shutil.copy(empty_mlflow, project)
        return msra_ner(project=project, return_state=True, **parameters)

    with temporary_settings({PREFECT_API_URL: prefect_url}):
        yield run


@pytest.fixture(scope="session")
def expected(tiny: Tiny) -> dict[str, list[tuple[str, int, int]]]:
    """Seven texts and what the tagger finds in them."""
    from stages.serving.tagger import Tagger
    from tests.invented import text_of

    texts = [text_of(sentence) for sentence in tiny.test[2:40]]
    found = Tagger(tiny.onnx, cpu_threads=1)(texts)
    spans = ([(e.type, e.start, e.end) for e in entities] for entities in found)
    several = {text: row for text, row in zip(texts, spans, strict=True) if row}
    assert len(several) > 7
    return dict(list(several.items())[:7])


@pytest.fixture
def answer(registered: Path):
    """Predicts in this process, three rows a batch: the last batch is then not a full one."""
    from pipelines.names import MODEL
    from pipelines.prediction.predict import Wanted, predict

    def answer(texts=(), source=None, output=None, column="text", batch_size=3, restart=False):
        predict(registered, list(texts), source, column, output, batch_size, Wanted(MODEL), restart)

    return answer
