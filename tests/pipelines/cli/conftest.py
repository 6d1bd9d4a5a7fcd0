"""Runs the command line in this process, where the process itself is not what a test is about."""

import signal
from collections.abc import Callable

import pytest

from pipelines.cli.app import main


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a subcommand; gives its exit code, stdout and stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        before = signal.getsignal(signal.SIGTERM)
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        finally:
            signal.signal(signal.SIGTERM, before)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command
