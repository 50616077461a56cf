"""The log: one JSON object per line, whatever a client put into its request.

Everything that is not printable ASCII is escaped by the JSON encoder, line ends and terminal sequences among it, so a
line of the log is a line and does nothing to the terminal it is read on. What is logged of a request is listed in
``Exchange``: never its query, its headers or its body, which may hold secrets.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TextIO

TEXT_LIMIT_CHARS = 2048  # of one value


@dataclass(slots=True, kw_only=True)
class Exchange:
    """What the log says about one request; filled in while it is answered.

    Attributes:
        status: Of the answer, 0 if none was sent.
        sent_bytes: On the wire, head and framing included.
        ended: Why it ended before its time, empty if it did not.
        note: Further fields, such as the token's id.
    """

    method: str
    path: str
    peer: str
    started_s: float
    status: int = 0
    sent_bytes: int = 0
    ended: str = ""
    note: dict[str, str] = field(default_factory=dict)

    def log(self, log: logging.Logger, now_s: float) -> None:
        """Write the line."""
        fields: dict[str, Any] = {
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "bytes": self.sent_bytes,
            "ms": round((now_s - self.started_s) * 1000, 3),
            "peer": self.peer,
            **self.note,
        }
        if self.ended:
            fields["ended"] = self.ended
        log.info("request", extra={"fields": fields})


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON: ``time``, ``level``, ``event``, the record's ``fields``, ``traceback``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line without its end; see the class."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage()[:TEXT_LIMIT_CHARS],
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line |= {str(key): _bounded(value) for key, value in fields.items()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


def open_log(stream: TextIO, *, level: int = logging.INFO) -> logging.Logger:
    """A logger that writes such lines to a stream and to nothing else; each is flushed as it comes."""
    log = logging.Logger("jobdeck", level)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log.addHandler(handler)
    return log


def _bounded(value: object) -> object:
    return value[:TEXT_LIMIT_CHARS] if isinstance(value, str) else value
