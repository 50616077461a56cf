"""The Java process: started as our child, and gone with us.

Spark's program for Python reads its standard input and ends when that does. We hold the other end, so Java ends with us
however we end. It tells port and secret of its gateway in a file, which has its name only once it is complete.
"""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import time
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Jvm", "how_ended"]

_NUMBERS = struct.Struct(">ii")  # port, length of the secret
_PIECE_S = 0.02


class Jvm:
    """Java, running.

    Attributes:
        pid: Of the process.
        pidfd: Can be read when it has ended.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], scratch: str) -> None:
        """Start it.

        Args:
            command: Of ``plan.json``.
            env: All of its environment.
            scratch: Its working folder, ours alone.

        Raises:
            OSError: It cannot be started.
        """
        self._told = os.path.join(scratch, "gateway")
        with suppress(FileNotFoundError):
            os.unlink(self._told)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            cwd=scratch,
            env={**env, "_PYSPARK_DRIVER_CONN_INFO_PATH": self._told, "PYSPARK_PIN_THREAD": "true"},
        )
        self.pid = self._process.pid
        self.pidfd = os.pidfd_open(self.pid)

    def gateway(self) -> tuple[int, str] | None:
        """Port and secret of its gateway, once; None for as long as it is not open.

        Raises:
            OSError, ValueError: What it told cannot be read.
        """
        try:
            with open(self._told, "rb") as file:
                data = file.read(4096)
        except FileNotFoundError:
            return None
        os.unlink(self._told)  # nobody else needs to know
        try:
            port, length = _NUMBERS.unpack_from(data)
            return port, data[_NUMBERS.size : _NUMBERS.size + length].decode()
        except (struct.error, UnicodeDecodeError) as error:
            raise ValueError(f"port and secret cannot be read: {error}") from error

    def poll(self) -> int | None:
        """How it has ended, as ``Popen`` says it, or None."""
        return self._process.poll()

    def release(self) -> None:
        """Tell it to end: its standard input does."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def close(self) -> None:
        """Let go of one that has ended."""
        self.release()
        os.close(self.pidfd)

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def end(self, limit_s: float) -> None:
        """See it ended: by itself within some seconds, else killed. Blocks."""
        self.release()
        until_s = time.monotonic() + limit_s
        while self.poll() is None and time.monotonic() < until_s:
            select.select([self.pidfd], [], [], _PIECE_S)
        if self.poll() is None:
            self.kill()
            self._process.wait()


def how_ended(code: int) -> str:
    """What an exit code of ``Popen`` says, for people."""
    number = -code if code < 0 else code - 128  # Java ends with 128 + n itself on those that it handles
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"exit code {code}"
    return f"{name}, which the system sends when memory is short" if name == "SIGKILL" else name
