"""One job, many attachers: the whole output, exact, however each of them reads, and at no cost that grows."""

from __future__ import annotations

import hashlib
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.attachers import Exact, connect, dropping, over_cbor, over_http, over_raw
from tests.e2e.procs import pid_of, rss_bytes
from tests.e2e.program import Server
from tests.e2e.wire import Chunks, curl, request, tell

pytestmark = pytest.mark.slow

LINES_COUNT = 5_000_000
MANY_LINES_COUNT = 1_000_000


def lines(count: int) -> bytes:
    """What the jobs here write, as the same program writes it without us."""
    return subprocess.run(["seq", "1", str(count)], check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def all_lines() -> bytes:
    return lines(LINES_COUNT)


async def submitted(deck: Server, command_line: str) -> str:
    return await trio.to_thread.run_sync(deck.submit, command_line)


async def ended(deck: Server, job_id: str) -> dict[str, Any]:
    return await trio.to_thread.run_sync(deck.wait, job_id)


async def test_five_million_lines_over_each_channel(deck: Server, all_lines: bytes) -> None:
    """``seq 1 5000000`` with curl, with the subprotocol and raw, while it is written."""
    job_id = await submitted(deck, f"seq 1 {LINES_COUNT}")
    cbor, raw = Exact(all_lines), Exact(all_lines)
    by_curl = b""

    async def with_curl() -> None:
        nonlocal by_curl
        by_curl = await trio.to_thread.run_sync(lambda: curl(f"{deck.url}/{job_id}/attach"))

    with trio.fail_after(40):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(with_curl)
            exit_, close = await over_cbor(deck.url, job_id, cbor)
            assert await over_raw(deck.url, job_id, raw) == (1000, "exit 0")
    assert hashlib.sha256(by_curl).hexdigest() == hashlib.sha256(all_lines).hexdigest()
    assert exit_ is not None
    assert (exit_.code, exit_.signal, exit_.offset, close) == (0, None, len(all_lines), (1000, ""))
    assert cbor.whole
    assert raw.whole


async def test_a_hundred_at_once(deck: Server, all_lines: bytes, tmp_path: Path) -> None:
    """80 over HTTP, 9 with the subprotocol, 9 raw, one that drops every 50 ms, and one that never reads: all exact."""
    expected = all_lines[: len(lines(MANY_LINES_COUNT))]
    script = f"until [ -e {tmp_path}/go ]; do sleep 0.01; done; seq 1 {MANY_LINES_COUNT}"
    job_id = await submitted(deck, script)
    silent = await connect(deck.port)
    exacts: list[Exact] = []
    drops_count = 0

    async def one(kind: str) -> None:
        nonlocal drops_count
        exacts.append(exact := Exact(expected))
        if kind == "http":
            assert (await over_http(deck.port, job_id, exact)).ended
        elif kind == "cbor":
            exit_, close = await over_cbor(deck.url, job_id, exact)
            assert exit_ is not None
            assert close == (1000, "")
        elif kind == "raw":
            assert await over_raw(deck.url, job_id, exact) == (1000, "exit 0")
        else:
            drops_count = await dropping(deck.port, job_id, exact, every_s=0.05)

    with trio.fail_after(50):
        await silent.send_all(request("GET", f"/{job_id}/attach?offset=0"))
        begin_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            for kind in ["http"] * 80 + ["cbor"] * 9 + ["raw"] * 9 + ["drop"]:
                nursery.start_soon(one, kind)
            await trio.sleep(0.5)
            (tmp_path / "go").touch()
        took_s = trio.current_time() - begin_s
        assert len(exacts) == 99
        assert all(exact.whole for exact in exacts)
        assert (await over_http_rest(silent, expected)).whole
    total = 99 * len(expected)
    tell(f"99 attachers, {total / 1e6:.0f} MB in {took_s:.1f} s; the dropping one came back {drops_count} times")


async def over_http_rest(stream: trio.SocketStream, expected: bytes) -> Exact:
    """What an attach gets that was asked for long ago and is read only now."""
    exact = Exact(expected)
    chunks = Chunks()
    async with stream:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await stream.receive_some(1)
        while not chunks.ended:
            data = await stream.receive_some(1 << 20)
            assert data
            for piece in chunks.feed(bytes(data)):
                exact.take(piece)
    return exact


async def test_silent_attachers_cost_bounded_memory(deck: Server, all_lines: bytes) -> None:
    """Twenty that read nothing of 39 MB, half of them WebSockets; exact once they read."""
    before = rss_bytes(pid_of(deck))
    job_id = await submitted(deck, f"sleep 0.3; seq 1 {LINES_COUNT}")
    silent = []
    for number in range(20):
        sock = trio.socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await sock.connect(("127.0.0.1", deck.port))
        silent.append(stream := trio.SocketStream(sock))
        upgrade = {
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        plain = request("GET", f"/{job_id}/attach", headers=upgrade if number % 2 else {})
        await stream.send_all(plain.replace(b"Connection: close", b"Connection: Upgrade") if number % 2 else plain)
    await ended(deck, job_id)
    growth = rss_bytes(pid_of(deck)) - before
    tell(f"20 silent attachers of 39 MB: the server grew by {growth / 1024:.0f} KiB, {growth / 20 / 1024:.0f} KiB each")
    assert growth < 20 * 512 * 1024
    assert (await over_http_rest(silent[0], all_lines)).whole
    for stream in silent[1:]:
        await stream.aclose()
