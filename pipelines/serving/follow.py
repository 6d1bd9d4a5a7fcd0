"""Follows an alias: asks MLflow for its version, loads a new one and hands it on.

Polling is the only way in which a version is found. An event of MLflow's does nothing but let the
next look be now: so one that is lost, sent again or forged does no harm.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from pipelines.errors import PipelineError, without_password
from pipelines.registry.aliases import CHALLENGER, CHAMPION, by_alias
from pipelines.registry.registry import Registry
from pipelines.registry.webhook import RENEW_S, Webhook, unsigned
from pipelines.serving.invocations import Unreadable
from pipelines.serving.loading import Loaded, load
from pipelines.serving.metrics import Followed
from pipelines.tracking import connection

RETRY_S = 30.0  # before a version that failed is tried again: its files may be back
RARELY_S = 30.0  # between two looks while MLflow sends events
logger = logging.getLogger("pipelines.serving")


@dataclass(frozen=True)
class FollowPlan:
    """Which version to serve, and how another one is noticed.

    Attributes:
        pin: The number of the only version to take; None: follow the champion.
        every_s: Seconds between two looks.
        secret: Of MLflow's events; None: none are taken.
        webhook_url: By which MLflow reaches this server's events; None: nothing is registered.
    """

    pin: str | None
    every_s: float
    secret: str | None = None
    webhook_url: str | None = None


class Events:
    """MLflow's events: lets the next look be now."""

    def __init__(self, secret: str, webhook: Webhook | None) -> None:
        """Takes the secret of the events, and what is to be registered before any come."""
        self._secret, self._webhook = secret, webhook
        self._woken = threading.Event()
        self._come: bool | None = None

    async def answer(self, request: Request) -> Response:
        """The answer to an event.

        Raises:
            Unreadable: if MLflow did not sign it, or did long ago.
        """
        if wrong := unsigned(self._secret, request.headers, await request.body()):
            raise Unreadable(401, wrong)
        self.wake()
        return Response(status_code=204)

    def wait(self, every_s: float) -> None:
        """Returns at the next event; without any after `every_s`, and rarely if they do come."""
        self._woken.wait(max(every_s, RARELY_S) if self._come else every_s)
        self._woken.clear()

    def wake(self) -> None:
        """Ends what waits."""
        self._woken.set()

    def start(self, stop: threading.Event) -> list[threading.Thread]:
        """Starts the thread that keeps the webhook, if there is one, until `stop` is set."""
        if self._webhook is None:
            return []
        thread = threading.Thread(target=self._keep, args=(self._webhook, stop), daemon=True)
        thread.start()
        return [thread]

    def _keep(self, webhook: Webhook, stop: threading.Event) -> None:
        while not stop.is_set():
            self._renew(webhook)
            stop.wait(RENEW_S)
        try:
            webhook.remove()
        except Exception as error:  # as below
            logger.warning("the webhook stays registered", extra={"error": _words(error)})

    def _renew(self, webhook: Webhook) -> None:
        try:
            webhook.renew()
        except Exception as error:  # of MLflow, in a form that is not known: polling goes on
            if self._come is not False:
                extra = {"error": _words(error)}
                logger.warning("MLflow sends no events: it is polled", extra=extra)
            self._come = False
            return
        if not self._come:
            logger.info("MLflow sends events")
        self._come = True


class Follower:
    """Knows which version is to be served; loads each beside the one that serves."""

    def __init__(
        self,
        registry: Registry,
        metrics: Followed,
        pin: str | None,
        alias: str = CHAMPION,
        drop: Callable[[], None] | None = None,
        events: Events | None = None,
    ) -> None:
        """Knows no version yet.

        Args:
            registry: The registered model.
            metrics: Of what it follows.
            pin: The number of the only version to take; None: follow the alias.
            alias: The alias.
            drop: Called when no version has the alias any more; None: the last one goes on.
            events: What wakes it; None: it polls.
        """
        self._registry, self._metrics, self._pin = registry, metrics, pin
        self._alias, self._drop, self._events = alias, drop, events
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
        wait = self._events.wait if self._events else stop.wait
        while True:
            wait(every_s)
            if stop.is_set():
                return
            try:
                self._look(swap)
            except Exception:  # of MLflow, in a form that is not known: what is loaded goes on
                logger.exception(f"following the {self._alias} failed")

    def wake(self) -> None:
        """Lets it look, or see that it is to stop, now."""
        if self._events:
            self._events.wake()

    def _look(self, swap: Callable[[Loaded], None]) -> None:
        wanted = self._wanted()
        if not self._reached:
            return
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
        before, seconds = self._serving, time.monotonic() - started
        self._metrics.swaps.inc()
        swap(loaded)
        self._now(loaded)
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
                logger.warning("MLflow does not answer", extra={"error": _words(error)})
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


def _words(error: Exception) -> str:
    return without_password(" ".join(str(error).split()))
