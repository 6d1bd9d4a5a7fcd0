"""Promotion and rollback against a real registry on SQLite."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from dvc.config import Config

from pipelines import aliases, history, registry, standing, tracking
from pipelines.errors import Exit, Refused
from pipelines.promote import promote, rollback
from tests.pipelines import registered
from tests.pipelines.registered import Registered


@pytest.fixture
def made(logged: Registered, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registered]:
    monkeypatch.setattr(aliases, "SETTLE_S", 0.01)
    tracking.connect(logged.project)
    yield logged
    logged.forget()


def go(made: Registered, version: str | None = None, /, **changes):
    given = {key: changes.pop(key) for key in ("reason", "force") if key in changes}
    to = made.settings.model_copy(update=changes)
    return promote(made.client, made.project, to, version, **given)


def forced(made: Registered, run: str, **tags: str) -> str:
    """The run's version, made champion without gates."""
    version = made.version(run, **tags)
    go(made, version, force=True, reason="to begin with")
    return version


def refused(code: Exit, call, *given, **named) -> Refused:
    with pytest.raises(Refused) as error:
        call(*given, **named)
    assert error.value.exit_code == code, error.value
    return error.value


def test_the_first_champion_passes_all_gates_and_says_so(made: Registered) -> None:
    made.version("good")
    done = go(made)
    assert made.aliases() == {"champion": "1"}
    tags = made.tags("1")
    said = {key: tags[key] for key in tags if key.startswith("gate.")}
    p50, p99 = said.pop("gate.latency_p50"), said.pop("gate.latency_p99")
    assert p50.startswith("passed ")
    assert p50.endswith(" ms <= 100 ms, at 16 characters")
    assert p99.startswith("passed ")
    assert said == {
        "gate.f1": "passed 0.9600 >= 0.93",
        "gate.f1.PER": "passed 0.9600 >= 0.93",
        "gate.f1.ORG": "passed 0.9600 >= 0.86",
        "gate.f1.LOC": "passed 0.9600 >= 0.92",
        "gate.parity": "passed 2.00e-05 <= 0.001",
        "gate.cuda": "passed the exported file ran on CUDA",
        "gate.labels": "passed no champion to compare with",
        "gate.not_worse": "passed no champion to compare with",
    }
    assert [gate.name for gate in done.gates if not gate.passed] == []
    assert tags["promotion.provider"] == "CPUExecutionProvider"
    assert tags["promoted.why"] == "gates passed"
    assert tags["promoted.who"] == aliases.who()
    assert history.events(made.client) == [done.event]


def test_a_better_one_takes_over_and_rollback_takes_it_back(made: Registered) -> None:
    first = forced(made, "good")
    second = made.version("better")
    done = go(made, reason="more data")
    assert made.aliases() == {"champion": second, "previous": first}
    gate = made.tags(second)["gate.not_worse"]
    assert gate.startswith("passed F1 +0.0200 to the champion, 95% interval [+0.0000, +0.0500]")
    assert made.tags(second)["gate.labels"] == "passed the champion's 7 labels"
    assert (done.event.before, done.event.version, done.event.why) == (first, second, "more data")
    assert (done.event.f1_before, done.event.f1) == (0.96, 0.98)

    back = rollback(made.client, made.project, "complaints")
    assert made.aliases() == {"champion": first}
    events = history.events(made.client)
    assert [(e.action, e.before, e.version, e.why, e.forced) for e in events] == [
        ("promote", None, first, "to begin with", True),
        ("promote", first, second, "more data", False),
        ("rollback", second, first, "complaints", False),
    ]
    assert (back.f1_before, back.f1) == (0.98, 0.96)
    error = refused(Exit.NO_PREVIOUS, rollback, made.client, made.project)
    assert str(error).startswith("There is no previous champion to go back to (champion: 1)")
    assert history.events(made.client) == events


