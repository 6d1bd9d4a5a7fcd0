"""The command `serve`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.command import command
from pipelines.cli.options import Named


@command(
    "serve --port 5001",
    "serve --pin 3 --api-key-file key.txt",
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
    pin: Annotated[
        int | None,
        typer.Option(
            "--pin", metavar="VERSION", help="Serve this version, whichever is the champion."
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option("--api-key-file", metavar="FILE", help="Of the key that requests must have."),
    ] = None,
    requests: Annotated[
        int,
        typer.Option("--requests", metavar="N", min=1, help="Taken at once; further ones get 503."),
    ] = 64,
    max_mb: Annotated[
        float,
        typer.Option(
            "--max-mb", metavar="MB", min=0.001, help="Of one request; larger ones get 413."
        ),
    ] = 8.0,
    every_s: Annotated[
        float,
        typer.Option(
            "--every", metavar="SECONDS", min=0.1, help="Between two looks for a new champion."
        ),
    ] = 1.0,
) -> None:
    """Serves the champion over HTTP, and follows it.

    Answers /invocations, /ping, /health and /version as MLflow's own server, a plain /entities, and
    /metrics for Prometheus. Requests that come at once share a batch. Without a champion it serves
    the challenger. SIGTERM ends it when the requests in flight are answered.
    """
    from pipelines.serving.guard import Limits
    from pipelines.serving.server import Address, api_key, serve
    from pipelines.workspaces import merging

    project = Path.cwd()
    limits = Limits(requests, int(max_mb * 1e6), api_key(api_key_file))
    model = merging.model_name(project, params)
    number = None if pin is None else str(pin)
    serve(project, model, number, Address(host, port), limits, every_s)
