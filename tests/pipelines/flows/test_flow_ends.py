"""The flow ended by a time limit, by Prefect and for want of disk."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

from pipelines.flows import cancellation
from pipelines.tracking import connection
from pipelines.workspaces import run_state, workspace
from tests.pipelines.flows.test_flow import made, task_runs
from tests.pipelines.logged import runs
from tests.pipelines.standin import SLOW
from tests.pipelines.workspaces.test_process_group import gone, wait_for


def test_a_time_limit_is_of_one_stage_and_is_not_tried_again(project, run, tmp_path) -> None:
    (project / "stage.py").write_text(SLOW + "time.sleep(600)\n")
    (tmp_path / "overlay.yaml").write_text("run: {stage_timeout_s: {download: 3}}")
    ended = run(project, dirty=True, params=[tmp_path / "overlay.yaml"])
    assert ended.is_failed()
    assert ended.message.startswith(
        "Stage download was stopped after 3 s: raise run.stage_timeout_s"
    )
    [task] = task_runs(ended.state_details.flow_run_id).values()
    assert (task.state.name, task.run_count) == ("TimedOut", 1)
    assert run_state.read(made(project)).reason == ended.message
    assert not list((made(project) / ".dvc" / "tmp").glob("*lock*"))


def test_a_run_cancelled_in_prefect_ends_and_says_so(project, run, monkeypatch) -> None:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect.states import Cancelling

    (project / "stage.py").write_text(SLOW + "time.sleep(600)\n")
    monkeypatch.setattr(cancellation, "POLL_S", 0.2)
    url = os.environ["PREFECT_API_URL"]

    def ask() -> None:
        wait_for(lambda: list(project.glob(".runs/2*/pid")), "the stage starts", 90)
        flow_run_id = workspace.find(project, made(project).name).prefect_run_id
        with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
            client.set_flow_run_state(flow_run_id, Cancelling())

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        ended = run(project, dirty=True)
        asked.result()
    assert (ended.is_cancelled(), ended.message) == (
        True,
        "Cancelled in stage download; all its processes have ended",
    )
    assert run_state.read(made(project)).state == "cancelled"
    [logged] = runs(connection.connect(project))
    assert (logged.info.status, logged.data.tags["stage"]) == ("KILLED", "download")
    wait_for(lambda: gone(int((made(project) / "pid").read_text())), "the stage ends")


def test_too_little_disk_is_said_before_the_first_stage(project, run, tmp_path) -> None:
    (tmp_path / "overlay.yaml").write_text("run: {free_disk_gb: 1000000}")
    ended = run(project, params=[tmp_path / "overlay.yaml"])
    assert ended.is_failed()
    assert re.match(r"\d+\.\d GB are free in .* and a run needs 1000000\.0 GB: ", ended.message)
    assert task_runs(ended.state_details.flow_run_id) == {}