def test_every_failed_gate_is_said_and_kept(made: Registered) -> None:
    first = forced(made, "better")
    second = made.version("worse", cuda_validated="false", gate__old="passed long ago")
    error = refused(Exit.GATES, go, made, f1_min=0.95, logit_difference_max=1e-5)
    lines = str(error).splitlines()
    assert lines[0] == f"msra-ner version {second} is not promoted, 4 of 10 gates failed:"
    assert lines[1:4] == [
        "  f1: 0.9300 < 0.95",
        "  parity: 2.00e-05 > 1e-05",
        "  cuda: the exported file did not run on CUDA",
    ]
    assert lines[4].startswith("  not_worse: F1 -0.0500 to the champion, 95% interval [-0.0900, ")
    assert lines[5] == f"Champion: still version {first}"
    tags = made.tags(second)
    assert tags["gate.f1"] == "failed 0.9300 < 0.95"
    assert tags["gate.f1.PER"] == "passed 0.9300 >= 0.93"
    assert "gate.old" not in tags
    assert "promoted.when" not in tags
    assert made.aliases() == {"champion": first, "challenger": second}
    assert len(history.events(made.client)) == 1
    assert [g["name"] for g in error.gates if not g["passed"]] == [
        "f1",
        "parity",
        "cuda",
        "not_worse",
    ]


def test_another_label_set_and_a_slow_model_are_refused(made: Registered) -> None:
    if "labels" not in made.runs:
        made.log("labels", 96, labels=[*registered.TAGS, "B-GPE", "I-GPE"])
    first, second = forced(made, "good"), made.version("labels")
    tight = made.settings.latency.model_copy(update={"p50_ms_max": 1e-6, "p99_ms_max": 1e9})
    error = refused(Exit.GATES, go, made, latency=tight)
    labels, p50 = [gate for gate in error.gates if not gate["passed"]]
    assert labels["said"] == "not the champion's labels (more: B-GPE, I-GPE)"
    assert p50["name"] == "latency_p50"
    assert p50["said"].endswith(" ms > 1e-06 ms, at 16 characters")
    assert made.aliases() == {"champion": first, "challenger": second}


def test_what_is_champion_already_and_what_is_not_there(made: Registered) -> None:
    version = forced(made, "good")
    for given in ({}, {"force": True, "reason": "again"}):
        error = refused(Exit.ALREADY, go, made, version, **given)
        assert str(error) == "msra-ner version 1 is the champion already"
    error = refused(Exit.ERROR, go, made)
    assert str(error).startswith("msra-ner has no challenger (champion: 1): name a version")
    assert "has no version 99" in str(refused(Exit.ERROR, go, made, "99"))
    assert "has no version best" in str(refused(Exit.ERROR, go, made, "best"))
    assert "needs --reason" in str(refused(Exit.ERROR, go, made, version, force=True))
    assert "needs --reason" in str(refused(Exit.ERROR, go, made, version, force=True, reason=" "))
    assert made.aliases() == {"champion": "1"}


@pytest.mark.parametrize(
    ("tag", "value", "named"),
    [
        ("export__f1", None, "export.f1"),
        ("export__f1", "n/a", "export.f1"),
        ("export__ORG__f1", None, "export.ORG.f1"),
        ("export__logit_difference_max", None, "export.logit_difference_max"),
        ("test_sha256", None, "test_sha256"),
        ("cuda_validated", None, "cuda_validated"),
    ],
)
def test_a_lacking_figure_is_named(
    made: Registered, tag: str, value: str | None, named: str
) -> None:
    version = made.version("good", **{tag: value})
    error = refused(Exit.FIGURES, go, made)
    assert str(error).startswith(f"msra-ner version {version} lacks {named} among its tags")
    assert made.aliases() == {"challenger": version}


def test_another_precision_brings_its_figures(made: Registered) -> None:
    version = made.version("good", onnx_precision="fp16")
    error = refused(Exit.FIGURES, go, made)
    assert " lacks export.tag_agreement, export.f1_delta among its tags" in str(error)
    figures = {"tag_agreement": "0.9998", "f1_delta": "0.0002", "logit_difference_max": "0.02"}
    for key, value in figures.items():
        made.client.set_model_version_tag(registry.MODEL, version, f"export.{key}", value)
    go(made)
    assert made.aliases() == {"champion": version}
    assert made.tags(version)["gate.parity"].startswith("passed fp16: 99.980% of the tags")


