"""The same request again and again on kept connections, by one thread."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.clients import LIMIT_S, connect, take_answer
from benchmarks.measure import Figure, Sample, timed

FIGURES = (Figure("per CPU-second", "requests"), Figure("rate", "requests/s"))


@contextmanager
def connections(port: int, count: int) -> Iterator[dict[int, socket.socket]]:
    """So many connections, by their descriptors."""
    with ExitStack() as stack:
        socks = [stack.enter_context(connect(port)) for _ in range(count)]
        yield {sock.fileno(): sock for sock in socks}


def post_all(socks: dict[int, socket.socket], count: int, request: bytes) -> Iterator[tuple[bytes, float]]:
    """Send a request ``count`` times, one under way on each connection; each answer's body, and seconds it took."""
    begun: dict[int, float] = {}
    left = count
    with select.epoll() as poller:
        for fd, sock in list(socks.items())[:count]:
            poller.register(fd, select.EPOLLIN)
            begun[fd] = time.perf_counter()
            sock.sendall(request)
            left -= 1
        while begun:
            for fd, _ in poller.poll(LIMIT_S):
                head, body = take_answer(socks[fd])
                assert head.startswith(b"HTTP/1.1 20"), (head, body)
                yield body, time.perf_counter() - begun.pop(fd)
                if left:
                    left -= 1
                    begun[fd] = time.perf_counter()
                    socks[fd].sendall(request)


def ask_for(port: int, pid: int, request: bytes, at_once: int, seconds: float) -> Sample:
    """Keep one request under way on each connection for so many seconds; all answers must be of the same length.

    How many a second of the clock, and of the server's CPU.

    Args:
        port: Of the server, on loopback.
        pid: Of the server.
        request: Head and body, answered with 200.
        at_once: How many connections.
        seconds: How long.
    """
    socks = {sock.fileno(): sock for sock in (connect(port) for _ in range(at_once))}
    answer_bytes = 0
    for sock in socks.values():
        sock.sendall(request)
        head, body = take_answer(sock)
        assert head.startswith(b"HTTP/1.1 200"), (head, body)
        answer_bytes = len(head) + 4 + len(body)
    left = dict.fromkeys(socks, answer_bytes)
    done = 0
    with select.epoll() as poller, timed(pid) as cost:
        for fd, sock in socks.items():
            poller.register(fd, select.EPOLLIN)
            sock.sendall(request)
        until = time.perf_counter() + seconds
        under_way = at_once
        while under_way:
            for fd, _ in poller.poll(LIMIT_S):
                data = socks[fd].recv(1 << 16)
                assert data, "the connection ended"
                left[fd] -= len(data)
                assert left[fd] >= 0, "the answer has changed"
                if left[fd]:
                    continue
                left[fd] = answer_bytes
                done += 1
                if time.perf_counter() < until:
                    socks[fd].sendall(request)
                else:
                    under_way -= 1
    for sock in socks.values():
        sock.close()
    return {"per CPU-second": done / cost.cpu_s, "rate": done / cost.wall_s}
