"""docs/your-own-corpus.md: its commands run as they stand, in a fresh clone."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipelines.served import Server
from tests.pipelines.standin import clean_environment

PAGE = (ROOT / "docs/your-own-corpus.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)
[ON_A_CPU] = [block for block in BLOCKS if "$NER_SHARED" in block]
*COMMANDS, SERVE, ASK = [block for block in BLOCKS if block is not ON_A_CPU]
F1_ON_A_CPU = 0.6309  # measured once
CHECKED = "check --params own.yaml --write"


@pytest.fixture
def clone(tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    (clone / ".venv").symlink_to(sys.prefix)
    return clone


def run(clone, *commands, **env):
    """Runs these in a shell; gives what they printed."""
    done = subprocess.run(
        ["bash", "-euc", "\n".join(commands)],
        cwd=clone,
        env=clean_environment() | {"GIT_CONFIG_GLOBAL": str(clone / "none")} | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow  # the page's commands; tests/pipelines/corpus_check has each finding
def test_check_comes_before_the_training_and_says_what_is_wrong(clone):
    [at] = [number for number, block in enumerate(COMMANDS) if CHECKED in block]
    lines = run(clone, *COMMANDS[: at + 1]).splitlines()
    assert "  我在[南门 SHOP]，他们说没有[黄鱼 DISH]。" in lines
    assert lines[-3] == "Wrote bytes, git_blob and sha256 into own.yaml"
    assert lines[-2].startswith("Warning: 14.6 % of train, 11.5 % of dev, 16.4 % of test are char")
    assert lines[-1] == "0 errors, 1 warning"
    [again] = re.findall(r"^    (\.venv/.* check .*)", PAGE, re.M)
    assert COMMANDS[at] == f"{again} --write\n"


@pytest.mark.slow  # sixteen minutes of CPU time
@pytest.mark.timeout(3600)
def test_a_small_corpus_on_a_cpu(clone, shared):
    out = run(clone, ON_A_CPU, NER_SHARED=str(shared))
    assert "0 errors, 0 warnings" in out
    [made] = (clone / ".runs").glob("2*")
    scores = json.loads((made / "reports/metrics.json").read_text())
    assert scores["test"]["f1"] == pytest.approx(F1_ON_A_CPU, abs=0.03)
    assert f"test F1 {F1_ON_A_CPU}" in PAGE


@pytest.mark.slow
def test_from_a_labelled_file_to_a_served_model(clone, tmp_path):
    out = run(clone, *COMMANDS)
    answer = json.loads(out.splitlines()[-1])
    assert [(e["text"], e["type"]) for e in answer["entities"]] == [
        ("平安馆", "SHOP"),
        ("黄鱼", "DISH"),
    ]

    [made] = (clone / ".runs").glob("2*")
    scores = json.loads((made / "reports/metrics.json").read_text())
    assert (
        0
        < scores["slices"]["from_the_app"]["sentences"]
        < scores["test"]["types"]["SHOP"]["support"]
    )
    assert scores["slices"]["from_the_app"]["f1"] > 0.6

    assert "pipelines serve --params own.yaml" in SERVE
    body = json.loads(re.search(r"-d '(.*)'", ASK)[1])
    server = Server(clone, tmp_path / "log", "--params", "own.yaml")
    try:
        rows = server.ready().rows(body)
    finally:
        assert server.stop() == 0
    assert [row["entities"] for row in rows] == [answer["entities"]]


def test_the_page_names_what_there_is():
    for key in re.findall(r"`align\.(\w+)", PAGE):
        assert re.search(rf"^  {key}: ", (ROOT / "params.yaml").read_text("utf-8"), re.M), key
    said = "".join(path.read_text("utf-8") for path in Path(ROOT, "stages").rglob("*.py"))
    for message in re.findall(r"^\| `(.*?)`", PAGE, re.M):
        for part in filter(None, map(str.strip, re.split(r"…|\bN\b|\bB-|\bI-", message))):
            assert part in said, message
