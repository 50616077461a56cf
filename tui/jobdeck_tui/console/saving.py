"""A log into a new file: whole or not at all, and never over something that is there.

The name is taken first, with an empty file; the bytes go into a file beside it, which takes its place when all of them
are there. What ends before leaves neither.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_tui.console.api import Api

__all__ = ["save_log", "target"]


def target(text: str, default_name: str) -> Path:
    """The file that is meant; for a folder the one of the default name in it.

    Raises:
        ValueError: Nothing is meant.
    """
    if not text.strip() or "\0" in text:
        raise ValueError("A file needs a name.")
    path = Path(text.strip()).expanduser().absolute()
    return path / default_name if path.is_dir() else path


async def save_log(api: Api, job_id: str, path: Path, tell: Callable[[int], None], *, stream: str | None = None) -> int:
    """Write a log to a new file.

    Args:
        api: What is asked.
        job_id: Whose log.
        path: The file; absolute.
        tell: Called with the bytes so far, again and again.
        stream: One stream alone.

    Returns:
        The bytes written.

    Raises:
        OSError: It exists already, or cannot be written.
        ClientError: The log cannot be had.
    """
    part = path.with_name(f".{path.name[:100]}-{secrets.token_hex(4)}.part")
    await asyncio.to_thread(_reserve, path)
    try:
        written = await api.save(job_id, part, tell, stream=stream)
        await asyncio.to_thread(os.replace, part, path)
    except BaseException:
        for mine in (part, path):
            with suppress(OSError):
                os.unlink(mine)
        raise
    return written


def _reserve(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
