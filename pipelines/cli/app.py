"""The command line: `python -m pipelines`.

A command imports what it needs in its function, so that --help is quick.
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from pipelines.cli import bring, doctor, gc, log, promote, rebuild, run, setup
from pipelines.cli.command import refuse
from pipelines.cli.corpus import check, convert
from pipelines.cli.serving import predict, serve, watch
from pipelines.errors import PipelineError
from pipelines.names import LAUNCHED, PROGRAM
from pipelines.prediction import stages_contract
from pipelines.workspaces.places import CODE

COMMANDS = (
    convert.convert,
    check.check,
    run.run,
    log.log,
    bring.bring,
    gc.gc,
    predict.predict,
    serve.serve,
    watch.watch,
    promote.promote,
    promote.rollback,
    promote.history,
    promote.status,
    rebuild.rebuild,
    doctor.doctor,
    setup.setup,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command in the current folder; returns its exit code."""
    stages_contract.load("terminal").accept_any_text()
    words = list(sys.argv[1:] if argv is None else argv)
    # Turns off the telemetry of MLflow and Prefect.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Unwinds like Ctrl-C; Prefect passes the signal on to this after the flow has seen it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    program = typer.main.get_command(make_app())
    try:
        return int(program.main(words, prog_name=PROGRAM, standalone_mode=False) or 0)
    except typer.TyperException as error:  # a command line that cannot be read
        return refuse(_sentence(error), error.exit_code, "--json" in words)


def make_app() -> typer.Typer:
    """The command line with all commands."""
    app = typer.Typer(
        callback=_root,
        epilog="Run it in the project (the folder with dvc.yaml and params.yaml) or below.",
        no_args_is_help=True,
        add_help_option=False,  # typer's own loads pydantic in `COMMAND --help`: half of its time
        add_completion=LAUNCHED,  # shells complete a program, not a module of Python
        rich_markup_mode=None,  # rich would triple the time of --help
        context_settings={"help_option_names": ["-h", "--help"]},
        subcommand_metavar="COMMAND ...",
    )
    for command in COMMANDS:
        command.add_to(app)
    return app


def _show_help(context: typer.Context, asked: bool) -> None:
    if asked:
        print(context.get_help())
        raise typer.Exit


def _show_version(asked: bool) -> None:
    if asked:
        import tomllib

        text = (CODE / "pyproject.toml").read_text(encoding="utf-8")
        project, commit = tomllib.loads(text)["project"], _commit()
        about = f" (commit {commit})" if commit else ""
        print(f"{project['name']} {project['version']}{about}")
        raise typer.Exit


def _commit() -> str | None:
    """That of this code; None if it is in no repository, or in one that has other files."""
    from pipelines.workspaces import git

    try:
        git.run(CODE, "ls-files", "--error-unmatch", "pyproject.toml")
        return git.run(CODE, "rev-parse", "--short=7", "HEAD").strip()
    except PipelineError:
        return None


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_show_version,
            help="Show the version and the commit of the code, and exit.",
        ),
    ] = False,
    help_: Annotated[
        bool,
        typer.Option(
            "-h",
            "--help",
            is_eager=True,
            callback=_show_help,
            help="Show this message and exit.",
        ),
    ] = False,
) -> None:
    """Chinese named-entity recognition, from raw text to a registered model."""


def _sentence(error: Any) -> str:
    """What is wrong with the command line, with the closest option or what is missing."""
    said = str(error.format_message()).replace("Value error, ", "")  # pydantic's
    if "\n" in said:  # the help that is shown where no command is given
        return said
    if close := _close(error):
        said = f"{error.message}. Did you mean {' or '.join(close)}?"
    end = "" if said.endswith((".", "?")) else "."
    command = error.ctx.command_path if getattr(error, "ctx", None) else PROGRAM
    return f"{said}{end} See `{command} --help`."


def _close(error: Any) -> list[str]:
    """The options that a wrong one may be meant for: what begins like it, or differs little."""
    if not (wrong := getattr(error, "option_name", "")) or not hasattr(error, "possibilities"):
        return []
    options = [option for parameter in error.ctx.command.params for option in parameter.opts]
    begun = [option for option in options if wrong != "-" and option.startswith(wrong)]
    return begun or sorted(error.possibilities or ())
