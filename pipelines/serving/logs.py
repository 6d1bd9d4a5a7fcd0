"""Writes the server's log: one JSON object a line, on stdout."""

import json
import logging
import sys
from datetime import UTC, datetime

# What a record has beside the fields that are logged with it.
OWN = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime", "color_message"}


class Lines(logging.Formatter):
    """A record as JSON: time, level, event, and the fields that it was logged with."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.getMessage(),
            **{key: value for key, value in record.__dict__.items() if key not in OWN},
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure() -> None:
    """Lets all that is logged in this process go there, from INFO on; libraries' from WARNING."""
    # A line has none of this, and to find it takes a third of the line's time.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.__stdout__)  # not the one that a library has wrapped
    handler.setFormatter(Lines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("pipelines.serving").setLevel(logging.INFO)
    # It logs each retry, with the address; that MLflow does not answer is logged once.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
