"""Promoting versions in a test, with and without the gates."""

import pytest

from pipelines.errors import Exit, Refused
from pipelines.promotion.promote import promote
from tests.pipelines.registered import Registered


def go(made: Registered, version: str | None = None, /, **changes):
    given = {key: changes.pop(key) for key in ("reason", "force") if key in changes}
    to = made.settings.model_copy(update=changes)
    return promote(made.registry, made.project, to, version, **given)


def forced(made: Registered, run: str, **tags: str) -> str:
    """The run's version, made champion without gates."""
    version = made.version(run, **tags)
    go(made, version, force=True, reason="to begin with")
    return version


def refused(code: Exit, call, *given, **named) -> Refused:
    with pytest.raises(Refused) as error:
        call(*given, **named)
    assert error.value.exit_code == code, error.value
    return error.value
