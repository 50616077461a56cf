"""Jobs and blobs in words and numbers for people and shells: how they stand, how long ago, how much. Pure."""

from __future__ import annotations

import signal
from types import MappingProxyType
from typing import TYPE_CHECKING

from jobdeck_protocol.blob import ARTIFACT, FILE, LINK
from jobdeck_protocol.job import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_protocol.job import Job

__all__ = ["FAILED_ITSELF", "KINDS", "age", "bytes_text", "ending", "exit_code", "signal_number", "signal_text", "span"]

KINDS: Mapping[str, str] = MappingProxyType({"file": FILE, "artifact": ARTIFACT, "link": LINK})
"""Our words for the types of blobs."""

FAILED_ITSELF = 125
"""What ``run`` and ``attach`` exit with when jobdeck, not the job, is the reason; as env, timeout and others do."""
_CANNOT_START = 126
_NOT_FOUND = 127
_SIGNALLED = 128

_SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"))


def exit_code(job: Job) -> int:
    """What a shell would say of a job that has ended."""
    if job.signal is not None:
        return _SIGNALLED + job.signal
    if job.exit_code is not None:
        return job.exit_code
    if job.state is JobState.FAILED and job.error is not None:
        missing = job.error.startswith("command not found") or job.error.endswith("No such file or directory")
        return _NOT_FOUND if missing and "working directory" not in job.error else _CANNOT_START
    if job.state is JobState.STOPPED:
        return _SIGNALLED + signal.SIGTERM  # stopped before it was started
    return FAILED_ITSELF


def ending(job: Job) -> str:
    """How a job ended in a word or two: ``0``, ``SIGKILL``, ``not started``, ``unknown``; empty if it has not."""
    if not job.ended:
        return ""
    if job.signal is not None:
        return signal_text(job.signal)
    if job.exit_code is not None:
        return str(job.exit_code)
    return "unknown" if job.state is JobState.LOST else "not started"


def signal_text(number: int) -> str:
    """``SIGKILL`` for 9; ``signal 35`` for a number without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def signal_number(word: str) -> int:
    """15 for ``15``, ``TERM``, ``SIGTERM``, ``term``.

    Raises:
        ValueError: There is no such signal.
    """
    if word.isascii() and word.isdecimal():
        number = int(word)
        if 1 <= number < signal.NSIG:
            return number
    else:
        name = word.upper()
        found = getattr(signal.Signals, name if name.startswith("SIG") else "SIG" + name, None)
        if isinstance(found, signal.Signals):
            return int(found)
    raise ValueError(f"there is no signal {word!r}")


def age(then_us: int, now_us: int) -> str:
    """How long ago something was, in one unit: ``3s``, ``12m``, ``5h``, ``40d``."""
    return span((now_us - then_us) / 1e6)


def span(seconds: float) -> str:
    """A length of time in one unit, tenths of a second below ten seconds."""
    seconds = max(seconds, 0.0)
    for length_s, unit in _SPANS:
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f}{unit}"
    return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"


def bytes_text(count: int) -> str:
    """``512 B``, ``1.5 MiB``."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
