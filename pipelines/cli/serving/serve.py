"""The command `serve`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.command import command
from pipelines.cli.options import Named

if TYPE_CHECKING:
    from pipelines.serving.request_log import LogPlan
    from pipelines.serving.shadow import Plan

CHALLENGER = "challenger"


@dataclass(frozen=True)
class Following:
    """Options of which version is served."""

    pin: Annotated[
        int | None,
        typer.Option(
            "--pin", metavar="VERSION", help="Serve this version, whichever is the champion."
        ),
    ] = None
    every_s: Annotated[
        float,
        typer.Option(
            "--every", metavar="SECONDS", min=0.1, help="Between two looks for a new champion."
        ),
    ] = 1.0
    webhook_secret_file: Annotated[
        Path | None,
        typer.Option(
            "--webhook-secret-file",
            metavar="FILE",
            help="Look at once when MLflow posts to /registry-events, signed by this secret.",
        ),
    ] = None
    webhook_url: Annotated[
        str | None,
        typer.Option(
            "--webhook-url",
            metavar="URL",
            help="Register this webhook in MLflow: /registry-events, as MLflow reaches it.",
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuses an address without a secret."""
        if self.webhook_url and not self.webhook_secret_file:
            raise typer.BadParameter(
                "needs --webhook-secret-file, such as of `openssl rand -hex 24`",
                param_hint="--webhook-url",
            )


@dataclass(frozen=True)
class Refusing:
    """Options of which requests are refused."""

    api_key_file: Annotated[
        Path | None,
        typer.Option("--api-key-file", metavar="FILE", help="Of the key that requests must have."),
    ] = None
    requests: Annotated[
        int,
        typer.Option("--requests", metavar="N", min=1, help="Taken at once; further ones get 503."),
    ] = 64
    max_mb: Annotated[
        float,
        typer.Option(
            "--max-mb", metavar="MB", min=0.001, help="Of one request; larger ones get 413."
        ),
    ] = 8.0


@dataclass(frozen=True)
class Beside:
    """Options of what is done with a sample of the texts, beside answering them."""

    shadow: Annotated[
        str | None,
        typer.Option(
            "--shadow",
            metavar="VERSION",
            help="A version, or `challenger`: score texts by it too, and keep those that differ.",
        ),
    ] = None
    sample: Annotated[
        float,
        typer.Option(
            "--sample", min=0, max=1, help="Share of texts for --shadow and --log-requests."
        ),
    ] = 0.1
    shadow_folder: Annotated[
        Path,
        typer.Option("--shadow-folder", metavar="FOLDER", help="Where --shadow keeps them."),
    ] = Path(".runs/shadow")
    log_requests: Annotated[
        Path | None,
        typer.Option("--log-requests", metavar="FOLDER", help="Keep texts and answers there."),
    ] = None
    redact_digits: Annotated[
        bool, typer.Option("--redact-digits", help="Write 0 for each digit of these texts.")
    ] = False

    def __post_init__(self) -> None:
        """Refuses a version that is none."""
        if self.shadow not in (None, CHALLENGER) and not str(self.shadow).isdecimal():
            raise typer.BadParameter(
                f"{self.shadow} is neither {CHALLENGER} nor a version's number",
                param_hint="--shadow",
            )


@command(
    "serve --port 5001",
    "serve --pin 3 --api-key-file key.txt",
    "serve --webhook-url https://ner.example.org/registry-events --webhook-secret-file secret.txt",
    "serve --shadow challenger --sample 0.1",
    "serve --log-requests .runs/traffic --sample 0.01 --redact-digits",
    takes_json=False,  # its log is JSON
)
def serve(
    params: Named,
    host: Annotated[
        str, typer.Option("--host", help="To listen on; 0.0.0.0 lets others in.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="0 takes one that is free.")
    ] = 5001,
    *,
    following: Following,
    refusing: Refusing,
    beside: Beside,
) -> None:
    """Serves the champion over HTTP, and follows it.

    Answers /invocations, /ping, /health and /version as MLflow's own server, a plain /entities, and
    /metrics for Prometheus. Requests that come at once share a batch. Without a champion it serves
    the challenger. SIGTERM ends it when the requests in flight are answered.
    """
    from pipelines.serving.follow import FollowPlan
    from pipelines.serving.guard import Limits
    from pipelines.serving.server import Address, key_in, serve
    from pipelines.workspaces import merging

    project = Path.cwd()
    limits = Limits(refusing.requests, int(refusing.max_mb * 1e6), key_in(refusing.api_key_file))
    model = merging.model_name(project, params)
    pin = None if following.pin is None else str(following.pin)
    secret = key_in(following.webhook_secret_file)
    plan = FollowPlan(pin, following.every_s, secret, following.webhook_url)
    serve(project, model, plan, Address(host, port), limits, *_plans(beside))


def _plans(beside: Beside) -> "tuple[Plan | None, LogPlan | None]":
    from pipelines.serving.request_log import LogPlan
    from pipelines.serving.shadow import Plan

    shadow, log, wanted = None, None, beside.shadow
    if wanted is not None:
        pin = None if wanted == CHALLENGER else wanted
        shadow = Plan(pin, CHALLENGER, beside.sample, beside.shadow_folder)
    if beside.log_requests is not None:
        log = LogPlan(beside.sample, beside.log_requests, beside.redact_digits)
    return shadow, log
