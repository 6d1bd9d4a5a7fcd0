"""The four subcommands as a user or a script runs them; two promotions at once."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from pipelines import aliases, registry, tracking
from pipelines.__main__ import main
from pipelines.errors import Exit, Refused
from tests.pipelines.registered import Registered
from tests.pipelines.standin import clean_environment
from tests.pipelines.test_supervise import wait_for

QUICK = {"promote": {"latency": {"characters": [16], "texts": 20}}}


@pytest.fixture
def made(
    logged: Registered, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Registered]:
    monkeypatch.chdir(logged.project)
    monkeypatch.setattr(aliases, "SETTLE_S", 0.01)
    tracking.connect(logged.project)
    yield logged
    logged.forget()


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    path = tmp_path / "quick.yaml"
    path.write_text(yaml.safe_dump(QUICK))
    return path


@pytest.fixture
def command(made: Registered, capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs a subcommand; gives its exit code, stdout and stderr."""

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


def test_a_week_of_a_team(made: Registered, command, overlay: Path) -> None:
    made.version("good")
    code, out, _ = command("promote", "--params", overlay)
    assert code == 0
    assert out.splitlines()[0] == "f1: passed 0.9600 >= 0.93"
    assert out.splitlines()[-1].startswith("Champion is version 1, there was none until 20")

    made.version("worse")
    code, out, err = command("promote", "--params", overlay)
    assert (code, out) == (3, "")
    assert err.startswith(
        "msra-ner version 2 is not promoted, 1 of 10 gates failed:\n  not_worse: "
    )
    assert err.endswith("\nChampion: still version 1\n")

    code, out, _ = command("promote", "--force", "--reason", "a trial", "--json")
    event = json.loads(out)["event"]
    assert (code, event["before"], event["version"], event["why"], event["forced"]) == (
        (0, "1", "2", "a trial", True)
    )
    code, out, _ = command("rollback", "--reason", "it was one", "--json")
    assert (code, json.loads(out)["event"]["version"]) == (0, "1")

    code, out, _ = command("history")
    assert code == 0
    rows = [
        [cell.strip() for cell in line.split("│")[2:-1]]
        for line in out.splitlines()
        if line.startswith("│ 20")
    ]
    me = aliases.who()
    assert rows == [
        [me, "promote", "none", "1", "", "0.9600", "gates passed"],
        [me, "promote, forced", "1", "2", "0.9600", "0.9300", "a trial"],
        [me, "rollback", "2", "1", "0.9300", "0.9600", "it was one"],
    ]
    found = json.loads(command("history", "--json")[1])
    assert [event["action"] for event in found["history"]] == ["promote", "promote", "rollback"]

    found = json.loads(command("status", "--json")[1])
    assert found["exit_code"] == 0
    assert (found["champion"]["version"], found["challenger"], found["previous"]) == (
        "1",
        None,
        None,
    )
    assert "champion" in command("status")[1]


@pytest.mark.parametrize(
    ("given", "tags", "code", "said"),
    [
        ((), {}, 3, "not promoted"),
        (("9",), {}, 1, "has no version 9"),
        (("--force",), {}, 1, "--force needs --reason"),
        ((), {"export__f1": None}, 5, "lacks export.f1"),
        ((), {"onnx_sha256": "0" * 64}, 4, "is not the file that was exported"),
    ],
)
def test_each_failure_has_its_code_and_its_json(
    made: Registered, command, tmp_path: Path, given, tags, code: int, said: str
) -> None:
    made.version("good", **tags)
    high = tmp_path / "high.yaml"
    high.write_text(yaml.safe_dump({"promote": {**QUICK["promote"], "f1_min": 0.99}}))
    got, out, err = command("promote", *given, "--params", high, "--json")
    answer = json.loads(out)
    assert (got, err) == (code, "")
    assert set(answer) == {"exit_code", "error", "gates"}
    assert answer["exit_code"] == code
    assert said in answer["error"]
    assert bool(answer["gates"]) == (code == 3)
    assert made.aliases() == {"challenger": "1"}


def test_champion_already_and_nothing_to_go_back_to(made: Registered, command) -> None:
    made.version("good")
    assert command("promote", "--force", "--reason", "first")[0] == 0
    assert command("promote", "1")[::2] == (6, "msra-ner version 1 is the champion already\n")
    code, out, err = command("rollback")
    assert (code, out) == (8, "")
    assert err.startswith("There is no previous champion to go back to (champion: 1)")


def test_a_wrong_gate_is_named(made: Registered, command, tmp_path: Path) -> None:
    made.version("good")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("promote: {f1_min: 2, f1_floor: 1}")
    code, _, err = command("promote", "--params", wrong)
    assert code == 1
    assert "promote.f1_min: Input should be less than or equal to 1 (it is 2)" in err
    assert "promote.f1_floor: Extra inputs are not permitted" in err


