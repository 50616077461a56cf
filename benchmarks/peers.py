"""What we are measured against: limits as small programs of their own, and uvicorn where it is installed.

``python -m benchmarks.peers sendfile FILE PORT`` serves a file by a blocking thread and ``socket.sendfile`` for each
connection, whose one line is ``OFFSET LENGTH``. ``python -m benchmarks.peers fanout COUNT PORT`` sends each line of its
standard input to COUNT connections with one ``send`` each.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_LIMIT_S = 15.0
LINE_BYTES = 1024

NO_UVICORN = "uvicorn is not installed here, so it is left out."


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer."""

    pid: int
    port: int


@contextlib.contextmanager
def peer(*words: str, env: dict[str, str] | None = None, stdin: int = subprocess.DEVNULL) -> Iterator[Peer]:
    """Run ``python -m WORDS``, with a free port for ``{port}``, until it accepts connections and then for the block.

    The port and not a listening socket is handed over: uvicorn takes a socket that it is given for a Unix one, and then
    forgets TCP_NODELAY.
    """
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", *(word.replace("{port}", str(port)) for word in words)],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        cwd=_ROOT,
        env={**os.environ, **(env or {})},
    )
    try:
        _wait_for(port, process)
        yield Peer(process.pid, port)
    finally:
        process.kill()
        process.wait(_LIMIT_S)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until it listens, as /proc tells: a connection made to find out would be one of those that a peer counts."""
    until = time.monotonic() + _LIMIT_S
    wanted = f":{port:04X} 00000000:0000 0A"
    while wanted not in Path("/proc/net/tcp").read_text():
        assert process.poll() is None, "the peer has ended"
        assert time.monotonic() < until, "the peer does not listen"
        time.sleep(0.01)


def has_uvicorn() -> bool:
    """Whether uvicorn can be run."""
    return importlib.util.find_spec("uvicorn") is not None


@contextlib.contextmanager
def uvicorn(**env: str) -> Iterator[Peer]:
    """uvicorn with h11 on asyncio and without its access log, serving ``peer_app``."""
    flags = ("--http", "h11", "--loop", "asyncio", "--log-level", "error", "--no-access-log", "--lifespan", "off")
    with peer("uvicorn", "benchmarks.peer_app:app", "--port", "{port}", *flags, env=env) as found:
        yield found


def _sendfile(path: str, listener: socket.socket) -> None:
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_send_range, args=(path, sock), daemon=True).start()


def _send_range(path: str, sock: socket.socket) -> None:
    with sock, open(path, "rb") as file:
        offset, length = map(int, sock.recv(100).split())
        sock.sendfile(file, offset, length)


def _fan_out(count: int, listener: socket.socket) -> None:
    socks = [listener.accept()[0] for _ in range(count)]
    for sock in socks:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while line := os.read(0, LINE_BYTES):
        for sock in socks:
            sock.sendall(line)


def main(words: list[str]) -> None:
    """Be a peer."""
    what, argument, port = words
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=256)
    if what == "sendfile":
        _sendfile(argument, listener)
    else:
        _fan_out(int(argument), listener)


if __name__ == "__main__":
    main(sys.argv[1:])
