"""What Prometheus reads of a server."""

from collections import Counter as Tally
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from pipelines.serving.loading import Loaded, Row

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TEXTS = (1, 2, 4, 8, 16, 32, 64)
SCORES = tuple(tenth / 20 for tenth in range(8, 21))


Listener = Callable[[str, Sequence[Any], Sequence[Row]], None]
"""Gets each batch: the version, its texts, its rows. It is called where requests are answered."""


class Followed:
    """The metrics of what follows an alias; names begin with `prefix`."""

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        def gauge(name: str, about: str, *labels: str) -> Gauge:
            return Gauge(f"{prefix}{name}", about, labels, registry=registry)

        self.serving = gauge("model_info", "What answers: 1.", "model", "version", "provider")
        self.swaps = Counter(f"{prefix}swaps", "Versions that replaced others.", registry=registry)
        self.refused = gauge("version_refused", "1: it failed its checks.", "version")
        self.reachable = gauge("registry_up", "1: MLflow answers.")

    def serves(self, model: str, loaded: Loaded) -> None:
        """Names the version that answers from now on."""
        self.serving.clear()
        self.serving.labels(model, loaded.version, loaded.provider).set(1)
        self.refused.clear()


class Shadowed:
    """The metrics of a shadow."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.followed = Followed("ner_shadow_", registry)
        self.texts = Counter(
            "ner_shadow_texts", "Texts of the sample.", ["result"], registry=registry
        )
        self.disagreements = Counter(
            "ner_shadow_disagreements", "Entities that differ.", ["kind"], registry=registry
        )


class Metrics:
    """The metrics of one server; names begin with `ner_`."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._listeners: list[Listener] = []
        ProcessCollector(registry=registry)

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"ner_{name}", about, labels, registry=registry)

        def gauge(name: str, about: str) -> Gauge:
            return Gauge(f"ner_{name}", about, registry=registry)

        def histogram(name: str, about: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(f"ner_{name}", about, labels, registry=registry, buckets=buckets)

        self.requests = counter("requests", "Requests answered.", "path", "status")
        self.seconds = histogram("request_seconds", "Of requests.", SECONDS, "path")
        self.batch_texts = histogram("batch_texts", "Texts the model took at once.", TEXTS)
        self.batch_seconds = histogram("batch_seconds", "Of the model's batches.", SECONDS)
        self.open = gauge("requests_open", "Requests being received or answered.")
        self.waiting = gauge("texts_waiting", "Texts that the model has not taken yet.")
        self.texts = counter("texts", "Texts answered.", "result")
        self.entities = counter("entities", "Entities found.", "type")
        self.scores = histogram("entity_score", "Scores of entities.", SCORES, "type")
        self.loaded = gauge("versions_loaded", "Versions in memory.")
        self.followed = Followed("ner_", registry)
        # To find the metric of labels takes longer than to count.
        self._score_of, self._count_of = cache(self.scores.labels), cache(self.requests.labels)
        self._seconds_of = cache(self.seconds.labels)

    def tell(self, listener: Listener) -> None:
        """Lets a listener see each batch from now on, beside those who asked."""
        self._listeners.append(listener)

    def took(self, version: str, texts: Sequence[Any], rows: Sequence[Row], seconds: float) -> None:
        """Counts a batch that a version answered, and shows it to the listeners."""
        for listener in self._listeners:
            listener(version, texts, rows)
        self.batch_texts.observe(len(rows))
        self.batch_seconds.observe(seconds)
        wrong = sum(row["error"] is not None for row in rows)
        self.texts.labels("error").inc(wrong)
        self.texts.labels("ok").inc(len(rows) - wrong)
        for row in rows:
            for entity in row["entities"]:
                self._score_of(entity["type"]).observe(entity["score"])
        found = Tally(entity["type"] for row in rows for entity in row["entities"])
        for kind, count in found.items():
            self.entities.labels(kind).inc(count)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Counts a request."""
        self._count_of(path, status).inc()
        self._seconds_of(path).observe(seconds)

    def watch(self, waiting: Callable[[], float], loaded: Callable[[], float]) -> None:
        """Takes the functions that are asked when Prometheus reads."""
        self.waiting.set_function(waiting)
        self.loaded.set_function(loaded)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)