def test_a_changed_model_does_not_load(made: Registered) -> None:
    onnx = model_folder(made, "worse") / "artifacts/onnx/model.onnx"
    onnx.write_text("another")
    made.version("worse", onnx_sha256=None)
    try:
        said = str(refused(Exit.FILES, go, made))
        assert said.startswith("The challenger's model does not run here (The ONNX model in ")
        assert "is not the one that was registered: its SHA-256 is not" in said
    finally:
        onnx.write_text("onnx")


def test_force_needs_no_figures_and_is_shown(made: Registered, capsys) -> None:
    version = made.version("worse", export__f1=None)
    done = go(made, version, force=True, reason="the old one leaks")
    assert (done.gates, done.event.forced, done.event.f1) == ([], True, None)
    assert made.aliases() == {"champion": version}
    assert not [key for key in made.tags(version) if key.startswith("gate.")]
    standing.show_history(history.events(made.client))
    [row] = [line for line in capsys.readouterr().out.splitlines() if "leaks" in line]
    for word in ("promote, forced", "unknown", "none", aliases.who()):
        assert word in row


def model_folder(made: Registered, run: str) -> Path:
    [output] = made.client.get_run(made.runs[run]).outputs.model_outputs
    location = mlflow.get_logged_model(output.model_id).artifact_location
    return Path(location.removeprefix("file://"))


def test_files_that_are_gone_stop_even_force(made: Registered, tmp_path: Path) -> None:
    model = model_folder(made, "worse")
    version = made.version("worse")
    for gone in (model / "artifacts/onnx/model.onnx", model / "MLmodel", model):
        shutil.move(gone, tmp_path / "away")
        for given in ({}, {"force": True, "reason": "now"}):
            error = refused(Exit.FILES, go, made, version, **given)
            assert str(error).startswith(f"Files of msra-ner version {version} are gone (")
            assert "\n" not in str(error)
        shutil.move(tmp_path / "away", gone)
    onnx = model / "artifacts/onnx/model.onnx"
    onnx.write_text("another")
    error = refused(Exit.FILES, go, made, version, force=True, reason="now")
    assert "is not the file that was exported" in str(error)
    onnx.write_text("onnx")
    run_id = made.runs["worse"]
    name = "reports/sentences.csv"
    counts = Path(made.client.download_artifacts(run_id, name)).read_text()
    for changed in (counts + f"{registered.SENTENCES},PER,1,1,1\n", counts[:1000], "<html>"):
        made.client.log_text(run_id, changed, name)
        error = refused(Exit.FILES, go, made)
        assert str(error).startswith(f"{name} of msra-ner version {version} is gone or cut (")
    made.client.log_text(run_id, counts, name)
    assert made.aliases() == {"challenger": version}


def test_a_model_that_does_not_run_is_not_promoted(made: Registered) -> None:
    tagger = model_folder(made, "worse") / "code/stages/ner/tagger.py"
    code = tagger.read_text()
    tagger.write_text(code.replace('== "onnx"', '== "of another opset"'))
    made.version("worse")
    try:
        error = refused(Exit.FILES, go, made)
        assert str(error) == "The challenger's model does not run here (AssertionError)"
    finally:
        tagger.write_text(code)


def test_a_champion_whose_files_are_gone_fails_the_comparison(
    made: Registered, tmp_path: Path
) -> None:
    first = forced(made, "worse")
    second = made.version("better")
    model = model_folder(made, "worse")
    shutil.move(model, tmp_path / "away")
    try:
        error = refused(Exit.GATES, go, made, second)
        [failed] = [gate for gate in error.gates if not gate["passed"]]
        assert failed["name"] == "not_worse"
        assert failed["said"].startswith(f"no figure: Files of msra-ner version {first} are gone")
        go(made, second, force=True, reason="it is gone")
        assert made.aliases() == {"champion": second, "previous": first}
        error = refused(Exit.FILES, rollback, made.client, made.project)
        assert made.aliases() == {"champion": second, "previous": first}
    finally:
        shutil.move(tmp_path / "away", model)


