"""Makes a command of a typed function: its help, its answer, for people or as JSON."""

import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.errors import PipelineError, Refused
from pipelines.names import PROGRAM
from pipelines.workspaces import places

JSON = Annotated[bool, typer.Option("--json", help="Print one line of JSON; errors too.")]


@dataclass(frozen=True)
class Answer:
    """What a command found or did.

    Attributes:
        fields: What --json prints, beside `exit_code`.
        show: Prints it for people.
        exit_code: Of the process.
    """

    fields: dict[str, Any]
    show: Callable[[], None]
    exit_code: int = 0


@dataclass(frozen=True)
class Command:
    """A command: a function whose name, docstring and parameters are its documentation.

    Attributes:
        function: Its parameters are the command's, as typer reads them; one that is annotated by
            a dataclass stands for an option a field.
        epilog: Its examples and exit codes.
        takes_json: Whether it has the option --json.
        anywhere: Whether it also runs outside a project.
    """

    function: Callable[..., Answer | None]
    epilog: str
    takes_json: bool
    anywhere: bool

    def add_to(self, app: typer.Typer) -> None:
        """Adds it to the command line."""
        signature = inspect.signature(self.function, eval_str=True)
        groups: dict[str, Any] = {
            name: each.annotation
            for name, each in signature.parameters.items()
            if is_dataclass(each.annotation)
        }
        parameters = [each for p in signature.parameters.values() for each in _options(p)]
        if self.takes_json:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(inspect.Parameter("as_json", kind, default=False, annotation=JSON))

        def parsed(as_json: bool = False, **options: Any) -> int:
            def found() -> Answer | None:
                given = {name: _given(value) for name, value in options.items()}
                for name, group in groups.items():
                    its = {field.name: given.pop(field.name) for field in fields(group)}
                    given[name] = group(**its)
                return self.function(**given)

            return answer(found, as_json, self.anywhere)

        parsed.__doc__ = self.function.__doc__
        parsed.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=parameters, return_annotation=int
        )
        app.command(self.function.__name__, epilog=self.epilog)(parsed)


def command(
    *examples: str,
    codes: Mapping[int, str] | None = None,
    takes_json: bool = True,
    anywhere: bool = False,
) -> Callable[[Callable[..., Answer | None]], Command]:
    """Makes a function a command.

    Args:
        examples: Command lines without the program's name.
        codes: What its exit codes mean, where they are more than 0, 1 and 2.
        takes_json: Whether its answer can be asked for as JSON.
        anywhere: Whether it also runs outside a project.
    """
    parts = ["Examples:", *(f"  {PROGRAM} {example}" for example in examples)]
    if codes:
        parts += ["", "\b", "Exit codes:", *(f"  {code}  {text}" for code, text in codes.items())]
    return lambda function: Command(function, "\n".join(["\b", *parts]), takes_json, anywhere)


def _options(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    if not is_dataclass(parameter.annotation):
        return [parameter]
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(field.name, kind, default=field.default, annotation=field.type)
        for field in fields(parameter.annotation)
    ]


def _given(value: Any) -> Any:
    """The value of an option or argument, with paths as the project's folder has them."""
    if isinstance(value, list):
        return [_given(each) for each in value]
    if not isinstance(value, Path):
        return value
    if str(value).startswith("--"):  # `run --params --dirty`
        raise typer.BadParameter(f"{value} is an option, not a file (which would be ./{value})")
    return places.given(value)


def answer(function: Callable[[], Answer | None], as_json: bool, anywhere: bool) -> int:
    """Calls `function` in the project's folder and prints its answer or its error.

    With `as_json` that is one line on stdout; whatever else is printed goes to stderr.

    Returns:
        The exit code.
    """
    try:
        with places.in_project(anywhere):
            with redirect_stdout(sys.stderr) if as_json else nullcontext():
                found = function() or Answer({}, lambda: None)
            _print(found, as_json)
        return found.exit_code
    except BrokenPipeError:  # `| head` has closed the pipe: Python must not flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        interrupted = "Interrupted; no process of the run is left"
        return refuse(interrupted, 128 + signal.SIGINT, as_json)
    except Exception as error:
        if (sentence := _sentence(error)) is None:
            raise
        code = int(error.exit_code) if isinstance(error, Refused) else 1
        return refuse(sentence, code, as_json, getattr(error, "details", None))


def refuse(
    sentence: str, exit_code: int, as_json: bool, details: Mapping[str, Any] | None = None
) -> int:
    """Prints an error, on stderr or as JSON on stdout with its details; returns its exit code."""
    fields = {"error": sentence, **(details or {})}
    _print(Answer(fields, lambda: print(sentence, file=sys.stderr), exit_code), as_json)
    return exit_code


def _print(found: Answer, as_json: bool) -> None:
    if as_json:
        line = json.dumps({"exit_code": found.exit_code, **found.fields}, ensure_ascii=False)
        print(line)
    else:
        found.show()
    sys.stdout.flush()  # here, where a closed pipe is expected


def _sentence(error: Exception) -> str | None:
    """What a person reads; None if the error is a fault of the program."""
    if isinstance(error, PipelineError):
        return str(error)
    if "mlflow" in sys.modules:
        from pipelines.tracking import connection

        return connection.said(error) if isinstance(error, connection.FAILURES) else None
    return str(error) if isinstance(error, OSError) else None
