"""DVC on the stand-in project: order, reports, running, caching and failing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.dvc_repo import repro
from pipelines.dvc_repo import stages as dvc_stages
from pipelines.dvc_repo.stages import Stage
from pipelines.errors import PipelineError, StageFailed
from pipelines.workspaces import workspace
from tests.pipelines import done
from tests.pipelines.standin import clean_environment

FIVE = [
    Stage("download", ()),
    Stage("align", ("download",)),
    Stage("train", ("align",)),
    Stage("evaluate", ("align", "train")),
    Stage("export", ("align", "train")),
]


def ignore(line: str) -> None:
    pass


def make(project: Path) -> Path:
    return workspace.create(project, [], dirty=True).path


def test_stages_come_in_order_with_what_they_read(committed: Path) -> None:
    assert dvc_stages.stages(make(committed)) == FIVE


def test_an_entry_that_a_killed_dvc_left_empty_stops_no_run(committed: Path) -> None:
    first = make(committed)
    assert repro.repro(first, "download", ignore)
    [entry] = (committed / ".dvc/cache/runs").glob("*/*/*")
    entry.unlink()
    os.utime(entry.parent, (0, 0))
    assert repro.repro(make(committed), "download", ignore)
    assert list(entry.parent.iterdir()) == [entry]


def test_an_added_stage_shows_up(project: Path) -> None:
    with (project / "dvc.yaml").open("a") as file:
        file.write(
            "  compare:\n    cmd: 'true'\n    deps: [models/onnx, reports/metrics.json]\n"
            "  each:\n    foreach: [a, b]\n    do: {cmd: 'true', deps: [data/raw.txt]}\n"
        )
    (project / "sub").mkdir()
    (project / "sub" / "dvc.yaml").write_text("stages: {other: {cmd: 'true'}}")
    found = dvc_stages.stages(make(project))
    assert set(found) == {
        *FIVE,
        Stage("compare", ("evaluate", "export")),
        Stage("each@a", ("download",)),
        Stage("each@b", ("download",)),
        Stage("sub/dvc.yaml:other", ()),
    }
    done: set[str] = set()
    for stage in found:
        assert done.issuperset(stage.upstream)
        done.add(stage.name)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (
            "  a: {cmd: x, deps: [q], outs: [p]}\n  b: {cmd: x, deps: [p], outs: [q]}\n",
            "dvc.yaml:a",
        ),
        ("  a: {command: x}\n", "command"),
        ("  a: {cmd: x, outs: [data/raw.txt]}\n", "data/raw.txt"),
    ],
)
def test_a_wrong_dvc_yaml_is_said_in_one_line(project: Path, extra: str, said: str) -> None:
    with (project / "dvc.yaml").open("a") as file:
        file.write(extra)
    with pytest.raises(PipelineError) as raised:
        dvc_stages.stages(make(project))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert project.name + "/" not in str(raised.value)


def test_repro_streams_then_is_cached_also_in_the_next_workspace(project: Path) -> None:
    first, lines = make(project), []
    assert repro.repro(first, "download", lines.append) is True
    assert "download: at work" in lines
    assert not [line for line in lines if "git add" in line or "dvc push" in line]
    assert repro.repro(first, "download", ignore) is False
    second = make(project)
    assert repro.repro(second, "download", ignore) is False
    assert (second / "data" / "raw.txt").read_text() == "raw"
    assert not (project / "data").exists()


def test_reports_are_what_dvc_yaml_declares(short: Path) -> None:
    with (short / "dvc.yaml").open("a") as file:
        file.write(
            "  more:\n    cmd: mkdir -p reports/more && echo 1 > reports/more/a.svg &&"
            " echo 1 > n.json && echo 1 > reports/undeclared\n"
            "    outs: [reports/more]\n    metrics: [n.json]\n"
        )
    made = make(short)
    done.repro(made)
    assert dvc_stages.reports(made) == {
        name: made / name
        for name in (
            "n.json",
            "reports/align.json",
            "reports/confusion.csv",
            "reports/errors.jsonl",
            "reports/export.json",
            "reports/index.html",
            "reports/metrics.json",
            "reports/more/a.svg",
            "reports/predictions.jsonl",
            "reports/slices.jsonl",
            "reports/train.csv",
            "reports/train.json",
        )
    }


@pytest.mark.slow  # 7 s
def test_reading_artifacts_closes_no_log_handler(project: Path) -> None:
    code = (
        "import logging, sys\n"
        "from pathlib import Path\n"
        "from pipelines import errors\n"
        "from pipelines.dvc_repo import stages\n"
        "from pipelines.flows import train\n"  # whoever reads artifacts in a flow run
        "closed, handler = [], logging.StreamHandler()\n"
        "handler.close = lambda: closed.append(handler)\n"
        "try:\n"
        "    stages.model_folder(Path(sys.argv[1]))\n"
        "except errors.PipelineError as error:\n"
        "    print(error, closed)\n"
    )
    dvc_yaml = project / "dvc.yaml"
    dvc_yaml.write_text(dvc_yaml.read_text().replace("type: model", "type: table"))
    command = [sys.executable, "-c", code, str(make(project))]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True)
    said = (
        "dvc.yaml declares 0 artifacts of type model: declare one under `artifacts:`, with the"
        " path that `export` writes []\n"
    )
    assert (done.stdout, done.returncode) == (said, 0), done.stderr


def test_a_failing_stage_says_why_and_how_to_repeat_it(project: Path) -> None:
    (project / "stage.py").write_text(
        "for n in range(40): print(f'line {n}')\n"
        "import sys; print('download: the mirror answered 404', file=sys.stderr); sys.exit(3)\n"
    )
    made = make(project)
    with pytest.raises(StageFailed) as raised:
        repro.repro(made, "download", ignore)
    failed = raised.value
    assert (failed.stage, failed.exit_code) == ("download", 3)
    assert "download: the mirror answered 404" in failed.lines
    assert "line 39" in failed.lines
    assert len(failed.lines) == repro.LAST_LINES
    assert "failed with exit code 3" in str(failed)
    command = ["sh", "-c", failed.repeat]
    repeated = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
    assert repeated.returncode != 0
    assert "download: the mirror answered 404" in repeated.stderr


def test_python_in_a_stage_is_the_one_that_runs_here(project: Path, monkeypatch) -> None:
    (project / "stage.py").write_text(
        "import sys, pathlib; pathlib.Path('data').mkdir(exist_ok=True)\n"
        "pathlib.Path('data/raw.txt').write_text(sys.executable)\n"
    )
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    made = make(project)
    repro.repro(made, "download", ignore)
    assert Path((made / "data/raw.txt").read_text()).parent == Path(sys.executable).parent


def test_a_bar_is_no_line(project: Path) -> None:
    with (project / "stage.py").open("a") as file:
        file.write("for step in range(3):\n    print(f'\\rtrain: {step}/3', end='', flush=True)\n")
        file.write("print('\\rtrain: 3/3')\n")
    lines: list[str] = []
    bars: list[str] = []
    repro.repro(make(project), "download", lines.append, on_bar=bars.append)
    assert bars[-3:] == ["train: 0/3", "train: 1/3", "train: 2/3"]
    assert "train: 3/3" in lines
    assert not any("0/3" in line for line in lines)
