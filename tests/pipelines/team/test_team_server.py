"""MLflow on PostgreSQL with users: all as beside the project, and who may do what."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.names import MODEL
from pipelines.registry import claim
from pipelines.tracking import connection, run_log, unfinished
from pipelines.tracking.connection import Need
from pipelines.workspaces.workspace import Workspace
from tests.pipelines import registered, standin

# The tests of SQLite run here once more, against the fixtures of this file.
from tests.pipelines.cli.test_promote import (  # noqa: F401
    test_a_week_of_a_team,
    test_champion_already_and_nothing_to_go_back_to,
)
from tests.pipelines.logged import runs
from tests.pipelines.registered import Registered
from tests.pipelines.team import team_server
from tests.pipelines.team.team_server import documented
from tests.pipelines.tracking.test_run_log import (  # noqa: F401
    done,
    test_an_interrupted_log_goes_on_and_a_finished_one_is_kept,
)

pytestmark = [pytest.mark.services, pytest.mark.timeout(900), team_server.needs_postgres]
USERS = {name: f"password-of-{name}" for name in ("trainer", "editor", "writer", "reader")}


@dataclass
class Team:
    """The servers, and what is needed for a backup of them."""

    url: str
    database: dict[str, str]
    folder: Path


def be(monkeypatch: pytest.MonkeyPatch, team: Team, user: str, password: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", team.url)
    monkeypatch.setenv(connection.USER, user)
    monkeypatch.setenv(connection.PASSWORD, password)


def users(url: str):
    from mlflow.server.auth.client import AuthServiceClient  # slow, for nothing where it is skipped

    return AuthServiceClient(url)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    with team_server.postgres(folder, "a-password") as database:
        team_server.create(database)
        with team_server.mlflow(folder, database, folder / "artifacts") as url:
            made = Team(url, database, folder)
            with pytest.MonkeyPatch.context() as patch:
                be(patch, made, *team_server.ADMIN)
                for name, password in USERS.items():
                    users(url).create_user(name, password)
            yield made


@pytest.fixture(autouse=True)
def _as_trainer(
    team: Team, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[pytest.MonkeyPatch]:
    be(monkeypatch, team, "trainer", USERS["trainer"])
    yield monkeypatch
    be(monkeypatch, team, "trainer", USERS["trainer"])
    client = connection.connect(tmp_path)
    if client.search_registered_models(f"name = '{MODEL}'"):
        client.delete_registered_model(MODEL)
    if experiment := client.get_experiment_by_name(MODEL):
        for run in runs(client):
            client.delete_run(run.info.run_id)
        for model in client.search_logged_models([experiment.experiment_id]):
            client.delete_logged_model(model.model_id)


@pytest.fixture
def made(
    tmp_path: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch, _as_trainer
) -> Registered:
    found = registered.project(tmp_path / "project", empty_mlflow)
    monkeypatch.chdir(found.project)
    monkeypatch.setattr(claim, "SETTLE_S", 0.01)
    return found


@pytest.fixture
def as_user(team: Team, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda name: be(monkeypatch, team, name, USERS[name])


def test_a_run_by_who_may_not_ends_before_the_first_stage(
    made: Registered, run, as_user, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user("reader")
    refused = run(made.project, dirty=True)
    monkeypatch.setenv(connection.PASSWORD, "wrong")
    wrong = run(made.project, dirty=True)
    monkeypatch.delenv(connection.USER)
    monkeypatch.delenv(connection.PASSWORD)
    unknown = run(made.project, dirty=True)
    at = f"MLflow at {connection.uri(made.project)}"
    may = "EDIT on the experiment and the registered model msra-ner, or MANAGE to promote"
    assert refused.message == (
        f"{at} does not allow user 'reader' to do that: ask its administrator for {may}"
        " (docs/operations.md), or set MLFLOW_TRACKING_USERNAME to a user with that permission"
    )
    keys = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    assert wrong.message == f"{at} refused user 'reader' and that password: correct {keys}"
    assert unknown.message == f"{at} requires a login: set {keys}"
    assert list(made.project.glob(".runs/2*")) == []


def test_a_reader_sees_all_and_moves_nothing(made: Registered, command, as_user) -> None:
    for name in ("good", "better"):
        made.version(name)
        assert command("promote", "--force", "--reason", "first")[0] == 0
    as_user("reader")
    assert command("status")[0] == command("history")[0] == 0
    for asked in (("promote", "1", "--force", "--reason", "mine"), ("rollback",)):
        code, out, err = command(*asked)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "does not allow user 'reader' to do that: ask its administrator" in err
    assert made.aliases() == {"champion": "2", "previous": "1"}
    assert command("bring", "champion")[0] == 1  # these runs have no dvc.lock


def test_who_may_edit_trains_but_does_not_promote(
    made: Registered, team: Team, as_user, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.version("good")
    experiment = made.client.get_experiment_by_name(MODEL).experiment_id
    for kind, name in (("experiment", experiment), ("registered_model", MODEL)):
        users(team.url).grant_user_permission("editor", kind, name, "EDIT")
    as_user("editor")
    connection.check(made.project, Need.LOG)
    made.log("another", 97)
    assert made.version("another") == "2"
    with pytest.raises(PipelineError, match="does not allow user 'editor' to do that"):
        connection.check(made.project, Need.PROMOTE)
    assert made.aliases() == {"challenger": "2"}


def test_who_may_edit_points_to_an_equal_result_and_deletes_nothing(
    done: tuple[Path, Workspace],  # noqa: F811
    team: Team,
    as_user,
) -> None:
    project, made = done
    connected = connection.check(project)
    first = run_log.log_run(connected, made)
    for kind, name in (("experiment", connected.experiment_id), ("registered_model", MODEL)):
        users(team.url).grant_user_permission("writer", kind, name, "EDIT")
    as_user("writer")
    opened = unfinished.opened(connected, made, "abc")
    assert run_log.log_run(connected, made, opened) == replace(first, already_logged=True)
    left = connected.client.get_run(opened.run_id)
    assert (left.info.status, left.info.lifecycle_stage) == ("FINISHED", "active")
    assert "The same result as [version 1]" in left.data.tags["mlflow.note.content"]


@pytest.mark.parametrize(
    "asked", [("status",), ("predict", "北京"), ("bring", "champion"), ("gc",)]
)
def test_every_command_says_so_in_one_line_without_a_user(
    made: Registered, team: Team, asked: tuple[str, ...]
) -> None:
    done = standin.pipelines(made.project, *asked, MLFLOW_TRACKING_URI=team.url)  # noqa: F811
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "requires a login: set MLFLOW_TRACKING_USERNAME" in done.stderr


def test_a_backup_restored_into_an_empty_server_has_it_all(
    made: Registered,
    team: Team,
    command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("good", "better"):
        made.version(name)
        assert command("promote", "--force", "--reason", "first")[0] == 0
    new = tmp_path / "new"
    new.mkdir()
    documented("Back up", team.folder, team.database)
    for name in ("mlflow.dump", "mlflow_auth.dump", "prefect.dump", "artifacts.tar"):
        (team.folder / name).rename(new / name)
    with team_server.postgres(new, "another-password") as database:
        documented("Restore", new, database)
        with team_server.mlflow(new, database, new / "artifacts") as url:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
            connection.connect(made.project)
            assert "│ champion   │ 2 " in command("status")[1]
            who = {connection.USER: "trainer", connection.PASSWORD: USERS["trainer"]}
            found = standin.pipelines(
                made.project, "predict", "我在北京", MLFLOW_TRACKING_URI=url, **who
            )
            assert '"start": 2, "end": 4' in found.stdout, found.stderr
            assert command("rollback")[0] == 0
            assert '"action": "rollback"' in command("history", "--json")[1]
    connection.connect(made.project)
