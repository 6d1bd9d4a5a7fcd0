"""The documents: their links lead somewhere, and README's commands run as they stand."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.workspaces import runtime
from tests.conftest import ROOT
from tests.pipelines.served import Server
from tests.pipelines.standin import clean_environment
from tests.support.clone import commit

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "tests/faults/README.md"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SERVE = ".venv/bin/python -m pipelines serve"
# What README's other commands need, and where they are run.
ELSEWHERE = {
    "git clone ADDRESS": "the test's own clone",
    "make test": ".ci/run",
    ".venv/bin/dvc repro": "tests/test_job.py",
    "export PREFECT_API_URL": "tests/pipelines/flows/test_deployments.py",
    "make deploy": "tests/pipelines/flows/test_deployments.py",
    ".venv/bin/prefect worker start": "tests/pipelines/flows/test_deployments.py",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", text)
    for link in (one or other for one, other in links):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
            assert anchor in {_anchor(head) for head in heads}, link


def _anchor(head: str) -> str:
    """GitHub's name of a heading."""
    return re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")


def test_readme_is_short_and_every_page_is_listed() -> None:
    assert len(README.splitlines()) <= 200
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    pages = {path.name for path in ROOT.glob("docs/*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\((\w[\w-]*\.md)\)", index))


@pytest.mark.slow  # make run, two more trainings of the sample, promote, rebuild
@pytest.mark.timeout(1800)
def test_the_commands_of_readme_run(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    (clone / ".venv").symlink_to(sys.prefix)
    for split in ("train", "test"):
        _jsonl(clone / f"samples/corpus/{split}.txt", clone / f"inputs/{split}.jsonl")
    (clone / "own.yaml").write_text(_overlay(clone), encoding="utf-8")
    # A second training of the sample may be half a point from the first by chance.
    (clone / "gates.yaml").write_text("promote: {not_worse_by: 0.02}\n", encoding="utf-8")
    (clone / "texts.csv").write_text("id,text\n1,李明在北京。\n", encoding="utf-8")
    commit(clone, "add", "--all")
    commit(clone, "commit", "--quiet", "--message", "A corpus of one's own")
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S))
    commands, curl = commands.replace("\\\n", " ").split("curl ", 1)
    for line in commands.splitlines():
        command = line.partition(" #")[0].strip()
        if command and not command.startswith((*ELSEWHERE, SERVE)):
            _runs(clone, command)
    body = json.loads(re.search(r"-d '(.*?)'", curl)[1])
    assert SERVE in commands
    server = Server(clone, tmp_path / "log")
    try:
        rows = server.ready().rows(body)
    finally:
        assert server.stop() == 0
    assert [len(row["entities"]) > 0 for row in rows] == [True, False]


def _runs(clone: Path, command: str) -> None:
    """Runs a line of README, with what stands for ID and VERSION and the sample's gates."""
    if command.endswith(" run") and command.startswith(".venv") and not runtime.has_gpu():
        assert "This machine has no NVIDIA driver" in _call(clone, command).stderr
        return
    if command.endswith(" promote"):  # so that there is a champion to beat, and to go back to
        _runs(clone, f"{command} 1 --force --reason first")
        command += " --params samples/params.yaml --params gates.yaml"
    runs = sorted(path.name for path in (clone / ".runs").glob("2*"))
    command = command.replace(" ID", f" {runs[0]}" if runs else "").replace(" VERSION", " 1")
    done = _call(clone, command)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def _call(clone: Path, command: str) -> "subprocess.CompletedProcess[str]":
    env = clean_environment() | {"GIT_CONFIG_GLOBAL": str(clone.parent / "none")}
    words = ["bash", "-euc", command]
    return subprocess.run(words, cwd=clone, env=env, capture_output=True, text=True)


def _overlay(clone: Path) -> str:
    """README's own.yaml, with the sample's small training."""
    own = yaml.safe_load(re.search(r"^```yaml\n(.*?)^```", README, re.M | re.S)[1])
    sample = yaml.safe_load((clone / "samples/params.yaml").read_text(encoding="utf-8"))
    del own["run"]  # its model: README's `promote` needs a champion to beat, of the same name
    for key, values in own.items():
        sample[key] |= values
    return yaml.safe_dump(sample)


def _jsonl(conll: Path, path: Path) -> None:
    rows = []
    for sentence in conll.read_text(encoding="utf-8").strip().split("\n\n"):
        tokens = [line.split("\t") for line in sentence.splitlines()]
        spans: list[list[object]] = []
        for place, (_, tag) in enumerate(tokens):
            if tag.startswith("B-"):
                spans.append([place, place + 1, tag[2:]])
            elif tag.startswith("I-"):
                spans[-1][1] = place + 1
        rows.append({"text": "".join(token for token, _ in tokens), "label": spans})
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
