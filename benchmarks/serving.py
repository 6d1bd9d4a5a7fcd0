"""Latency and throughput of the model, served and in batch: `make bench-serving`.

Run it in a project that has a registered model, where nothing else computes. It writes
benchmarks/results/serving.json beside this file.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from urllib.error import URLError
from urllib.request import Request, urlopen

import psutil
from mlflow.store.artifact.utils.models import get_model_name_and_version

from benchmarks.clients import latencies_ms
from benchmarks.machine import machine
from pipelines.prediction import predict
from pipelines.registry import serving_code
from pipelines.tracking import connection

RESULT = Path(__file__).parent / "results" / "serving.json"
SENTENCES = [
    "记者昨天从市政府得知，李明和张伟已经回到北京。",
    "中国国家主席习近平在北京大学会见了联合国秘书长。",
    "今天没有新闻。",
    "上海的三家企业在广州开会，会议由王芳主持，来自全国各地的两百多名代表参加了会议，会后签订了协议。",
]
START_WITHIN_S = 120
MLFLOW, PIPELINES = SERVERS = ("mlflow models serve", "pipelines serve")


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="MLflow URI; default: the champion, else the challenger")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3, help="of each server, in turn")
    parser.add_argument("--rows", type=int, default=20_000)
    asked = parser.parse_args()
    model = asked.model or predict.registered(connection.check(Path.cwd()).registry)
    result = {
        **machine(),
        "onnxruntime": _onnxruntime(),
        "model_bytes": _model_bytes(model),
        "characters_a_text": sum(map(len, SENTENCES)) / len(SENTENCES),
    }
    rounds: dict[str, list[list[dict[str, float]]]] = {server: [] for server in SERVERS}
    for _ in range(asked.rounds):
        for server in SERVERS:
            with served(model, server) as (url, process):
                result["provider"] = _provider(url)
                rounds[server].append(
                    [
                        _requests(url, process.pid, 1, 1, asked.requests),
                        _requests(url, process.pid, 8, 1, 4 * asked.requests),
                        _requests(url, process.pid, 1, 64, asked.requests // 5),
                    ]
                )
    result["serve"] = {
        server: [_medians(same) for same in zip(*each, strict=True)]
        for server, each in rounds.items()
    }
    one, other = (result["serve"][server][1]["texts_per_s"] for server in SERVERS)
    result["times_the_texts_of_eight_clients"] = round(other / one, 2)
    result["batch"] = _batch(model, asked.rows)
    result["load_average_1m_after"] = round(os.getloadavg()[0], 2)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(text, encoding="utf-8")
    print(text, end="")


def _requests(url: str, server: int, clients: int, texts: int, requests: int) -> dict[str, float]:
    """`requests` of `texts` texts each, by as many `clients` at once; `server` is a process id."""
    body = (SENTENCES * texts)[:texts]
    latencies_ms(url, body, clients, 4 * clients)  # warm
    started, cpu_s = time.perf_counter(), _cpu_s(server)
    latency_ms = latencies_ms(url, body, clients, requests)
    seconds, cpu_s = time.perf_counter() - started, _cpu_s(server) - cpu_s
    percentiles = quantiles(latency_ms, n=100)
    return {
        "clients": clients,
        "texts_a_request": texts,
        "latency_ms_p50": round(percentiles[49], 2),
        "latency_ms_p99": round(percentiles[98], 2),
        "texts_per_s": round(requests * texts / seconds, 1),
        "server_cpu_ms_a_text": round(cpu_s * 1000 / (requests * texts), 2),
    }


def _cpu_s(server: int) -> float:
    """CPU time of its processes until now."""
    process = psutil.Process(server)
    both = (process, *process.children(recursive=True))  # MLflow's command starts its server
    return sum(each.cpu_times().user + each.cpu_times().system for each in both)


def _medians(same: tuple[dict[str, float], ...]) -> dict[str, float]:
    """Of several rounds' figures, each one's median, and the rounds' throughput."""
    medians = {key: round(median(each[key] for each in same), 2) for key in same[0]}
    return {**medians, "texts_per_s_by_round": [each["texts_per_s"] for each in same]}


def _batch(model: str, rows: int) -> dict[str, float]:
    """`python -m pipelines predict` on a text file, with and without its start."""
    with tempfile.TemporaryDirectory() as folder:

        def seconds(count: int) -> float:
            source, output = Path(folder, f"{count}.txt"), Path(folder, f"{count}.jsonl")
            source.write_text("\n".join((SENTENCES * count)[:count]), encoding="utf-8")
            command = [sys.executable, "-m", "pipelines", "predict", "--model", model]
            started = time.perf_counter()
            subprocess.run(
                [*command, "--input", str(source), "--output", str(output)],
                check=True,
                capture_output=True,
            )
            return time.perf_counter() - started

        start_s, all_s = seconds(1), seconds(rows)
    return {
        "rows": rows,
        "start_s": round(start_s, 2),
        "seconds": round(all_s, 2),
        "texts_per_s": round(rows / (all_s - start_s), 1),
    }


@contextmanager
def served(model: str, server: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Serves `model` until this is left: the address of its invocations, and the process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bin_folder = Path(sys.executable).parent
    env = {**os.environ, "MLFLOW_TRACKING_URI": connection.uri(Path.cwd())}
    env["PATH"] = f"{bin_folder}{os.pathsep}{env['PATH']}"
    command = [sys.executable, "-m", *server.split(), "--port", str(port)]
    if server == PIPELINES:
        _, version = get_model_name_and_version(connection.connect(Path.cwd()), model)
        command += ["--pin", str(version)]
    else:
        command += ["--env-manager", "local", "-m", model]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, env=env, stdout=log, stderr=log) as process,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}/invocations", process
        finally:
            process.terminate()


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urlopen(url).close()  # noqa: S310
        except URLError:
            time.sleep(0.2)
        else:
            return
    sys.exit(f"The server did not start: try `{' '.join(map(str, process.args))}` by itself")


def _provider(url: str) -> str:
    body = json.dumps({"inputs": SENTENCES}).encode()
    asked = Request(url, body, {"Content-Type": "application/json"})  # noqa: S310
    with urlopen(asked) as answer:  # noqa: S310
        provider: str = json.load(answer)["predictions"][0]["provider"]
    return provider


def _onnxruntime() -> str:
    pins = [pin for pin in serving_code.requirements() if pin.startswith("onnxruntime")]
    return " ".join(pins)


def _model_bytes(model: str) -> int:
    import mlflow

    connection.connect(Path.cwd())
    [path] = Path(mlflow.artifacts.download_artifacts(model)).rglob("model.onnx")
    return path.stat().st_size


if __name__ == "__main__":
    main()
