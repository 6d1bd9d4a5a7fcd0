"""Reads a setting as Prefect reads it, without importing Prefect, which takes seconds."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.errors import PipelineError

# Each with the table that holds Prefect's settings.
FILES = ((Path("prefect.toml"), ()), (Path("pyproject.toml"), ("tool", "prefect")))


def setting(name: str) -> str | None:
    """The value of PREFECT_API_URL or another setting of the API; None if it is empty or not set.

    It is taken from the first that has it: the environment, `.env`, `prefect.toml` and
    `pyproject.toml` of the current folder, Prefect's profile.

    Raises:
        PipelineError: if a TOML file of the current folder cannot be read.
    """
    group, _, key = name.removeprefix("PREFECT_").lower().partition("_")
    for variables in (os.environ, _dotenv()):
        for variable, value in variables.items():
            if variable.upper() == name and value is not None:
                return value or None
    for settings in _files():
        if (found := settings.get(group, {}).get(key)) is not None:
            return str(found) or None
    return _profile().get(name) or None


def _dotenv() -> Mapping[str, str | None]:
    if not Path(".env").is_file():
        return {}
    from dotenv import dotenv_values  # as Prefect, which requires it

    return dotenv_values(".env")


def _files() -> Iterator[dict[str, Any]]:
    for file, tables in FILES:
        try:
            settings = tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise PipelineError(
                f"{file} cannot be read ({error}), and it may name Prefect's server: correct it"
            ) from None
        for table in tables:
            settings = settings.get(table, {})
        yield settings


def _profile() -> dict[str, str]:
    """The settings of the active profile; Prefect, too, goes on where they cannot be read."""
    try:
        profiles = tomllib.loads(_profiles_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    active = os.environ.get("PREFECT_PROFILE") or profiles.get("active", "")
    found: dict[str, str] = profiles.get("profiles", {}).get(active, {})
    return found


def _profiles_path() -> Path:
    named = [os.environ.get("PREFECT_PROFILES_PATH"), _dotenv().get("PREFECT_PROFILES_PATH")]
    named += [settings.get("profiles_path") for settings in _files()]
    if path := next(filter(None, named), None):
        return Path(path)
    return Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser() / "profiles.toml"
