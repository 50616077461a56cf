"""What to type into a shell to have the same as in the console. Pure."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job

__all__ = ["attach_command", "log_name"]

_WORD_LIMIT_COUNT = 40
_ID_CELLS = 8


def attach_command(job: Job, url: str, *, stream: str | None = None) -> str:
    """The command that shows a job's output and goes on live."""
    words = ["jobdeck", "attach", job.id, "--server", url]
    if stream is not None:
        words += ["--stream", stream]
    return shlex.join(map(clean_line, words))


def log_name(job: Job, *, stream: str | None = None) -> str:
    """A name for a file with its output: what runs, in letters that every shell takes, and the id's beginning."""
    words = re.sub(r"[^A-Za-z0-9._]+", "-", job.command)[:_WORD_LIMIT_COUNT].strip("-.")
    parts = [words or "job", re.sub(r"[^A-Za-z0-9]+", "-", job.id[:_ID_CELLS]), *([stream] if stream else [])]
    return "-".join(parts) + ".log"
