"""The environment of jobs whose document does not say that they have none but their own."""

from __future__ import annotations

import getpass
import os
import tempfile
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobdeck_server.settings import Settings


def standard(job_id: str, settings: Settings) -> dict[str, str]:
    """PATH, HOME, LANG, USER, TMPDIR and JOBDECK_JOB_ID; nothing else of the server's own, which has secrets."""
    return {
        "PATH": settings.default_path,
        "HOME": os.environ.get("HOME") or "/",
        "LANG": os.environ.get("LANG") or "C.UTF-8",
        "USER": _user(),
        "TMPDIR": tempfile.gettempdir(),
        "JOBDECK_JOB_ID": job_id,
    }


@cache
def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
