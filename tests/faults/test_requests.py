"""Ten thousand requests of any kind to the served model."""

import os
from random import SystemRandom

import pytest

from tests.faults.requests import fuzz
from tests.pipelines.served import Server


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_any_request_has_an_answer(registered, tmp_path) -> None:
    number = int(os.environ.get("NER_FAULTS_SEED") or SystemRandom().randrange(10**6))
    print(f"NER_FAULTS_SEED={number}")
    server = Server(registered, tmp_path / "log")
    try:
        server.ready()
        fuzz(server, int(os.environ.get("NER_FAULTS_REQUESTS", "10000")), number)
    finally:
        server.stop()
    assert "Traceback" not in server.log.read_text()
