"""Writes a workspace's own DVC configuration: the project's settings, and its cache."""

import os
from pathlib import Path
from typing import Any

from pipelines.errors import PipelineError


def has_run_cache(project: Path) -> bool:
    """Whether the project's DVC cache has the outs of any stage that ever ran."""
    from dvc.config import Config, ConfigError

    try:
        folder = Config(str(project / ".dvc"))["cache"].get("dir", project / ".dvc" / "cache")
    except ConfigError:  # `share_cache` reports it
        return True
    return Path(folder, "runs").is_dir()


def share_cache(project: Path, partial: Path, path: Path) -> None:
    """Writes .dvc/config.local: the project's settings with paths resolved, and the shared cache.

    It uses `Config`: opening a `Repo` would write into the user's .dvc.

    Args:
        project: Folder of the project.
        partial: The workspace's folder while it is being made.
        path: Its folder afterwards.

    Raises:
        PipelineError: with DVC's message, if its configuration is not valid.
    """
    # Not at the top: `doctor` imports this module in the image of the stages, which has no DVC.
    from dvc.config import Config, ConfigError, merge

    try:
        original = Config(str(project / ".dvc"))
        cache = original.read()["cache"]
        local: dict[str, Any] = {}
        for level in original.REPO_LEVELS:
            merge(local, original.read(level))
        Config.validate(local)
    except ConfigError as error:
        raise PipelineError(f"DVC's configuration: {error}") from None
    local["core"]["no_scm"] = True
    # DVC's notes on this workspace are deleted with it; elsewhere they would pile up.
    local["core"]["site_cache_dir"] = str(path / ".dvc" / "tmp")
    if "local" not in cache:
        local["cache"]["dir"] = os.fspath(cache.get("dir", project / ".dvc" / "cache"))
    local["cache"].setdefault("type", cache.get("type", "reflink,hardlink,copy"))
    (partial / ".dvc").mkdir(exist_ok=True)
    _write(local, partial / ".dvc" / "config.local")


def _write(settings: dict[str, Any], file: Path) -> None:
    """Writes DVC's settings in UTF-8, which DVC reads; itself it writes ASCII only (3.67)."""
    from configobj import ConfigObj  # type: ignore[import-untyped]

    named = ("remote", "machine", "db")
    sections = {key: value for key, value in settings.items() if value and key not in named}
    for key in named:
        sections |= {f'{key} "{name}"': value for name, value in settings.get(key, {}).items()}
    file.touch(0o600)  # before it holds a remote's key
    file.chmod(0o600)  # where the commit has such a file
    with file.open("wb") as opened:
        ConfigObj(sections, encoding="utf-8").write(opened)
