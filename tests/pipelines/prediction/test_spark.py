"""Batch prediction by the code of docs/operations.md, on Spark: a master and two workers."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.workspaces import process_group
from tests.invented import text_of
from tests.pipelines.standin import ROOT, clean_environment, closed_port, pipelines
from tests.pipelines.workspaces.test_process_group import wait_for

PYSPARK = find_spec("pyspark")
pytestmark = [
    pytest.mark.slow,  # five processes of Java: a minute on two calm cores
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PYSPARK, reason="pyspark is not installed (docs/operations.md)"),
    pytest.mark.skipif(not shutil.which("java"), reason="Java is not installed"),
]


def environment(**more: str) -> dict[str, str]:
    """Spark's own on loopback; nothing of this project is on its path."""
    home = Path(PYSPARK.origin).parent
    env = clean_environment() | {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    env |= {"PYTHONPATH": str(home.parent), "PYSPARK_PYTHON": sys.executable}
    return env | {"PATH": f"{home / 'bin'}{os.pathsep}{env['PATH']}"} | more


@pytest.fixture
def cluster(tmp_path):
    """The address of a master with two workers, each of one core and with a folder of its own."""
    port, page = closed_port(), closed_port()
    url = f"spark://127.0.0.1:{port}"

    def alive() -> int:
        time.sleep(0.2)
        try:
            return json.load(urlopen(f"http://127.0.0.1:{page}/json/"))["aliveworkers"]
        except OSError:
            return 0

    with ExitStack() as stack:

        def start(name: str, kind: str, *options: str) -> None:
            command = ["spark-class", f"org.apache.spark.deploy.{kind}", "--host", "127.0.0.1"]
            (tmp_path / name).mkdir()
            log = stack.enter_context((tmp_path / f"{name}.log").open("w"))
            command += options
            process = process_group.start(command, tmp_path / name, environment(), output=log)
            stack.callback(process.communicate)

        start("master", "master.Master", "--port", str(port), "--webui-port", str(page))
        for name in ("first", "second"):
            limits = ["--cores", "1", "--memory", "1g", "--webui-port", "0"]
            start(name, "worker.Worker", "--work-dir", str(tmp_path / name), *limits, url)
        wait_for(lambda: alive() == 2, "two workers are there", 120)
        yield url


def test_spark_finds_what_predict_finds(cluster, registered, tiny, tmp_path):
    texts = [text_of(sentence) for sentence in tiny.test]
    texts += ["", None, "字" * (2**20 + 1), "𠮷田在北京👍🏽", None, "ＡＢＣ　北京"]
    given = {"id": pa.array(range(len(texts)), pa.int64()), "text": texts}
    pq.write_table(pa.table(given), tmp_path / "texts.parquet")
    done = pipelines(registered, "predict", "--input", str(tmp_path / "texts.parquet"),
                     "--output", str(tmp_path / "predicted.parquet"))  # fmt: skip
    assert done.returncode == 0, done.stderr

    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    section = page.partition("## Batch prediction on Spark")[2].partition("\n## ")[0]
    code = re.search(r"^```python\n(.*?)^```", section, re.M | re.S)[1]
    (tmp_path / "batch.py").write_text(code, encoding="utf-8")
    (tmp_path / "events").mkdir()
    events = {"enabled": "true", "dir": f"file://{tmp_path}/events", "compress": "false"}
    command = ["spark-submit", "--master", cluster, "--conf", "spark.ui.enabled=false"]
    for key, value in events.items():
        command += ["--conf", f"spark.eventLog.{key}={value}"]
    env = environment(MLFLOW_TRACKING_URI=f"sqlite:///{registered}/mlflow.db")
    done = subprocess.run(
        [*command, "batch.py"], cwd=tmp_path, env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout

    found = pq.read_table(tmp_path / "entities").sort_by("id").drop(["id"]).to_pylist()
    expected = pq.read_table(tmp_path / "predicted.parquet").to_pylist()
    assert sum(len(row["entities"]) for row in expected) > len(texts)
    assert [row["error"] for row in expected].count("text is null") == 2
    assert found == expected
    assert executors(tmp_path / "events") == {"0", "1"}


def executors(events: Path) -> set[str]:
    """Which of Spark's executors ended a task."""
    lines = (json.loads(line) for file in events.glob("**/events_*") for line in file.open())
    return {line["Task Info"]["Executor ID"] for line in lines if "Task Info" in line}
