"""Asks the sources of `download` whether they are there, before a run begins."""

import os
import re
import threading
import time
from pathlib import Path

import httpx

from pipelines.errors import PipelineError
from stages.contract.errors import StageError
from stages.contract.section import expanded
from stages.fetching.client import http_client
from stages.fetching.file import on_disk
from stages.params.download import Download

ANSWER_S = 1.5
HUB = "https://huggingface.co"
GONE = {404, 410}


def require_reachable(folder: Path, params: Download) -> None:
    """Raises a PipelineError that names each file of which no source can be reached.

    A server that has not answered after `ANSWER_S` seconds counts as reachable: `download` waits
    longer, and tries again.

    Args:
        folder: To which relative paths in `params` belong.
        params: The section `download`.
    """
    wanted = {f"download.{name}": source.sources for name, source in params.fetched.items()}
    if params.encoder.folder:
        wanted["download.encoder"] = [params.encoder.folder]
    else:
        wanted["download.encoder"] = [os.environ.get("HF_ENDPOINT") or HUB]
    problems: dict[str, str] = {}
    addresses = {address for sources in wanted.values() for address in sources}
    asked = [
        threading.Thread(target=_ask, args=(folder, address, problems), daemon=True)
        for address in addresses
    ]
    for thread in asked:
        thread.start()
    deadline = time.monotonic() + ANSWER_S
    for thread in asked:
        thread.join(max(0.0, deadline - time.monotonic()))
    found = dict(problems)  # a thread may still wait for a name server
    lacking = [
        f"  {key}: {address}: {found[address]}"
        for key, sources in wanted.items()
        if all(address in found for address in sources)
        for address in sources
    ]
    if lacking:
        raise PipelineError(
            "\n".join(["Sources cannot be reached:", *lacking])
            + "\nCorrect the address, the path or the proxy, or name a copy that can be reached"
            " from here (docs/your-own-corpus.md)"
        )


def _ask(folder: Path, address: str, problems: dict[str, str]) -> None:
    """Notes in `problems` why `address` cannot be a source, if that is certain."""
    try:
        place = expanded(address)
        path = on_disk(place)
        if path is not None:
            if not (folder / path).exists():
                problems[address] = f"{folder / path} does not exist"
            return
        with http_client(timeout=ANSWER_S, follow_redirects=True) as client:
            answer = client.head(place)
        if answer.status_code in GONE:
            problems[address] = f"HTTP {answer.status_code}"
    except httpx.TimeoutException:
        return
    except (StageError, httpx.HTTPError, httpx.InvalidURL) as error:
        cause = re.sub(r"^\[Errno -?\d+\] ", "", " ".join(str(error).split()))
        problems[address] = cause.removeprefix(f"{address}: ") or type(error).__name__
