"""For programs that run a server of their own: it ends when they do, however they end.

Such a program holds the other end of the server's standard input. The kernel closes it when the program is killed, so
that no server is left behind.
"""

from __future__ import annotations

import os
from contextlib import suppress

import trio

_STDIN = 0
_READ_BYTES = 64 * 1024


async def end_of_input() -> None:
    """Wait until standard input has ended; what comes before its end is thrown away."""
    while True:
        await trio.lowlevel.checkpoint()
        with suppress(OSError):  # a file, which can always be read; or nothing, as reading says too
            await trio.lowlevel.wait_readable(_STDIN)
        try:
            if not os.read(_STDIN, _READ_BYTES):
                return
        except BlockingIOError:
            continue
        except OSError:
            return
