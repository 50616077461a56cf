"""Packages by URI: http and files; bounds, faults, what is remembered, and who waits for whom."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from jobdeck_server.core.errors import TooLargeError
from jobdeck_server.core.fetching import SCHEMES
from jobdeck_server.core.outbound.errors import FailedError, RefusedError, SchemeError
from tests.server.outbound.fetchbench import DATA, HASH, fetcher
from tests.server.outbound.receivers import OK, Got, Receiver, Say, receiver, saying


def answer(data: bytes = DATA, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


# -- http --


async def test_by_http(folder: Path) -> None:
    async with receiver(saying(answer())) as other, fetcher(folder) as (own, bench):
        uri = other.url("/builds/word%20count.whl?key=1")
        assert own.check(uri) == other.url("/builds/word%20count.whl")
        got = await own.fetch(uri)
        assert (got.name, got.content.hash, got.content.size_bytes, got.again) == (
            *("word count.whl", HASH, len(DATA)),
            False,
        )
        assert got.shown == other.url("/builds/word%20count.whl")
        with await bench.blobs.content(HASH) as file:
            assert os.pread(file.fd, file.size_bytes, 0) == DATA
        assert other.got[0].line == "GET /builds/word%20count.whl?key=1 HTTP/1.1"


async def test_in_chunks(folder: Path) -> None:
    pieces = [DATA[at : at + 100_000] for at in range(0, len(DATA), 100_000)]
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with receiver(saying(head, *chunks, b"0\r\n\r\n")) as other, fetcher(folder) as (own, _):
        assert (await own.fetch(other.url("/x"))).content.hash == HASH


async def test_what_has_not_changed_is_not_sent_again(folder: Path) -> None:
    say = {"tag": '"one"', "data": DATA}

    async def tagged(got: Got, stream: trio.abc.Stream) -> None:
        if got.headers.get("if-none-match") == say["tag"]:
            await stream.send_all(b"HTTP/1.1 304 Not Modified\r\n\r\n")
        else:
            await stream.send_all(answer(say["data"], f"ETag: {say['tag']}"))  # type: ignore[arg-type]  # bytes

    async with receiver(tagged) as other, fetcher(folder) as (own, bench):
        assert [(await own.fetch(other.url("/x"))).again for _ in range(3)] == [False, True, True]
        assert own.transfer_count == 1
        say.update(tag='"two"', data=b"newer")
        got = await own.fetch(other.url("/x"))
        assert (got.content.size_bytes, got.again, own.transfer_count) == (5, False, 2)
        for path in bench.folder.rglob("*"):
            if path.is_file():
                path.unlink()  # collected meanwhile
        assert (await own.fetch(other.url("/x"))).again is False


@pytest.mark.parametrize(("age_s", "asked"), [(3600, True), (1, False)])
async def test_a_time_that_is_too_young_says_nothing(age_s: int, asked: bool, folder: Path) -> None:
    now = time.time()
    dates = [time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(each)) for each in (now, now - age_s)]
    say = saying(answer(DATA, f"Date: {dates[0]}", f"Last-Modified: {dates[1]}"))
    async with receiver(say) as other, fetcher(folder) as (own, _):
        for _ in range(2):
            await own.fetch(other.url("/x"))
        assert ("if-modified-since" in other.got[1].headers) is asked


async def test_few_are_remembered(folder: Path) -> None:
    async with receiver(saying(answer(b"x", 'ETag: "a"'))) as other, fetcher(folder, fetch_cache_count=2) as (own, _):
        for path in ("/1", "/2", "/3", "/1", "/3"):
            await own.fetch(other.url(path))
        assert ["if-none-match" in got.headers for got in other.got] == [False, False, False, False, True]


REFUSED: dict[str, tuple[bytes, str]] = {
    "redirect": (answer(b"", "Location: http://127.0.0.1:1/", status="302 Found"), "redirects are not followed"),
    "missing": (answer(b"no", status="404 Not Found"), "answered with 404"),
    "partial": (answer(b"no", status="206 Partial"), "answered with 206"),
    "unchanged": (b"HTTP/1.1 304 Not Modified\r\n\r\n", "redirects are not followed|304"),
    "compressed": (answer(b"\x1f\x8b", "Content-Encoding: gzip"), "compresses"),
    "no length": (b"HTTP/1.1 200 OK\r\n\r\nabc", "how long"),
    "too short": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "does not answer as HTTP"),
    "half chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "does not answer as HTTP"),
    "nothing": (b"", "closed the connection|as HTTP"),
}


async def test_answers_that_do_not_bring_it(folder: Path) -> None:
    async with receiver() as other, fetcher(folder) as (own, bench):
        for data, words in REFUSED.values():
            other.say = saying(data)
            with pytest.raises(FailedError, match=words) as caught:
                await own.fetch(other.url("/x?secret=1"))
            assert "secret" not in str(caught.value)
            assert bench.files() == {}


async def test_too_long(folder: Path) -> None:
    async def endless(got: Got, stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await stream.send_all(b"10000\r\n" + bytes(65536) + b"\r\n")

    says: list[Say] = [endless, saying(answer())]
    for say in says:
        async with receiver(say) as other, fetcher(folder, fetch_limit_bytes=500_000) as (own, bench):
            with pytest.raises(TooLargeError):
                await own.fetch(other.url("/x"))
            assert bench.files() == {}


async def _slow_head(got: Got, stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-")
    await trio.sleep_forever()


async def _slow_body(got: Got, stream: trio.abc.Stream) -> None:
    await stream.send_all(answer()[:1000])
    await trio.sleep_forever()


async def _dripping(got: Got, stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        await stream.send_all(b"x")
        await trio.sleep(0.01)


@pytest.mark.parametrize(
    ("say", "words"),
    [(_slow_head, "did not answer in"), (_slow_body, "sends less than"), (_dripping, "sends less than")],
)
async def test_too_slow(say: Say, words: str, folder: Path) -> None:
    head_s = 0.5 if say is _slow_head else 30.0
    limits: dict[str, Any] = {"fetch_head_s": head_s, "fetch_grace_s": 0.3, "fetch_rate_floor_bytes_per_s": 10_000}
    async with receiver(say) as other, fetcher(folder, **limits) as (own, bench):
        with pytest.raises(FailedError, match=words):
            await own.fetch(other.url("/x"))
        assert bench.files() == {}


async def test_the_time_in_all(folder: Path) -> None:
    async with receiver(_dripping) as other, fetcher(folder, fetch_time_s=0.3) as (own, _):
        with pytest.raises(FailedError, match="could not be fetched in"):
            await own.fetch(other.url("/x"))


# -- who waits for whom --


async def test_the_same_at_the_same_time_is_fetched_once(folder: Path) -> None:
    gate = trio.Event()

    async def gated(got: Got, stream: trio.abc.Stream) -> None:
        await gate.wait()
        await stream.send_all(answer())

    async with receiver(gated) as other, fetcher(folder) as (own, _):
        hashes: list[str] = []

        async def one() -> None:
            hashes.append((await own.fetch(other.url("/x"))).content.hash)

        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def impatient() -> None:
                with scope:
                    await one()

            nursery.start_soon(impatient)
            for _ in range(5):
                nursery.start_soon(one)
            await _until(other, 1)
            scope.cancel()  # the first one goes; the others still get it
            await trio.testing.wait_all_tasks_blocked(0.02)
            gate.set()
        assert hashes == [HASH] * 5
        assert len(other.got) == 1


async def test_a_fetch_that_nobody_waits_for_ends(folder: Path) -> None:
    gone = trio.Event()

    async def watching(got: Got, stream: trio.abc.Stream) -> None:
        await stream.send_all(answer()[:1000])
        if not await stream.receive_some(1):
            gone.set()

    async with receiver(watching) as other, fetcher(folder) as (own, bench):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(own.fetch, other.url("/x"))
                await _until(other, 1)
                scope.cancel()
        with trio.fail_after(10):
            await gone.wait()
        other.say = saying(OK)
        assert (await own.fetch(other.url("/x"))).content.size_bytes == 2
        assert len(bench.files()) == 1


async def _until(other: Receiver, count: int) -> None:
    with trio.fail_after(10):
        while len(other.got) < count:  # noqa: ASYNC110  # a receiver tells nobody
            await trio.sleep(0.005)


# -- files --


async def test_files(folder: Path) -> None:
    path = folder / "open" / "a b" / "x.whl"
    path.parent.mkdir()
    path.write_bytes(DATA)
    os.utime(path, (1, 1))
    uri = f"file://{folder}/open/a%20b/x.whl"
    async with fetcher(folder) as (own, _):
        got = await own.fetch(uri)
        assert (got.name, got.content.hash, got.shown) == ("x.whl", HASH, f"file://{path}")
        assert (await own.fetch(uri.replace("file://", "local:"))).content.hash == HASH
        path.write_bytes(b"newer")
        got = await own.fetch(uri)
        assert (got.content.size_bytes, got.again) == (5, False)


async def test_a_file_that_is_settled_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "open" / "x"
    path.write_bytes(b"old")
    async with fetcher(folder) as (own, _):
        assert [(await own.fetch(f"file://{path}")).again for _ in range(2)] == [False, False]  # it is too young
        monkeypatch.setattr("jobdeck_server.core.fetchfiles._SETTLED_NS", -(10**18))
        assert [(await own.fetch(f"file://{path}")).again for _ in range(3)] == [False, True, True]
        path.write_bytes(b"new")
        assert (await own.fetch(f"file://{path}")).again is False


async def test_nothing_outside_the_folders(folder: Path) -> None:
    inside, outside = folder / "open", folder / "closed" / "secret"
    (inside / "link").symlink_to(outside)
    (inside / "linked").symlink_to(folder / "closed")
    os.mkfifo(inside / "fifo")
    (inside / "big").write_bytes(bytes(1000))
    refused = [
        *(f"file://{outside}", f"file://{inside}/../closed/secret", f"file://{inside}/%2e%2e/closed/secret"),
        *(f"file://{inside}/link", f"file://{inside}/linked/secret", f"file://{inside}/fifo", f"file://{inside}"),
        *("file:///etc/passwd", "file:///dev/zero", f"file://{inside}x/y", "file:relative", "file://other/x"),
        *(f"file://{inside}/big/x", f"file://{inside}//big", "netdoc:///etc/passwd", "FILE:///etc/passwd"),
    ]
    async with fetcher(folder, fetch_limit_bytes=500) as (own, bench):
        for uri in refused:
            with pytest.raises(RefusedError):
                await own.fetch(uri)
        with pytest.raises(SchemeError, match="ftp:, file: or local:"):
            await own.fetch("gopher://127.0.0.1/")
        with pytest.raises(FailedError, match="No such file"):
            await own.fetch(f"file://{inside}/none")
        with pytest.raises(TooLargeError):
            await own.fetch(f"file://{inside}/big")
        assert bench.files() == {}


async def test_what_may_not_be_fetched(folder: Path) -> None:
    async with receiver() as canary, fetcher(folder, []) as (own, _):
        for scheme in SCHEMES:
            with pytest.raises(RefusedError):
                await own.fetch(canary.url("/x", scheme=scheme))
        with pytest.raises(RefusedError, match="fetch_folders"):
            own.check(f"file://{folder}/closed/secret")
        assert canary.contacts == 0
