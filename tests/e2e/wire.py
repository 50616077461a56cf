"""HTTP/1.1 spoken by hand, so that tests see what is on the wire and not what a library makes of it."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

LIMIT_S = 20.0


class Chunks:
    """Takes a chunked body apart as its bytes come in. Anything that is no chunked body is an AssertionError.

    Attributes:
        ended: The last chunk and the blank line after the trailers have come.
        trailers: Names in lower case.
        sizes: Of the chunks.
    """

    def __init__(self) -> None:
        self.ended = False
        self.trailers: dict[str, str] = {}
        self.sizes: list[int] = []
        self._buffer = bytearray()
        self._left = 0  # bytes of the present chunk that have not come, its CR LF among them
        self._in_trailers = False

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """The body's bytes in ``data``."""
        assert not self.ended, data[:200]
        view = memoryview(data)
        while view:
            if self._left > 2:
                taken = view[: self._left - 2]
                self._left -= len(taken)
                view = view[len(taken) :]
                yield taken
            elif self._left:
                assert bytes(view[:1]) == (b"\r", b"\n")[2 - self._left], bytes(view[:20])
                self._left -= 1
                view = view[1:]
            else:
                view = self._line(view)

    def _line(self, view: memoryview) -> memoryview:
        byte = bytes(view[:1])
        self._buffer += byte
        if self._buffer.endswith(b"\r\n"):
            line, self._buffer = bytes(self._buffer[:-2]), bytearray()
            if self._in_trailers:
                self._trailer(line)
            else:
                assert line, "a chunk without a size"
                size = int(line, 16)
                self._in_trailers = size == 0
                if size:
                    self.sizes.append(size)
                    self._left = size + 2
        return view[1:]

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.ended = True
            return
        name, _, value = line.decode().partition(":")
        self.trailers[name.lower()] = value.strip()


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it came; names of headers in lower case.

    ``whole``: it ended as HTTP says that it ends: its Content-Length was there, or its last chunk.
    """

    status: int
    head: bytes
    headers: Mapping[str, str]
    body: bytes
    whole: bool
    trailers: Mapping[str, str] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The status line."""
        return self.head.partition(b"\r\n")[0].decode()

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


def parse(raw: bytes, *, head_only: bool = False) -> Answer:
    """The one answer that ``raw`` holds."""
    head, blank, rest = raw.partition(b"\r\n\r\n")
    assert blank, raw
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    status = int(lines[0].split(" ")[1])
    if headers.get("transfer-encoding") == "chunked":
        chunks = Chunks()
        body = b"".join(chunks.feed(rest))
        return Answer(status, head, headers, body, chunks.ended, chunks.trailers)
    whole = head_only or "content-length" not in headers or int(headers["content-length"]) == len(rest)
    return Answer(status, head, headers, rest, whole)


def request(
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    host: str | None = "localhost",
) -> bytes:
    """A request after which the connection ends; given headers come in their order, after Host."""
    lines = [f"{method} {path} HTTP/1.1"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("utf-8", "surrogateescape") + body


def talk(port: int, data: bytes, *, limit_s: float = LIMIT_S) -> bytes:
    """Send bytes on a connection of their own; all that comes back until the server ends it."""
    with socket.create_connection(("127.0.0.1", port), limit_s) as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(data)  # may be refused before all is sent; the answer is there all the same
        parts = []
        with contextlib.suppress(ConnectionResetError):
            while part := sock.recv(1 << 20):
                parts.append(part)
    return b"".join(parts)


def ask(
    port: int, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, **more: str | None
) -> Answer:
    """One request on a connection of its own."""
    return parse(talk(port, request(method, path, body, headers, **more)), head_only=method == "HEAD")


def curl(*words: str, stdin: bytes = b"") -> bytes:
    """What ``curl`` prints; the test is skipped where there is none."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    done = subprocess.run([program, "-sS", *words], input=stdin, capture_output=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def jobs_count(port: int) -> int:
    """How many jobs the server has ever accepted and still knows."""
    return sum(json.loads(ask(port, "GET", "/v1/info").body)["counts"].values())


def tell(text: str) -> None:
    """A figure for who runs pytest with -s."""
    sys.stdout.write(f"\n    {text}\n")
