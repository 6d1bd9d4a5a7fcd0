"""Follows an alias: asks MLflow for its version, loads a new one and hands it on.

By polling: one cheap request a second finds a promotion as soon as a webhook would, needs no
address of this server that MLflow reaches, no secret and no right to register one, and works with
the project's own SQLite too.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable

from pipelines.errors import PipelineError, without_password
from pipelines.registry.aliases import CHALLENGER, CHAMPION, by_alias
from pipelines.registry.registry import Registry
from pipelines.serving.loading import Loaded, load
from pipelines.serving.metrics import Followed
from pipelines.tracking import connection

RETRY_S = 30.0  # before a version that failed is tried again: its files may be back
logger = logging.getLogger("pipelines.serving")


class Follower:
    """Knows which version is to be served; loads each beside the one that serves."""

    def __init__(
        self,
        registry: Registry,
        metrics: Followed,
        pin: str | None,
        alias: str = CHAMPION,
        drop: Callable[[], None] | None = None,
    ) -> None:
        """Knows no version yet.

        Args:
            registry: The registered model.
            metrics: Of what it follows.
            pin: The number of the only version to take; None: follow the alias.
            alias: The alias.
            drop: Called when no version has the alias any more; None: the last one goes on.
        """
        self._registry, self._metrics, self._pin = registry, metrics, pin
        self._alias, self._drop = alias, drop
        self._serving: str | None = None
        self._failed: str | None = None
        self._again = 0.0
        self._reached = True

    def first(self) -> Loaded:
        """The version to begin with: the pinned one, the champion, or else the challenger.

        Raises:
            PipelineError: if there is none, or it fails its checks.
        """
        number = self._now_wanted() or by_alias(self._registry, CHALLENGER)
        if number is None:
            raise PipelineError(
                f"No version of {self._registry.model} is registered: run `python -m pipelines"
                " run`, then `promote`, or name one by --pin"
            )
        loaded = load(self._registry, number)
        self._now(loaded)
        return loaded

    def run(self, swap: Callable[[Loaded], None], every_s: float, stop: threading.Event) -> None:
        """Looks every `every_s` seconds until `stop` is set; `swap` gets a new version."""
        while not stop.wait(every_s):
            try:
                self._look(swap)
            except Exception:  # of MLflow, in a form that is not known: what is loaded goes on
                logger.exception(f"following the {self._alias} failed")

    def _look(self, swap: Callable[[Loaded], None]) -> None:
        wanted = self._wanted()
        if wanted is None or wanted == self._serving:
            self._failed = None
            self._metrics.refused.clear()
            if wanted is None:
                self._stop()
            return
        if wanted == self._failed and time.monotonic() < self._again:
            return
        started = time.monotonic()
        try:
            loaded = load(self._registry, wanted)
        except PipelineError as error:
            self._refuse(wanted, error)
            return
        if self._wanted() != wanted:  # a rollback came meanwhile
            return
        swap(loaded)
        before, seconds = self._serving, time.monotonic() - started
        self._now(loaded)
        self._metrics.swaps.inc()
        logger.info(
            "swapped",
            extra={"version": wanted, "before": before, "seconds": round(seconds, 2),
                   "follows": self._pin or self._alias},
        )  # fmt: skip
        del loaded
        gc.collect()  # the old version's modules know each other

    def _stop(self) -> None:
        if self._serving is None or self._drop is None:
            return
        logger.info("dropped", extra={"version": self._serving, "follows": self._alias})
        self._serving = None
        self._metrics.serving.clear()
        self._drop()
        gc.collect()

    def _refuse(self, version: str, error: PipelineError) -> None:
        self._failed, self._again = version, time.monotonic() + RETRY_S
        self._metrics.refused.clear()
        self._metrics.refused.labels(version).set(1)
        logger.error(str(error), extra={"version": version, "serving": self._serving})

    def _wanted(self) -> str | None:
        """The version to have; that which it has, if MLflow does not answer."""
        try:
            wanted = self._now_wanted()
        except connection.FAILURES as error:
            if self._reached:
                words = without_password(" ".join(str(error).split()))
                logger.warning("MLflow does not answer", extra={"error": words})
            self._reached = False
            self._metrics.reachable.set(0)
            return self._serving
        if not self._reached:
            logger.info("MLflow answers again")
        self._reached = True
        self._metrics.reachable.set(1)
        return wanted or (None if self._drop else self._serving)

    def _now_wanted(self) -> str | None:
        return self._pin or by_alias(self._registry, self._alias)

    def _now(self, loaded: Loaded) -> None:
        self._serving, self._failed = loaded.version, None
        self._metrics.reachable.set(1)
        self._metrics.serves(self._registry.model, loaded)
