"""What the crash test's jobs run, and what the judge expects of it: one file, so that both mean the same.

As a program (``python -I -S crash_program.py MODE ...``) it needs the standard library alone and starts fast. Every
line that it writes says which job wrote it, on which stream and as its how-manieth, so that one that is lost, doubled,
out of place or in a wrong file is seen. At its start it appends a line to the file named by JD_LEDGER: a job that ran
twice has two.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

LONG_S = 300.0
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-" * 160


def numbers(seed: int) -> Iterator[int]:
    """Numbers below 2**31 without end, the same for the same seed (a linear congruence, MMIX's constants)."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield state >> 33


def chatter(name: str, seed: int, size_bytes: int) -> Iterator[tuple[int, bytes]]:
    """The writes of a chatty job, ``size_bytes`` in all: (1 or 2 for the stream, one line)."""
    rnd = numbers(seed)
    count = 0
    while size_bytes > 0:
        stream = 1 + next(rnd) % 2
        length = next(rnd) % (200 if next(rnd) % 10 else 9000)
        start = next(rnd) % 1000
        line = b"%s %d %s %s\n" % (name.encode(), count, b"oe"[stream - 1 : stream], _LETTERS[start : start + length])
        line = line[: size_bytes - 1] + b"\n" if len(line) > size_bytes else line
        yield stream, line
        size_bytes -= len(line)
        count += 1


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _ledger(line: bytes) -> None:
    fd = os.open(os.environ["JD_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, line)
    os.close(fd)


def _chatty(name: str, seed: str, size_bytes: str, code: str, pause_us: str) -> int:
    for count, (stream, line) in enumerate(chatter(name, int(seed), int(size_bytes))):
        _write(stream, line)
        if count % 16 == 0:
            time.sleep(int(pause_us) / 1e6)
    return int(code)


def _daemon(name: str, code: str, *how: str) -> int:
    """Fork twice, with a session of its own between; the grandchild stays."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if "deaf" in how:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if "hold" not in how:
                for fd in (0, 1, 2):
                    os.close(fd)
            time.sleep(LONG_S)
        os._exit(0)
    os.wait()
    _write(1, name.encode() + b" parent\n")
    return int(code)


def _handles(name: str, code: str) -> int:
    """Wait for SIGTERM, say so, end with ``code``."""
    told: list[bool] = []

    def handler(_number: int, _frame: object) -> None:
        if not told:
            told.append(True)
            _write(2, name.encode() + b" term\n")
            os._exit(int(code))

    signal.signal(signal.SIGTERM, handler)
    _write(1, name.encode() + b" ready\n")
    time.sleep(LONG_S)
    return 99


def _ignores(name: str) -> int:
    """Wait for SIGKILL."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _write(1, name.encode() + b" ready\n")
    time.sleep(LONG_S)
    return 99


_MODES: dict[str, Callable[..., int]] = {"chatty": _chatty, "daemon": _daemon, "handles": _handles, "ignores": _ignores}


def main() -> None:
    """Run a mode and end with its code, without the interpreter's own ending."""
    _ledger(b"0\n")
    os._exit(_MODES[sys.argv[1]](*sys.argv[2:]))


if __name__ == "__main__":
    main()
