"""The log on standard error: as text for people, or one JSON object a line for programs.

Both are escaped, so that nothing a client sent can forge a line or reach a terminal as a control.
"""

from __future__ import annotations

import json
import logging
import sys
import time

from jobdeck_server.http.log import JsonFormatter

__all__ = ["TextFormatter", "set_up_log"]


class TextFormatter(logging.Formatter):
    """``12:00:00 info request method=GET path=/ status=200``; local time, fields as in the JSON form."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the lines of a traceback if there is one."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        parts = [f"{clock} {record.levelname.lower()} {_printable(record.getMessage())}"]
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            parts += [f"{name}={_value(value)}" for name, value in fields.items() if value != ""]
        line = " ".join(parts)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def set_up_log(form: str) -> None:
    """Send all records from INFO on to standard error, in ``form`` (``text`` or ``json``)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # they tell each request or frame a second time
    for name in ("httpx", "httpcore", "trio-websocket"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _value(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and not set(' "=') & set(text) else json.dumps(text)
