"""docs/your-own-corpus.md: its commands run as they stand, in a fresh clone."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipelines.serving import Server
from tests.pipelines.standin import clean_environment
from tests.pipelines.workspaces.test_process_group import wait_for

PAGE = (ROOT / "docs/your-own-corpus.md").read_text(encoding="utf-8")
*COMMANDS, SERVE, ASK = re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)


@pytest.mark.slow
def test_from_a_labelled_file_to_a_served_model(tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    (clone / ".venv").symlink_to(sys.prefix)
    done = subprocess.run(
        ["bash", "-euc", "\n".join(COMMANDS)],
        cwd=clone,
        env=clean_environment() | {"GIT_CONFIG_GLOBAL": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert [(e["text"], e["type"]) for e in answer["entities"]] == [
        ("平安馆", "SHOP"),
        ("黄鱼", "DISH"),
    ]

    [run] = (clone / ".runs").glob("2*")
    scores = json.loads((run / "reports/metrics.json").read_text())
    assert 0 < scores["slices"]["from_the_app"]["sentences"] < scores["test"]["SHOP"]["support"]
    assert scores["slices"]["from_the_app"]["f1"] > 0.6

    assert "mlflow models serve --env-manager local -m models:/msra-ner@champion" in SERVE
    body = json.loads(re.search(r"-d '(.*)'", ASK)[1])
    server = Server(clone, tmp_path / "log")
    try:
        wait_for(server.answers, "the model is served", 120)
        assert [row["entities"] for row in server.rows(body)] == [answer["entities"]]
    finally:
        server.process.terminate()
        server.process.wait(30)


def test_the_page_names_what_there_is():
    for key in re.findall(r"`align\.(\w+)", PAGE):
        assert re.search(rf"^  {key}: ", (ROOT / "params.yaml").read_text("utf-8"), re.M), key
    said = "".join(path.read_text("utf-8") for path in Path(ROOT, "stages").rglob("*.py"))
    for message in re.findall(r"^\| `(.*?)`", PAGE, re.M):
        for part in filter(None, map(str.strip, re.split(r"…|\bN\b|\bB-|\bI-", message))):
            assert part in said, message
