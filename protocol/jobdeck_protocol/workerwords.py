"""What the messages of the worker channel have in common: limits, words and checks."""

from __future__ import annotations

import re
from enum import StrEnum

from jobdeck_protocol.message import check, check_number, check_text

RECORD_BYTES = 32
"""The index ``runs`` goes over the wire in whole records; its header is as long as two."""
PIECE_LIMIT_BYTES = 256 * 1024
"""Of each of the two files in one ``piece``, and of a specification in one ``start``."""
SPEC_LIMIT_BYTES = 16 * 1024 * 1024
INPUT_LIMIT_BYTES = 64 * 1024
ACK_LIMIT_COUNT = 1000
STEP_LIMIT_COUNT = 64
RESULT_LIMIT_COUNT = 1024
WORD_LIMIT_COUNT = 256
NAME_LIMIT_COUNT = 1024  # of a result, as bundles name them
SIGNAL_LIMIT = 64
GRACE_LIMIT_S = 86_400.0

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Phase(StrEnum):
    """How far a job has come at its worker; the value is the word on the wire."""

    ASKED = "asked"  # not decided yet whether it runs
    CLAIMED = "claimed"  # it is decided that it runs
    ENDED = "ended"


class How(StrEnum):
    """How a job ended; the value is the word on the wire."""

    EXIT = "exit"
    ERROR = "error"
    NEVER = "never"
    LOST = "lost"


def check_id(name: str, value: object) -> None:
    """A UUID in lower case: ids become names of folders at both ends."""
    check(isinstance(value, str) and _ID.fullmatch(value) is not None, f"{name} must be a UUID in lower case")


def check_index_size(name: str, value: object) -> None:
    """A size of, or an offset in, the index of runs: whole records."""
    check_number(name, value)
    check(isinstance(value, int) and value % RECORD_BYTES == 0, f"{name} must be a multiple of {RECORD_BYTES}")


def check_optional_text(name: str, value: object, *, limit_count: int) -> None:
    """A text of at most ``limit_count`` characters, or None."""
    if value is not None:
        check_text(name, value, limit_count=limit_count)


def check_optional_number(name: str, value: object, *, low: int = 0) -> None:
    """An integer from ``low`` on, or None."""
    if value is not None:
        check_number(name, value, low=low)


def check_data(name: str, value: object, *, limit_bytes: int) -> None:
    """Bytes, at most so many."""
    check(type(value) is bytes and len(value) <= limit_bytes, f"{name} must be at most {limit_bytes} bytes")
