"""Which variables of OpenTelemetry turn traces on."""

import pytest
from opentelemetry.sdk.trace.export import ConsoleSpanExporter

from pipelines.errors import PipelineError
from pipelines.serving import traces


@pytest.fixture(autouse=True)
def _unset(monkeypatch):
    for name in (traces.ENDPOINT, traces.TRACES_ENDPOINT, traces.EXPORTER, "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "exporters"),
    [
        ({}, None),
        ({traces.EXPORTER: "none", traces.ENDPOINT: "http://127.0.0.1:1"}, None),
        ({traces.ENDPOINT: "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, None),
        ({traces.ENDPOINT: "http://127.0.0.1:1"}, [traces.OverHttp]),
        ({traces.TRACES_ENDPOINT: "http://127.0.0.1:1/here"}, [traces.OverHttp]),
        ({traces.EXPORTER: "console"}, [ConsoleSpanExporter]),
        ({traces.EXPORTER: "console, otlp"}, [ConsoleSpanExporter, traces.OverHttp]),
    ],
)
def test_what_is_exported(monkeypatch, variables, exporters):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    made = []
    monkeypatch.setattr(
        traces, "BatchSpanProcessor", lambda exporter: made.append(type(exporter)) or Nothing()
    )
    provider = traces.provider("msra-ner")
    assert (None if provider is None else made) == exporters


class Nothing:
    def shutdown(self) -> None:
        pass


def test_an_exporter_that_is_not_installed(monkeypatch):
    monkeypatch.setenv(traces.EXPORTER, "zipkin")
    with pytest.raises(PipelineError, match="OTEL_TRACES_EXPORTER is 'zipkin', which is not inst"):
        traces.provider("msra-ner")


def test_a_collector_that_does_not_answer_loses_spans_and_nothing_else(monkeypatch):
    monkeypatch.setenv(traces.TRACES_ENDPOINT, "http://127.0.0.1:1/v1/traces")
    provider = traces.provider("msra-ner")
    with provider.get_tracer("here").start_as_current_span("one"):
        pass
    provider.shutdown()
