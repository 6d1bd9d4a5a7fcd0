"""Traces requests by OpenTelemetry, if its variables ask for it.

OTEL_TRACES_EXPORTER names one of the installed exporters. For `otlp`, where none is installed, the
spans are sent by HTTP from here: the locked packages have OpenTelemetry's SDK and its messages, but
no exporter.
"""

import os
import urllib.request
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import unquote

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from pipelines.errors import PipelineError

ENDPOINT, TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
HEADERS, EXPORTER = "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_TRACES_EXPORTER"
DEFAULT_ENDPOINT = "http://localhost:4318"
TIMEOUT_S = 10.0


def provider(service: str) -> TracerProvider | None:
    """What makes tracers; None if no exporter or endpoint is set.

    Sampler, resource and batches are set by OpenTelemetry's own variables.

    Raises:
        PipelineError: if the exporter that is named is not installed.
    """
    asked = os.environ.get(EXPORTER, "otlp" if ENDPOINT in os.environ else "none")
    if TRACES_ENDPOINT in os.environ:
        asked = os.environ.get(EXPORTER, "otlp")
    if asked in ("none", "") or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    own = {} if "OTEL_SERVICE_NAME" in os.environ else {SERVICE_NAME: service}
    made = TracerProvider(resource=Resource.create(own))
    for name in asked.split(","):
        made.add_span_processor(BatchSpanProcessor(_exporter(name.strip())))
    return made


def _exporter(name: str) -> SpanExporter:
    found = entry_points(group="opentelemetry_traces_exporter", name=name)
    for each in found:
        exporter: SpanExporter = each.load()()
        return exporter
    if name == "otlp":
        return OverHttp()
    raise PipelineError(f"{EXPORTER} is {name!r}, which is not installed: give otlp or console")


class OverHttp(SpanExporter):
    """Sends spans to a collector, as protobuf by HTTP."""

    def __init__(self) -> None:
        above = os.environ.get(ENDPOINT, DEFAULT_ENDPOINT).rstrip("/")
        self._url = os.environ.get(TRACES_ENDPOINT, f"{above}/v1/traces")
        pairs = (part.partition("=") for part in os.environ.get(HEADERS, "").split(",") if part)
        self._headers = {key.strip(): unquote(value.strip()) for key, _, value in pairs}
        self._headers["Content-Type"] = "application/x-protobuf"

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends them; a collector that does not answer loses them, and nothing else."""
        request = urllib.request.Request(  # noqa: S310
            self._url, message(spans).SerializeToString(), self._headers
        )
        try:
            urllib.request.urlopen(request, timeout=TIMEOUT_S).close()  # noqa: S310
        except (OSError, ValueError):
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


def message(spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
    """The spans, all of one resource, as a collector reads them."""
    made = ExportTraceServiceRequest()
    resource = made.resource_spans.add()
    resource.resource.attributes.extend(_pairs(spans[0].resource.attributes))
    scope = resource.scope_spans.add()
    scope.scope.name = "pipelines.serving"
    for span in spans:
        context: Any = span.get_span_context()
        one = scope.spans.add(
            name=span.name,
            kind=span.kind.value + 1,  # the message has an unspecified one first
            trace_id=context.trace_id.to_bytes(16, "big"),
            span_id=context.span_id.to_bytes(8, "big"),
            start_time_unix_nano=span.start_time or 0,
            end_time_unix_nano=span.end_time or 0,
            attributes=_pairs(span.attributes or {}),
        )
        if span.parent:
            one.parent_span_id = span.parent.span_id.to_bytes(8, "big")
        one.status.code = span.status.status_code.value
    return made


def _pairs(attributes: Any) -> list[KeyValue]:
    pairs = []
    for key, value in attributes.items():
        pair = KeyValue(key=key)
        kind = {bool: "bool_value", int: "int_value", float: "double_value"}.get(type(value))
        setattr(pair.value, kind or "string_value", value if kind else str(value))
        pairs.append(pair)
    return pairs
