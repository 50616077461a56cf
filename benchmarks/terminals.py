"""Programs in a terminal of their own, timed as somebody who looks at them would: from the key to what it brings."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

COLUMNS, ROWS = 120, 40
_READ_BYTES = 1 << 16
_CARRY_BYTES = 256  # a text may come in two pieces
_STYLES = re.compile(rb"\x1b\[[0-9;]*m")


class SilentError(Exception):
    """What was waited for never came."""


class Terminal:
    """A program on a pseudo-terminal. What it writes is looked through, but for colours, and thrown away.

    Attributes:
        pid: Of the program.
        seen: What came while something was waited for, up to that and a little beyond.
    """

    def __init__(self, argv: Sequence[str], env: dict[str, str] | None = None) -> None:
        self.started_s = time.perf_counter()
        self.seen = b""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            surroundings = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "LESS": "", **(env or {})}
            os.execvpe(argv[0], list(argv), surroundings)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)

    def key(self, keys: bytes, wanted: re.Pattern[bytes], limit_s: float = 30.0) -> float:
        """Press keys; seconds until what is wanted comes, which may have been there before."""
        self.drain(0.0)
        start = time.perf_counter()
        os.write(self._fd, keys)
        return self.wait(wanted, limit_s) - start

    def press(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._fd, keys)

    def wait(self, wanted: re.Pattern[bytes], limit_s: float = 30.0) -> float:
        """Wait for a text; the time at which it came.

        Raises:
            SilentError: It did not come.
        """
        self.seen = b""
        deadline = time.perf_counter() + limit_s
        while time.perf_counter() < deadline:
            looked = max(0, len(self.seen) - _CARRY_BYTES)
            self.seen += self._read(0.05)
            if wanted.search(self.seen, looked):
                return time.perf_counter()
        raise SilentError(f"{wanted.pattern!r} did not come within {limit_s:g} s")

    def drain(self, for_s: float) -> bytes:
        """Everything that comes within a time."""
        pieces = []
        deadline = time.perf_counter() + for_s
        while True:
            left = max(0.0, deadline - time.perf_counter())
            piece = self._read(left)
            pieces.append(piece)
            if not piece and left <= 0:
                return b"".join(pieces)

    def _read(self, wait_s: float) -> bytes:
        if not select.select([self._fd], [], [], wait_s)[0]:
            return b""
        try:
            return _STYLES.sub(b"", os.read(self._fd, _READ_BYTES))
        except OSError as error:
            raise SilentError("the program has ended") from error
