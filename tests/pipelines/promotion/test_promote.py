"""Promotion and rollback against a real registry on SQLite."""

import pytest

from pipelines.cli import status_table
from pipelines.errors import Exit
from pipelines.names import MODEL
from pipelines.promotion.promote import rollback
from pipelines.registry import history, versions
from tests.pipelines import registered
from tests.pipelines.promotion.promoting import forced, go, refused
from tests.pipelines.registered import Registered


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
        "gate.calibration": "passed 0.0200 <= 0.03",
        "gate.parity": "passed 2.00e-05 <= 0.001",
        "gate.cuda": "passed the exported file ran on CUDA",
        "gate.labels": "passed no champion to compare with",
        "gate.not_worse": "passed no champion to compare with",
    }
    assert [gate.name for gate in done.gates if not gate.passed] == []
    assert tags["promotion.provider"] == "CPUExecutionProvider"
    assert tags["promoted.why"] == "gates passed"
    assert tags["promoted.who"] == history.who()
    assert history.events(made.registry) == [done.event]


def test_a_version_from_before_the_prefix_is_read_as_well(made: Registered) -> None:
    number = made.version("good")
    for key, value in made.client.get_model_version(MODEL, number).tags.items():
        made.client.delete_model_version_tag(MODEL, number, key)
        made.client.set_model_version_tag(MODEL, number, key.removeprefix("ner."), value)
    assert versions.first_of(made.registry, {"dvc_lock": "good"}).version == int(number)
    assert go(made).event.f1 == 0.96
    found = status_table.status(made.registry)["champion"]
    assert (found["f1"], found["type_f1"]["PER"], found["cuda_validated"]) == (0.96, 0.96, True)


def test_a_better_one_takes_over_and_rollback_takes_it_back(made: Registered) -> None:
    first = forced(made, "good")
    second = made.version("better")
    done = go(made, reason="more data")
    assert made.aliases() == {"champion": second, "previous": first}
    gate = made.tags(second)["gate.not_worse"]
    assert gate.startswith(
        "passed F1 +0.0200 against the champion, 95% interval [+0.0000, +0.0500]"
    )
    assert made.tags(second)["gate.labels"] == "passed the champion's 7 labels"
    assert (done.event.before, done.event.version, done.event.why) == (first, second, "more data")
    assert (done.event.f1_before, done.event.f1) == (0.96, 0.98)

    back = rollback(made.registry, made.project, "complaints")
    assert made.aliases() == {"champion": first}
    events = history.events(made.registry)
    assert [(e.action, e.before, e.version, e.why, e.forced) for e in events] == [
        ("promote", None, first, "to begin with", True),
        ("promote", first, second, "more data", False),
        ("rollback", second, first, "complaints", False),
    ]
    assert (back.f1_before, back.f1) == (0.98, 0.96)
    error = refused(Exit.NO_PREVIOUS, rollback, made.registry, made.project)
    assert str(error).startswith("There is no previous champion to roll back to (champion: 1)")
    assert history.events(made.registry) == events


def test_every_failed_gate_is_said_and_kept(made: Registered) -> None:
    first = forced(made, "better")
    second = made.version("worse", cuda_validated="false", gate__old="passed long ago")
    error = refused(Exit.GATES, go, made, f1_min=0.95, logit_difference_max=1e-5)
    lines = str(error).splitlines()
    assert lines[0] == f"Version {second} of msra-ner was not promoted: 4 of 11 gates failed."
    assert lines[1:4] == [
        "  f1: 0.9300 < 0.95",
        "  parity: 2.00e-05 > 1e-05",
        "  cuda: the exported file did not run on CUDA",
    ]
    assert lines[4].startswith(
        "  not_worse: F1 -0.0500 against the champion, 95% interval [-0.0900, "
    )
    assert lines[5] == f"Champion: still version {first}"
    tags = made.tags(second)
    assert tags["gate.f1"] == "failed 0.9300 < 0.95"
    assert tags["gate.f1.PER"] == "passed 0.9300 >= 0.93"
    assert "gate.old" not in tags
    assert "promoted.when" not in tags
    assert made.aliases() == {"champion": first, "challenger": second}
    assert len(history.events(made.registry)) == 1
    assert [g["name"] for g in error.gates if not g["passed"]] == [
        "f1",
        "parity",
        "cuda",
        "not_worse",
    ]


