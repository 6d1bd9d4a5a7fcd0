"""Makes the tables of Prefect and MLflow that new projects copy: the end of `bin/install`."""

import atexit
import shutil
import tempfile
from pathlib import Path

from pipelines.flows import local_server
from pipelines.tracking import connection


def main() -> None:
    """Lets both make their databases in a temporary project, as its first run would."""
    project = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, project, ignore_errors=True)  # after the server's end
    wait = local_server.start(project)
    connection.connect(project)
    wait()


if __name__ == "__main__":
    main()
