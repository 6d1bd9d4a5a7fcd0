"""What `setup` creates on a Prefect server, and leaves as an operator set it."""

import pytest

from pipelines.errors import PipelineError


def test_a_heartbeat_that_prefect_would_not_send_is_refused() -> None:
    from pipelines.flows.provision import setup

    with pytest.raises(PipelineError, match=r"^--heartbeat-s is 29: give 30 or more"):
        setup(29)


def test_what_an_operator_set_stays(prefect_url: str) -> None:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate, WorkPoolUpdate
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from pipelines.flows.provision import AUTOMATION, HEARTBEAT, POOL, SLOT, setup

    with temporary_settings({PREFECT_API_URL: prefect_url}), SyncPrefectClient(prefect_url) as api:
        try:
            assert [line.rpartition(": ")[2] for line in setup()] == ["created", "1", "created"]
            api.update_global_concurrency_limit(SLOT, GlobalConcurrencyLimitUpdate(limit=2))
            template = api.read_work_pool(POOL).base_job_template
            env = template["variables"]["properties"]["env"]["default"]
            env |= {HEARTBEAT: "45", "DO_NOT_TRACK": "0", "OURS": "1"}
            api.update_work_pool(POOL, WorkPoolUpdate(base_job_template=template))
            [automation] = api.read_automations_by_name(AUTOMATION)
            api.pause_automation(automation.id)
            assert setup() == [
                f"Work pool {POOL} (type process, a heartbeat every 45 s): unchanged",
                f"Global concurrency limit {SLOT}: 2",
                f"Automation '{AUTOMATION}' (after 135 s of silence): updated",
            ]
            template = api.read_work_pool(POOL).base_job_template
            assert template["variables"]["properties"]["env"]["default"] == env
            assert api.read_global_concurrency_limit_by_name(SLOT).limit == 2
            [automation] = api.read_automations_by_name(AUTOMATION)
            assert automation.enabled is False
            assert "a heartbeat every 30 s): updated" in setup(30)[0]
        finally:
            api.delete_work_pool(POOL)
            api.delete_global_concurrency_limit_by_name(SLOT)
            for automation in api.read_automations_by_name(AUTOMATION):
                api.delete_automation(automation.id)
