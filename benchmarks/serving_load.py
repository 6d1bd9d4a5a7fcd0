"""The served model at four times what it can do, for a minute: `make bench-load`.

Run it in a project that has a registered model. Requests come at their times whether or not earlier
ones are answered, and a client gives up after a while, as people do. It writes
benchmarks/results/serving-load.json beside this file.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
import time
from collections import Counter
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import psutil

from benchmarks.machine import machine
from benchmarks.serving import MLFLOW, PIPELINES, SENTENCES, served
from pipelines.prediction import predict
from pipelines.tracking import connection

RESULT = Path(__file__).parent / "results" / "serving-load.json"
TEXTS = 64  # a request
BODY = {"inputs": (SENTENCES * TEXTS)[:TEXTS]}
CAPACITY_S, PATIENCE_S, IN_FLIGHT = 10.0, 10.0, 8
# With a limit of connections, twice what the eight clients of the capacity need; more get 503.
SERVERS = ((MLFLOW, None), (MLFLOW, 16), (PIPELINES, None))


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="MLflow URI; default: the champion, else the challenger")
    parser.add_argument("--times", type=float, default=4.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    model = asked.model or predict.registered(connection.check(Path.cwd()).registry)
    result: dict[str, Any] = {
        **machine(),
        "texts_a_request": TEXTS,
        "client_gives_up_s": PATIENCE_S,
    }
    result["runs"] = [
        _run(model, server, limit, asked.times, asked.seconds) for server, limit in SERVERS
    ]
    result["load_average_1m_after"] = round(os.getloadavg()[0], 2)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    RESULT.write_text(text, encoding="utf-8")
    print(text, end="")


def _run(
    model: str, server: str, limit: int | None, times: float, seconds: float
) -> dict[str, Any]:
    os.environ.pop("UVICORN_LIMIT_CONCURRENCY", None)
    if limit:
        os.environ["UVICORN_LIMIT_CONCURRENCY"] = str(limit)
    with served(model, server) as (url, process):
        result: dict[str, Any] = {"server": server, "UVICORN_LIMIT_CONCURRENCY": limit}
        result |= asyncio.run(_load(url, process.pid, times, seconds))
        result["crashed"] = process.poll() is not None
        result["stop"] = asyncio.run(_stop(url, process.pid))
        process.wait(60)
    return result


async def _load(url: str, pid: int, times: float, seconds: float) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    async with httpx.AsyncClient(timeout=PATIENCE_S, limits=limits, trust_env=False) as client:
        await _closed(client, url, 2.0)  # warm
        capacity = await _closed(client, url, CAPACITY_S)
        memory_mb = [_memory_mb(pid)]
        over = asyncio.Event()
        watching = asyncio.create_task(_watch(pid, over, memory_mb))
        started = time.monotonic()
        sent: list[asyncio.Task[tuple[str, float]]] = []
        while (now := time.monotonic() - started) < seconds:
            due = int(now * capacity * times) - len(sent)
            sent += [asyncio.create_task(_one(client, url)) for _ in range(due)]
            await asyncio.sleep(0.005)
        ended = await asyncio.gather(*sent)
        over.set()
        await watching
        began = time.monotonic()
        while (await _one(client, url))[0] != "200":
            pass
        recovered_s = time.monotonic() - began
    answered_ms = [took_s * 1000 for status, took_s in ended if status == "200"]
    third = max(1, len(memory_mb) // 3)
    return {
        "capacity_requests_per_s": round(capacity, 1),
        "offered_requests_per_s": round(len(sent) / seconds, 1),
        "seconds": seconds,
        "ends": dict(Counter(status for status, _ in ended)),
        "answered_per_s": round(len(answered_ms) / seconds, 1),
        "latency_ms_p50": round(median(answered_ms), 1) if answered_ms else None,
        "latency_ms_p99": round(quantiles(answered_ms, n=100)[98], 1) if answered_ms[1:] else None,
        "memory_mb_before": memory_mb[0],
        "memory_mb_median_by_third": [
            median(memory_mb[i * third : (i + 1) * third] or memory_mb[-1:]) for i in range(3)
        ],
        "memory_mb_most": max(memory_mb),
        "answers_again_after_s": round(recovered_s, 2),
    }


async def _closed(client: httpx.AsyncClient, url: str, seconds: float) -> float:
    """Answers a second to eight clients that each wait for theirs."""
    started = time.monotonic()

    async def one_client() -> int:
        count = 0
        while time.monotonic() - started < seconds:
            count += (await _one(client, url))[0] == "200"
        return count

    counts = await asyncio.gather(*(one_client() for _ in range(8)))
    return sum(counts) / (time.monotonic() - started)


async def _one(client: httpx.AsyncClient, url: str) -> tuple[str, float]:
    """How it ended, a status or an error's name, and after how many seconds."""
    started = time.monotonic()
    try:
        status = str((await client.post(url, json=BODY)).status_code)
    except httpx.HTTPError as error:
        status = type(error).__name__
    return status, time.monotonic() - started


async def _watch(pid: int, over: asyncio.Event, memory_mb: list[float]) -> None:
    while not over.is_set():
        memory_mb.append(_memory_mb(pid))
        await asyncio.sleep(1)


def _memory_mb(pid: int) -> float:
    """Of the server's processes, resident."""
    process = psutil.Process(pid)
    processes = process.children(recursive=True) or [process]  # MLflow's command starts its server
    return round(sum(each.memory_info().rss for each in processes) / 1e6)


async def _stop(url: str, pid: int) -> dict[str, Any]:
    """SIGTERM with requests in flight."""
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        tasks = [asyncio.create_task(_one(client, url)) for _ in range(IN_FLIGHT)]
        await asyncio.sleep(0.05)  # long enough to be taken, not to be answered
        waiting = sum(not task.done() for task in tasks)
        started = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        ends = Counter(status for status, _ in await asyncio.gather(*tasks))
    return {
        "in_flight": waiting,
        "ends": dict(ends),
        "seconds": round(time.monotonic() - started, 2),
    }


if __name__ == "__main__":
    main()
