"""The address of MLflow, which is shown and kept, without the password that it may hold."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

URI = "MLFLOW_TRACKING_URI"
USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"  # pragma: allowlist secret


def uri(project: Path) -> str:
    """`MLFLOW_TRACKING_URI`, or SQLite beside the project.

    User and password in it go to the variables that MLflow has for them.
    """
    given = os.environ.get(URI)
    if not given:
        return f"sqlite:///{project.resolve()}/mlflow.db"
    parts = urlsplit(given)
    login, _, host = parts.netloc.rpartition("@")
    if parts.scheme in ("http", "https") and login:
        user, _, password = login.partition(":")
        os.environ[USER], os.environ[PASSWORD] = unquote(user), unquote(password)
        given = os.environ[URI] = urlunsplit(parts._replace(netloc=host))
    return given
