"""Logging what is logged already, in part, in the bin, or on another host at the same time."""

import platform
import shutil
from pathlib import Path

from mlflow import MlflowClient

from pipelines.names import MODEL
from pipelines.registry import aliases, versions
from pipelines.registry.registry import Registry
from pipelines.tracking import connection, environment, run_log, unfinished
from pipelines.workspaces import workspace
from tests.pipelines.logged import no_room, runs
from tests.pipelines.logged import versions as numbers


class TestLoggedAgain:
    """A run whose last tag was not written, or that lies in the bin, is completed."""

    def test_a_version_that_was_promoted_meanwhile_stays(self, copied: Path) -> None:
        connected, made, client, run_id = self._opened(copied)
        client.delete_tag(run_id, run_log.COMPLETE)
        client.set_registered_model_alias(MODEL, aliases.CHAMPION, "1")
        client.delete_registered_model_alias(MODEL, aliases.CHALLENGER)
        logged = run_log.log_run(connected, made)
        assert (logged.run_id, logged.version, logged.already_logged) == (run_id, "1", True)
        assert numbers(client) == ["1"]
        assert client.get_model_version(MODEL, "1").aliases == [aliases.CHAMPION]
        assert client.get_run(run_id).data.tags[run_log.COMPLETE] == "true"

    def test_a_version_without_its_alias_becomes_the_challenger(self, copied: Path) -> None:
        connected, made, client, run_id = self._opened(copied)
        client.delete_tag(run_id, run_log.COMPLETE)
        client.delete_registered_model_alias(MODEL, aliases.CHALLENGER)
        run_log.log_run(connected, made)
        assert aliases.by_alias(Registry(client, MODEL), aliases.CHALLENGER) == "1"

    def test_a_run_in_the_bin_is_restored(self, copied: Path) -> None:
        connected, made, client, run_id = self._opened(copied)
        client.delete_run(run_id)
        assert run_log.log_run(connected, made).run_id == run_id
        assert [run.info.run_id for run in runs(client)] == [run_id]
        assert numbers(client) == ["1"]
        assert not versions.is_binned(client, client.get_model_version(MODEL, "1"))

    def test_what_is_only_looked_at_loses_no_result(self, copied: Path, capsys) -> None:
        connected, made, client, run_id = self._opened(copied)
        versions.forget(client, client.get_run(run_id))
        client.delete_run(run_id)
        errors = made.path / "reports" / "errors.jsonl"
        errors.unlink()
        errors.write_text("{")
        with no_room(copied, "model_versions"):
            logged = run_log.log_run(connected, made)
        said = capsys.readouterr().err
        assert "MLflow has no plots or worst sentences of the run (JSONDecodeError: " in said
        assert f"MLflow has no description of version {logged.version} (MlflowException: " in said
        assert aliases.by_alias(Registry(client, MODEL), aliases.CHALLENGER) == logged.version
        run = client.get_run(logged.run_id)
        assert run.data.metrics["aggregate/f1"] == 0.625
        assert run.data.tags[run_log.COMPLETE] == "true"
        # Completed by the next call, if the last tag was not written either.
        client.delete_tag(logged.run_id, run_log.COMPLETE)
        assert run_log.log_run(connected, made).already_logged
        assert "The card" in client.get_model_version(MODEL, logged.version).description

    def _opened(self, copied: Path):
        connected = connection.check(copied)
        [run] = runs(connected.client)
        made = workspace.find(copied, workspace.all_of(copied)[0].name)
        return connected, made, connected.client, run.info.run_id


def test_a_result_that_two_hosts_log_at_once_is_one_version(copied: Path, monkeypatch) -> None:
    """The other host registers between this one's look and its own version."""
    connected = connection.check(copied)
    client = connected.client
    made = workspace.find(copied, workspace.all_of(copied)[0].name)
    [first] = runs(client)
    search = MlflowClient.search_runs
    monkeypatch.setattr(MlflowClient, "search_runs", lambda *_args, **_named: [])
    logged = run_log.log_run(connected, made)
    monkeypatch.setattr(MlflowClient, "search_runs", search)
    assert (logged.run_id, logged.version, logged.already_logged) == (first.info.run_id, "1", True)
    assert numbers(client) == ["1"]
    assert aliases.by_alias(Registry(client, MODEL), aliases.CHALLENGER) == "1"
    assert [run.info.run_id for run in runs(client)] == [first.info.run_id]


def test_a_running_log_is_abandoned_only_in_its_own_checkout(copied: Path, monkeypatch) -> None:
    client = connection.connect(copied)
    experiment = client.get_experiment_by_name(MODEL).experiment_id
    other = copied.parent / "x"
    shutil.copytree(copied / ".runs", other / ".runs")
    mine, theirs = environment.checkout(copied), environment.checkout(other)
    monkeypatch.setattr(platform, "node", lambda: "another name of this host")
    assert environment.checkout(copied) == mine != theirs
    for name, expected in ((mine, True), (theirs, False)):
        run = client.create_run(experiment, tags={environment.CHECKOUT: name})
        assert unfinished.abandoned(run, copied) is expected
        client.set_terminated(run.info.run_id)
        assert unfinished.abandoned(client.get_run(run.info.run_id), copied)
