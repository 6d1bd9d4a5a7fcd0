"""Nights of a served champion: a real model, real log files, MLflow's run and the page."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.flows import gpu_slot
from pipelines.names import MODEL, SHIFTED
from pipelines.watching import night_log
from pipelines.watching.night import Night
from pipelines.watching.watch import watch
from tests.pipelines.flows.deployed import until
from tests.pipelines.promotion.test_comparison import Page
from tests.pipelines.watching.conftest import Served, in_domain
from tests.pipelines.watching.test_shift import NIGHTS, traditional


def night(served: Served, told: list[Night]) -> Night:
    return watch(served.project, served.settings, None, told.append)


def page_at(served: Served, run_id: str, name: str, folder: Path) -> str:
    path = served.project.client.download_artifacts(run_id, name, str(folder))
    return Path(path).read_text(encoding="utf-8")


def test_a_shift_is_told_once_with_texts_that_show_it(
    served: Served, command, tmp_path: Path
) -> None:
    told: list[Night] = []
    served.log(map(traditional, in_domain(1)))
    first = night(served, told)
    assert "unknown_characters" in first.news
    assert told == [first]
    assert 0 <= first.f1.low <= first.f1.f1 <= first.f1.high <= 1

    few = night(served, told)  # each text is looked at once
    assert (few.texts, few.f1, few.since, list(few.told)) == (0, None, first.until, first.told)
    served.log(in_domain(2, 100), version="2")  # another version's
    served.log(map(traditional, in_domain(3)))
    second = night(served, told)
    assert (second.texts, second.news, told) == (300, [], [first])

    yesterday = datetime.now(UTC) - timedelta(days=1)
    code, out, _ = command("watch", "--json", "--since", f"{yesterday:%Y-%m-%d}")
    again = json.loads(out)
    assert (code, again["texts"], again["news"]) == (0, 600, [])
    assert again["shifted"] == list(first.shifted)
    assert again["measures"]["unknown_characters"]["shifted"] is True

    run = night_log.nightly_runs.of_version(served.project, "watch", "1")
    texts = served.project.client.get_metric_history(run.info.run_id, "watch/texts")
    assert [(each.step, each.value) for each in texts] == [
        (0, 300),
        (1, 300),
        (2, 600),
    ]
    assert run.data.metrics["watch/f1.f1"] == again["f1"]["f1"]
    assert run.data.metrics["watch/unknown_characters.served"] > 5

    html = page_at(served, run.info.run_id, "told/0.html", tmp_path)
    assert first.page.endswith("/told/0.html")
    page = Page(html)
    assert all(link.startswith(("#", "data:")) for link in page.loads)
    measures = {name: verdict for name, *_, verdict in page.rows["of-measures"][1:]}
    assert measures["unknown characters, of 100"] == "✗ shifted"
    assert measures["characters of a text"] == "like the test split"
    assert '>開會<span class="tag" lang="en">unknown</span></mark>' in html
    later = page_at(served, run.info.run_id, "watch.html", tmp_path)
    assert "The text is still another one" in later


@pytest.mark.slow  # each night loads the model in a process of its own
def test_twenty_nights_of_replayed_text_raise_nothing(served: Served) -> None:
    for seed in range(NIGHTS):
        served.log(in_domain(seed, 250))
        assert not night(served, []).shifted


def test_without_a_champion_it_says_so(served: Served) -> None:
    client = served.project.client
    client.delete_registered_model_alias(MODEL, "champion")
    try:
        with pytest.raises(PipelineError, match=r"^msra-ner has no champion: promote a version$"):
            night(served, [])
    finally:
        client.set_registered_model_alias(MODEL, "champion", "1")


def test_a_log_that_has_ended_is_an_error(served: Served) -> None:
    served.log(in_domain(1, 20))
    folder = served.project.folder / served.settings.folder / MODEL
    long_ago = datetime.now(UTC) - timedelta(days=served.settings.silent_days + 1)
    for path in folder.iterdir():
        os.utime(path, (long_ago.timestamp(),) * 2)
    with pytest.raises(
        PipelineError, match=f"^No server has written to {folder} since {long_ago:%Y-%m-%d}: "
    ):
        night(served, [])
    served.log(in_domain(2, 20))
    assert night(served, []).texts == 40


@pytest.mark.slow  # nine seconds; test_retrain_on_shift.py has the event
def test_the_nightly_run_tells_prefect(served: Served, prefect_url: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.events.worker import EventsWorker
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from pipelines.flows.nightly.watch import watch as nightly

    served.log(map(traditional, in_domain(1)))
    with temporary_settings({PREFECT_API_URL: prefect_url}), get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(gpu_slot.SLOT, 1)
        state = nightly({"watch": {"bootstrap_samples": 100}}, 1, return_state=True)
        assert state.is_completed(), state.message
        assert state.message.startswith(
            "msra-ner version 1: 300 texts, shifted: unknown_characters"
        )
        EventsWorker.drain_all()
        wanted = {"filter": {"event": {"name": [SHIFTED]}}}
        # The server is other tests' too.
        [event] = until(
            lambda: [
                event
                for event in client.request("POST", "/events/filter", json=wanted).json()["events"]
                if event["payload"].get("message") == state.message
            ],
            bool,
        )
    assert event["resource"]["prefect.resource.id"] == "msra-ner.model.msra-ner"
    told = event["payload"]
    assert "unknown_characters" in told["shifted"]
    assert (told["model"], told["version"], told["texts"]) == (MODEL, "1", 300)
    assert told["message"] == state.message
