"""Where a job's bytes go: exact into pipes and files, through the sanitiser onto a terminal.

Also the few measures of text that a table on a terminal needs. Text that comes from a server is foreign: ``shown`` and
``fit`` make it safe, so that whatever a table or message holds went through one of them.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
import unicodedata
from typing import TextIO

import click
import trio

from jobdeck_tui.sanitise import Sanitiser, clean_line

__all__ = ["Outlet", "columns", "fit", "note", "shown", "width"]

_WIDTH_DEFAULT = 80


class Outlet:
    """One of this program's own two output streams, for bytes of a job.

    Attributes:
        broken: The reader has gone (``head`` has seen enough); writing does nothing any more.

    Args:
        stream: ``sys.stdout`` or ``sys.stderr``.
        raw: Never sanitise, not even on a terminal.
    """

    def __init__(self, stream: TextIO, *, raw: bool = False) -> None:
        self._fd = stream.fileno()
        self._encoding = stream.encoding or "utf-8"
        self._sanitiser = Sanitiser() if stream.isatty() and not raw else None
        self.broken = False

    async def write(self, data: bytes) -> None:
        """Write all of ``data`` now; waits as long as the reader does. Cancelling may leave a part written."""
        if self._sanitiser is not None:
            data = self._encode(self._sanitiser.feed(data))
        await self._put(data)

    async def close(self) -> None:
        """Write what was kept back, and reset the colours. The stream itself stays open."""
        if self._sanitiser is not None:
            await self._put(self._encode(self._sanitiser.close()))

    def _encode(self, text: str) -> bytes:
        # In the terminal's own encoding: in another one, a byte of a character could be a control.
        return text.encode(self._encoding, "replace")

    async def _put(self, data: bytes) -> None:
        if not data or self.broken:
            return
        try:
            # A thread, since a terminal that was stopped (Ctrl-S) blocks, and Ctrl-C must work then too.
            await trio.to_thread.run_sync(_write_all, self._fd, data, abandon_on_cancel=True)
        except BrokenPipeError:
            self.broken = True


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            # Somebody else set our stream to non-blocking, as some programs do with a shared terminal.
            _wait_writable(fd)


def _wait_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()


def note(text: str) -> None:
    """Say something about ourselves on standard error, without mixing it with what a program reads."""
    click.echo(f"jobdeck: {shown(text)}", err=True)


def shown(text: str) -> str:
    """Foreign text as one safe line, lines joined by spaces."""
    return clean_line(" ".join(text.splitlines()))


def columns() -> int | None:
    """Width of the terminal on standard output, None if it is no terminal."""
    return shutil.get_terminal_size((_WIDTH_DEFAULT, 24)).columns if sys.stdout.isatty() else None


def width(text: str) -> int:
    """Columns that a line takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_width(character) for character in text)


def fit(text: str, limit: int) -> str:
    """Foreign text as one safe line of at most ``limit`` columns, an ellipsis where it is cut."""
    text = shown(text)
    if width(text) <= limit:
        return text
    taken = 0
    for index, character in enumerate(text):
        taken += _width(character)
        if taken > limit - 1:
            return text[:index] + "…"
    return text


def _width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
