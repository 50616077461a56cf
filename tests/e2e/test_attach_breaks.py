"""The server ends, in good order or not, in the middle of attaches: nobody is told that it was the end of the job."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio

from jobdeck_protocol.errors import CLOSE_GOING_AWAY
from jobdeck_protocol.session import ClientSession
from tests.e2e.attachers import Exact, over_cbor, over_http, over_raw
from tests.e2e.program import Server, server
from tests.e2e.wire import Chunks

PARTS_COUNT = 4
PART_COUNT = 60
EXPECTED = b"".join(b"line %d\n" % n for n in range(PARTS_COUNT * PART_COUNT))


def script(folder: Path) -> str:
    """A job of four parts, each printed line by line; before the next one it waits for a file of its name."""
    return (
        f"for p in {{1..{PARTS_COUNT}}}; do for i in {{1..{PART_COUNT}}}; do echo line $((n++)); sleep 0.003; done;"
        f" [ $p = {PARTS_COUNT} ] || until [ -e {folder}/go$p ]; do sleep 0.01; done; done; exit 7"
    )


class Readers:
    """Three attachers of one job, one for each channel, who know where they are."""

    def __init__(self, running: Server, job_id: str) -> None:
        self.running = running
        self.job_id = job_id
        self.exacts = [Exact(EXPECTED) for _ in range(3)]
        self.session = ClientSession(window_bytes=100_000)
        self.chunks = Chunks()
        self.closes: list[tuple[int, str]] = []
        self.ended = False

    async def read(self) -> None:
        """Attach where each of them stands and read until the connection ends."""
        self.closes = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._http)
            nursery.start_soon(self._raw)
            nursery.start_soon(self._cbor)

    async def under_way(self) -> None:
        """Wait until each has got something new, and no more than a part."""
        before = [exact.at for exact in self.exacts]
        with trio.fail_after(10):
            for exact, at in zip(self.exacts, before, strict=True):
                await exact.beyond(at)
        assert not any(exact.whole for exact in self.exacts)

    async def _http(self) -> None:
        self.chunks = await over_http(self.running.port, self.job_id, self.exacts[0])

    async def _raw(self) -> None:
        self.closes.append(await over_raw(self.running.url, self.job_id, self.exacts[1]))

    async def _cbor(self) -> None:
        exit_, close = await over_cbor(self.running.url, self.job_id, self.exacts[2], self.session)
        self.ended = exit_ is not None
        if close != (1000, ""):
            self.closes.append(close)


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_server_that_is_told_to_end(tmp_path: Path, signum: signal.Signals) -> None:
    """No last chunk over HTTP, 1001 over WebSocket; the job runs on, and all go on where they were."""
    with server(tmp_path / "data") as running:
        readers = Readers(running, running.submit(script(tmp_path)))
        with trio.fail_after(40):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(readers.read)
                await readers.under_way()
                assert await trio.to_thread.run_sync(running.stop, signum) == 0
            assert not readers.chunks.ended
            assert [code for code, _ in readers.closes] == [CLOSE_GOING_AWAY] * 2
            assert not readers.ended
            go(tmp_path, 1, 2, 3)
            await trio.to_thread.run_sync(running.start)
            await readers.read()
        all_read(running, readers)


@pytest.mark.slow
async def test_a_server_that_is_killed_again_and_again(tmp_path: Path) -> None:
    """``kill -9`` in the middle, three times: every attacher goes on at its offset, no byte is lost or doubled."""
    with server(tmp_path / "data") as running:
        readers = Readers(running, running.submit(script(tmp_path)))
        with trio.fail_after(50):
            for part in range(1, PARTS_COUNT):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(readers.read)
                    await readers.under_way()
                    running.kill()
                assert not readers.chunks.ended
                assert [code for code, _ in readers.closes] == [1006] * 2
                go(tmp_path, part)
                await trio.to_thread.run_sync(running.start)
            await readers.read()
        all_read(running, readers)


def go(folder: Path, *parts: int) -> None:
    for part in parts:
        (folder / f"go{part}").touch()


def all_read(running: Server, readers: Readers) -> None:
    assert [exact.at for exact in readers.exacts] == [len(EXPECTED)] * 3
    assert readers.chunks.ended
    assert readers.ended
    assert readers.closes == [(1000, "exit 7")]
    assert (running.job(readers.job_id)["exit_code"], running.attach(readers.job_id)) == (7, EXPECTED)


async def test_http_1_0_cannot_tell_a_cut_from_an_end_by_a_chunk(tmp_path: Path) -> None:
    """So its connection is reset, which a client does notice."""
    with server(tmp_path / "data") as running:
        job_id = running.submit("echo x; sleep 20")
        stream = await trio.open_tcp_stream("127.0.0.1", running.port)
        async with stream:
            await stream.send_all(f"GET /{job_id}/attach HTTP/1.0\r\n\r\n".encode())
            with trio.fail_after(10):
                text = b""
                while not text.endswith(b"x\n"):
                    text += await stream.receive_some(4096)
                await trio.to_thread.run_sync(running.stop)
                with pytest.raises(trio.BrokenResourceError):
                    assert await stream.receive_some(4096)
