"""The four subcommands as a user or a script runs them."""

import json
import re
from pathlib import Path

import pytest

from pipelines.cli.app import main
from pipelines.errors import Exit
from pipelines.registry import history
from tests.pipelines.registered import Registered


@pytest.fixture
def made(made: Registered, monkeypatch: pytest.MonkeyPatch) -> Registered:
    monkeypatch.chdir(made.project)
    return made


def test_a_week_of_a_team(made: Registered, command, overlay: Path) -> None:
    made.version("good")
    code, out, _ = command("promote", "--params", overlay, "--dry-run")
    assert (code, made.aliases()) == (0, {"challenger": "1"})
    assert out.splitlines()[-1] == "Passed all gates. Dry run: no alias was moved."
    code, out, _ = command("promote", "--params", overlay)
    assert code == 0
    assert out.splitlines()[0] == "f1: passed 0.9600 >= 0.93"
    address = out.splitlines()[-2].partition("?")[0]  # of its page in the server
    assert Path(address.removeprefix("Comparison: ")).name == "comparison.html"
    assert out.splitlines()[-1] == "Promoted version 1. Previous champion: none."

    made.version("worse")
    code, out, err = command("promote", "--params", overlay)
    assert (code, out) == (3, "")
    assert err.startswith(
        "Version 2 of msra-ner was not promoted: 1 of 11 gates failed.\n  not_worse: "
    )
    champion, where = err.splitlines()[-2:]
    assert champion == "Champion: still version 1"
    place = where.removeprefix("Comparison: ")
    if place.startswith("http"):  # a page of a team's server
        run_id, _, name = place.partition("/runs/")[2].partition("/artifacts/")
        place = made.client.download_artifacts(run_id, name)
    page = Path(place).read_text(encoding="utf-8")
    assert "msra-ner version 2 against version 1" in page

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
    me = history.who()
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
        (("9",), {}, 1, "There is no version 9 of msra-ner. The newest is "),
        (("--force",), {}, 1, "--force needs --reason"),
        ((), {"export__f1": None}, 5, "lacks the tags export.f1"),
        ((), {"onnx_sha256": "0" * 64}, 4, "is not the file that was exported"),
    ],
)
def test_each_failure_has_its_code_and_its_json(
    made: Registered, command, overlay: Path, tmp_path: Path, given, tags, code: int, said: str
) -> None:
    made.version("good", **tags)
    high = tmp_path / "high.yaml"
    high.write_text("promote: {f1_min: 0.99}")
    got, out, err = command("promote", *given, "--params", overlay, "--params", high, "--json")
    answer = json.loads(out)
    assert (got, err) == (code, "")
    assert set(answer) == {"exit_code", "error", *(("gates", "comparison") if code == 3 else ())}
    assert answer["exit_code"] == code
    assert said in answer["error"]
    assert made.aliases() == {"challenger": "1"}


def test_champion_already_and_nothing_to_go_back_to(made: Registered, command) -> None:
    made.version("good")
    assert command("promote", "--force", "--reason", "first")[0] == 0
    assert command("promote", "1")[::2] == (6, "Version 1 of msra-ner is already the champion\n")
    code, out, err = command("rollback")
    assert (code, out) == (8, "")
    assert err.startswith("There is no previous champion to roll back to (champion: 1)")


def test_a_wrong_gate_is_named(made: Registered, command, tmp_path: Path) -> None:
    made.version("good")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("promote: {f1_min: 2, f1_floor: 1}")
    code, _, err = command("promote", "--params", wrong)
    assert code == 1
    assert "promote.f1_min: Input should be less than or equal to 1 (it is 2)" in err
    assert "promote.f1_floor: there is no such key" in err


@pytest.mark.parametrize("name", ["promote", "rollback", "history", "status"])
def test_nothing_registered_is_said_and_nothing_made(
    name: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(project)
    assert main([name]) == 1
    assert capsys.readouterr().err.startswith(
        "No version of msra-ner is registered. Register a version first: "
    )
    assert not (project / "mlflow.db").exists()
    assert not (project / ".runs").exists()


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("promote", {*Exit} - {Exit.NO_PREVIOUS, Exit.DIFFERS}),
        ("rollback", {Exit.DONE, Exit.ERROR, Exit.FILES, Exit.OTHER, Exit.NO_PREVIOUS}),
        ("rebuild", {Exit.DONE, Exit.ERROR, Exit.DIFFERS}),
        ("history", set()),
        ("status", set()),
    ],
)
def test_help_lists_the_exit_codes_that_a_command_has(command, name: str, codes: set[Exit]) -> None:
    _, said, _ = command(name, "--help")
    listed = re.findall(r"^ +(\d)  ", said.partition("Exit codes:")[2], re.M)
    assert [int(code) for code in listed] == sorted(codes)