@pytest.mark.slow  # five seconds; test_gates.py has each gate
def test_another_label_set_and_a_slow_model_are_refused(made: Registered) -> None:
    if "labels" not in made.runs:
        made.log("labels", 96, labels=[*registered.TAGS, "B-GPE", "I-GPE"])
    first, second = forced(made, "good"), made.version("labels")
    tight = made.settings.latency.model_copy(update={"p50_ms_max": 1e-6, "p99_ms_max": 1e9})
    error = refused(Exit.GATES, go, made, latency=tight)
    labels, p50 = [gate for gate in error.gates if not gate["passed"]]
    assert labels["said"] == "not the champion's labels (added: B-GPE, I-GPE)"
    assert p50["name"] == "latency_p50"
    assert p50["said"].endswith(" ms > 1e-06 ms, at 16 characters")
    assert made.aliases() == {"champion": first, "challenger": second}


def test_what_is_champion_already_and_what_is_not_there(made: Registered) -> None:
    version = forced(made, "good")
    for given in ({}, {"force": True, "reason": "again"}):
        error = refused(Exit.ALREADY, go, made, version, **given)
        assert str(error) == "Version 1 of msra-ner is already the champion"
    error = refused(Exit.ERROR, go, made)
    assert str(error).startswith("msra-ner has no challenger (champion: 1): name a version")
    assert "There is no version 99 of msra-ner. The newest is " in str(
        refused(Exit.ERROR, go, made, "99")
    )
    assert "There is no version best of msra-ner. The newest is " in str(
        refused(Exit.ERROR, go, made, "best")
    )
    assert "needs --reason" in str(refused(Exit.ERROR, go, made, version, force=True))
    assert "needs --reason" in str(refused(Exit.ERROR, go, made, version, force=True, reason=" "))
    assert made.aliases() == {"champion": "1"}


@pytest.mark.parametrize(
    ("tag", "value", "named"),
    [
        ("export__f1", None, "export.f1"),
        ("export__f1", "n/a", "export.f1"),
        ("export__ORG__f1", None, "export.ORG.f1"),
        ("test__ece", None, "test.ece"),
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
    assert str(error).startswith(
        f"Version {version} of msra-ner lacks the tags {named}, which the gates need"
    )
    assert made.aliases() == {"challenger": version}


def test_another_precision_brings_its_figures(made: Registered) -> None:
    version = made.version("good", onnx_precision="fp16")
    error = refused(Exit.FIGURES, go, made)
    assert " lacks the tags export.tag_agreement, export.f1_delta, " in str(error)
    figures = {"tag_agreement": "0.9998", "f1_delta": "0.0002", "logit_difference_max": "0.02"}
    for key, value in figures.items():
        made.client.set_model_version_tag(MODEL, version, f"export.{key}", value)
    go(made)
    assert made.aliases() == {"champion": version}
    assert made.tags(version)["gate.parity"].startswith("passed fp16: 99.980% of the tags")


def test_force_needs_no_figures_and_is_shown(made: Registered, capsys) -> None:
    version = made.version("worse", export__f1=None)
    done = go(made, version, force=True, reason="the old one leaks")
    assert (done.gates, done.event.forced, done.event.f1) == ([], True, None)
    assert made.aliases() == {"champion": version}
    assert not [key for key in made.tags(version) if key.startswith("gate.")]
    status_table.show_history(MODEL, history.events(made.registry))
    [row] = [line for line in capsys.readouterr().out.splitlines() if "leaks" in line]
    for word in ("promote, forced", "unknown", "none", history.who()):
        assert word in row


def test_status_says_who_has_which_alias(made: Registered, capsys) -> None:
    forced(made, "good")
    second = made.version("better")
    refused(Exit.GATES, go, made, f1_min=0.99)
    found = status_table.status(made.registry)
    assert found["previous"] is None
    assert found["champion"]["f1"] == 0.96
    assert found["challenger"]["version"] == second
    assert found["challenger"]["type_f1"] == {"PER": 0.98, "ORG": 0.98, "LOC": 0.98}
    assert found["challenger"]["gates"]["f1"] == "failed 0.9800 < 0.99"
    status_table.show_status(MODEL, found)
    said = capsys.readouterr().out
    assert f"challenger, version {second}: gate f1 failed 0.9800 < 0.99" in said
    [row] = [line for line in said.splitlines() if line.startswith("│ champion")]
    assert "0.9600" in row
    assert history.who() in row


def test_a_named_version_leaves_the_challenger_alone(made: Registered) -> None:
    first, second = made.version("good"), made.version("better")
    go(made, first)
    assert made.aliases() == {"champion": first, "challenger": second}