@pytest.mark.parametrize("name", ["promote", "rollback", "history", "status"])
def test_nothing_registered_is_said_and_nothing_made(
    name: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(project)
    assert main([name]) == 1
    assert capsys.readouterr().err.startswith("No version of msra-ner is registered yet")
    assert not (project / "mlflow.db").exists()
    assert not (project / ".runs").exists()


def test_help_tables_the_exit_codes(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["promote", "--help"])
    said = capsys.readouterr().out
    for code in (int(code) for code in Exit):
        assert f"\n  {code}  " in said


def start(folder: Path, overlay: Path, version: str, **env: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines", "promote", version, "--params", str(overlay)],
        cwd=folder,
        env=clean_environment() | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stopped(folder: Path, overlay: Path, version: str, **env: str) -> "subprocess.Popen[str]":
    """A promotion that stands still before its gates, until it gets SIGCONT."""
    lock = folder / ".runs" / "promote.lock"
    lock.unlink(missing_ok=True)
    process = start(folder, overlay, version, **env)
    wait_for(lambda: lock.exists() and lock.read_text(), "it holds the lock", 90)
    wait_for(lambda: stands_still(process, folder / "mlflow.db"), "it is between two queries", 30)
    return process


def stands_still(process: "subprocess.Popen[str]", database: Path) -> bool:
    """Stops it; not where it has the database locked, which nobody could write then."""
    process.send_signal(signal.SIGSTOP)
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
            return False
    return True


def test_of_two_at_once_the_first_wins_and_the_second_says_so(
    made: Registered, overlay: Path
) -> None:
    first, second = made.version("good"), made.version("better")
    one = stopped(made.project, overlay, first)
    try:
        two = start(made.project, overlay, second)
        _, said = two.communicate(timeout=120)
        assert two.returncode == 7, said
        assert said.startswith(f"Another one is under way (promotion of version {first}, by ")
    finally:
        one.send_signal(signal.SIGCONT)
        _, said = one.communicate(timeout=120)
    assert one.returncode == 0, said
    assert made.aliases() == {"champion": first, "challenger": second}


def test_of_two_on_two_hosts_the_slower_says_that_it_lost(
    made: Registered, overlay: Path, tmp_path: Path
) -> None:
    first, second = made.version("good"), made.version("better")
    other = tmp_path / "other"
    ignore = shutil.ignore_patterns("mlflow.db", "mlartifacts", ".runs")
    shutil.copytree(made.project, other, ignore=ignore)
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{made.project}/mlflow.db"}
    one = stopped(made.project, overlay, first, **env)
    try:
        two = start(other, overlay, second, **env)
        _, said = two.communicate(timeout=120)
        assert two.returncode == 0, said
    finally:
        one.send_signal(signal.SIGCONT)
        _, said = one.communicate(timeout=120)
    assert one.returncode == 7, said
    assert said.startswith("Another promotion won: the champion is version 2 now, it was none when")
    assert made.aliases() == {"champion": second}


def test_a_claim_keeps_others_out_until_it_is_stale(made: Registered, monkeypatch) -> None:
    made.version("good")
    with aliases.one_anywhere(made.client, "the first"):
        with (
            pytest.raises(Refused, match=r"^Another one won \(the first, by ") as error,
            aliases.one_anywhere(made.client, "the second"),
        ):
            pytest.fail("two at once")
        assert error.value.exit_code == Exit.OTHER
        monkeypatch.setattr(aliases, "STALE_S", 0.0)
        with aliases.one_anywhere(made.client, "the third"):
            pass
    assert aliases.CLAIM not in made.client.get_registered_model(registry.MODEL).tags


def test_who_writes_last_has_the_claim(made: Registered, monkeypatch) -> None:
    made.version("good")
    monkeypatch.setattr(aliases, "SETTLE_S", 2.0)
    theirs = {"token": "theirs", "about": "theirs", "by": "them", "since": time.time()}

    def overwrite() -> None:
        wait_for(lambda: aliases.CLAIM in model().tags, "the first claim")
        made.client.set_registered_model_tag(registry.MODEL, aliases.CLAIM, json.dumps(theirs))

    def model():
        return made.client.get_registered_model(registry.MODEL)

    thread = threading.Thread(target=overwrite)
    thread.start()
    with (
        pytest.raises(Refused, match=r"^Another one won \(theirs, by them\)"),
        aliases.one_anywhere(made.client, "mine"),
    ):
        pytest.fail("two at once")
    thread.join()
    assert json.loads(model().tags[aliases.CLAIM]) == theirs


def test_a_killed_promotion_leaves_no_lock(made: Registered, overlay: Path) -> None:
    version = made.version("good")
    process = stopped(made.project, overlay, version)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    with aliases.one_here(made.project, "the next"):
        pass
    assert made.aliases() == {"challenger": version}
