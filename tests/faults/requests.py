"""Requests that a stranger may send to the served model, and what each may get for an answer."""

import json
import time
from typing import Any

import psutil
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.pipelines.served import Server

REFUSED = (400, 413, 415, 422)
ANSWER_S, MEMORY_MB = 20.0, 300.0  # at most: of a request of 2 kB on a busy machine; of all of them
FORMS = ["inputs", "instances", "dataframe_split", "dataframe_records"]
FORMS += ["input", "messages", "prompt"]  # of language models
KEYS = [*FORMS, "columns", "data", "index", "text", "params", "signature_name", "0", ""]
TYPES = ["application/json", "application/json; format=pandas-split", "text/csv", "text/plain", ""]

texts = st.text(st.characters(), max_size=60) | st.sampled_from(
    ["北京", "\ud83d", "\x00", "中" * 2000]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | texts, inner, max_size=4)
    ),
    max_leaves=12,
)
forms = st.one_of(
    values,
    st.builds(lambda key, value: {key: value}, st.sampled_from(FORMS), values),
    st.builds(lambda rows: {"inputs": rows}, st.lists(values, max_size=5)),
    st.builds(
        lambda columns, data: {"dataframe_split": {"columns": columns, "data": data}},
        st.lists(st.sampled_from(KEYS) | values, max_size=3),
        st.lists(st.lists(values, max_size=3), max_size=4) | values,
    ),
    st.builds(
        lambda rows: {"dataframe_records": rows},
        st.lists(st.dictionaries(st.sampled_from(KEYS), values, max_size=3), max_size=4),
    ),
)
bodies = st.one_of(
    st.binary(max_size=200),
    forms.map(lambda form: json.dumps(form).encode()),
    st.builds(
        lambda form, at, byte: (body := json.dumps(form).encode())[:at] + byte + body[at + 1 :],
        forms,
        st.integers(0, 80),
        st.binary(max_size=2),
    ),
)


def fuzz(server: Server, examples: int, number: int) -> None:
    """Sends as many; fails at one without a good answer, which Hypothesis makes small."""
    process = psutil.Process(server.process.pid)

    def memory_mb() -> float:
        return process.memory_info().rss / 1e6

    before_mb = memory_mb()

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(bodies, st.sampled_from([*TYPES[:1] * 6, *TYPES]))
    def one(body: bytes, content_type: str) -> None:
        started = time.monotonic()
        status, said = server.post(body, content_type)
        assert time.monotonic() - started < ANSWER_S
        _answered(status, said)

    one()
    assert server.answers()
    assert memory_mb() - before_mb < MEMORY_MB


def _answered(status: int, said: Any) -> None:
    if status != 200:
        assert status in REFUSED, said
        assert "Traceback" not in said
        assert "stack_trace" not in said
        return
    for row in said:
        assert (row["error"] is None) or row["entities"] == []