def test_status_says_who_has_which_alias(made: Registered, capsys) -> None:
    forced(made, "good")
    second = made.version("better")
    refused(Exit.GATES, go, made, f1_min=0.99)
    found = standing.status(made.client)
    assert found["previous"] is None
    assert found["champion"]["f1"] == 0.96
    assert found["challenger"]["version"] == second
    assert found["challenger"]["type_f1"] == {"PER": 0.98, "ORG": 0.98, "LOC": 0.98}
    assert found["challenger"]["gates"]["f1"] == "failed 0.9800 < 0.99"
    standing.show_status(found)
    said = capsys.readouterr().out
    assert f"challenger, version {second}: gate f1 failed 0.9800 < 0.99" in said
    [row] = [line for line in said.splitlines() if line.startswith("│ champion")]
    assert "0.9600" in row
    assert aliases.who() in row


class TestOtherTestData:
    """The champion was scored on another test split than the challenger."""

    @pytest.fixture
    def split(self, made: Registered, tmp_path: Path) -> Iterator[Path]:
        """A run on a split of its own; the path is where DVC's cache has that."""
        md5, sha = registered.write_test_split(tmp_path / "test.parquet")
        if "other" not in made.runs:
            made.log("other", registered.SENTENCES, **{"export.test_sha256": sha})
            run_id = made.runs["other"]
            rows = "".join(f"{n},LOC,{g},{g},{g}\n" for n, g in enumerate([1, 2, 0] * 20))
            header = "sentence,type,gold,predicted,right\n"
            made.client.log_text(run_id, header + rows, "reports/sentences.csv")
            made.client.log_text(run_id, registered.dvc_lock(md5), "dvc.lock")
            made.client.log_metric(run_id, "export.test_sentences", 60)
        cached = made.project / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
        cached.parent.mkdir(parents=True)
        shutil.move(tmp_path / "test.parquet", cached)
        yield cached
        shutil.rmtree(made.project / ".dvc" / "cache")

    def test_the_champion_is_scored_again_on_a_split_from_the_remote(
        self, made: Registered, split: Path, tmp_path: Path
    ) -> None:
        away = tmp_path / "remote" / split.relative_to(made.project / ".dvc" / "cache")
        away.parent.mkdir(parents=True)
        shutil.move(split, away)
        local = made.project / ".dvc" / "config.local"
        with Config(str(made.project / ".dvc")).edit("local") as config:
            config["remote"] = {"store": {"url": str(tmp_path / "remote")}}
            config["core"] = {"remote": "store"}
        try:
            forced(made, "good")
            version = made.version("other")
            go(made, version)
            # It finds 北京 in 40 sentences and misses 上海 in 20: F1 is 80 / 100.
            gate = made.tags(version)["gate.not_worse"]
            assert gate.startswith("passed F1 +0.2000 to the champion, 95% interval [+0.1")
            assert gate.endswith(", champion scored again on this test data")
            assert split.is_file()
        finally:
            local.unlink()

    def test_a_split_that_is_nowhere_fails_with_what_to_do(
        self, made: Registered, split: Path
    ) -> None:
        split.unlink()
        forced(made, "good")
        made.version("other")
        error = refused(Exit.GATES, go, made)
        [failed] = [gate for gate in error.gates if not gate["passed"]]
        assert failed["said"].startswith("no figure: the test split of version 2 cannot be had (")
        assert "run `dvc pull data/aligned/test.parquet` at its commit c0ffee" in failed["said"]
        assert "\n" not in failed["said"]


def test_a_named_version_leaves_the_challenger_alone(made: Registered) -> None:
    first, second = made.version("good"), made.version("better")
    go(made, first)
    assert made.aliases() == {"champion": first, "challenger": second}
