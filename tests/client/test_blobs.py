"""Blobs through the client: a real server, real files, and a wire that breaks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import trio

from jobdeck_client import (
    Client,
    ConflictError,
    FileChangedError,
    NotFoundError,
    RefusedError,
    ServerFaultError,
    UnreachableError,
    transfer,
)
from jobdeck_protocol.blob import ARTIFACT, Blob, from_wire, to_wire
from jobdeck_protocol.events import Event
from tests.client.helpers import breaking


def made(path: Path, size: int) -> bytes:
    data = os.urandom(size)
    path.write_bytes(data)
    return data


async def artifact(client: Client, name: str, files: dict[str, Blob]) -> Blob:
    content = {path: {"content": blob.hash, "contentType": "softLink"} for path, blob in files.items()}
    return await client.blobs.store({"name": name, "contentType": ARTIFACT, "content": content})


async def test_up_and_down(url: str, tmp_path: Path) -> None:
    data = made(tmp_path / "ä b.bin", 3_000_000)
    told: list[tuple[int, int | None]] = []
    async with Client(url) as client:
        blob = await client.blobs.upload(
            tmp_path / "ä b.bin", tags=["one", "two, three"], on_progress=lambda *each: told.append(each)
        )
        assert (blob.name, blob.size_bytes, blob.content) == ("ä b.bin", 3_000_000, hashlib.sha1(data).hexdigest())
        assert blob.own_tags == ("one", "two, three")
        assert told[-1] == (3_000_000, 3_000_000)
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert await client.blobs.show(blob.hash[:10]) == blob

        told.clear()
        target = tmp_path / "copy"
        size = await client.blobs.download(blob.hash, target, on_progress=lambda *each: told.append(each))
        assert size == 3_000_000
        assert target.read_bytes() == data
        assert told[-1] == (3_000_000, 3_000_000)
        assert {path.name for path in tmp_path.iterdir()} == {"ä b.bin", "copy"}
        assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()
        assert b"".join([piece async for piece in client.blobs.read(blob.hash, start=2_999_990)]) == data[-10:]


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


async def test_bytes_of_unknown_length_and_none_at_all(url: str, tmp_path: Path) -> None:
    async def some() -> AsyncIterator[bytes]:
        for piece in (b"a", b"", b"bc" * 100_000):
            yield piece

    async def none() -> AsyncIterator[bytes]:
        for piece in (b"",):
            yield piece

    async with Client(url) as client:
        blob = await client.blobs.upload(some(), name="stream")
        assert blob.size_bytes == 200_001
        empty = await client.blobs.upload(none(), name="empty.txt")
        assert empty.hash == "fba61e01ae2d82eed7b790d8931385e958d9412b"
        assert await client.blobs.download(empty.hash, tmp_path / "empty") == 0
        assert (tmp_path / "empty").read_bytes() == b""
        with pytest.raises(ValueError, match="name"):
            await client.blobs.upload(none())


async def test_lists_and_changes(url: str, tmp_path: Path) -> None:
    made(tmp_path / "f", 100)
    async with Client(url) as client:
        blobs = [await client.blobs.upload(tmp_path / "f", name=f"list-{n}", tags=["list"]) for n in range(5)]
        page = await client.blobs.page(tag="list", limit=2)
        assert [blob.hash for blob in page.items] == [blobs[4].hash, blobs[3].hash]
        assert page.next is not None
        found = [blob.hash async for blob in client.blobs.all(tag="list", sort="created")]
        assert found == [blob.hash for blob in blobs]
        assert len([blob async for blob in client.blobs.all(text="LIST-", limit=3)]) == 3
        assert [blob.hash async for blob in client.blobs.all(name="list-2")] == [blobs[2].hash]

        assert (await client.blobs.set_tags(blobs[0].hash, ["other"])).tags == ("other",)
        assert (await client.blobs.pin(blobs[0].hash)).pinned
        assert [blob.hash async for blob in client.blobs.all(pinned=True)] == [blobs[0].hash]
        with pytest.raises(ConflictError, match="pinned"):
            await client.blobs.remove(blobs[0].hash)
        assert not (await client.blobs.unpin(blobs[0].hash)).pinned
        await client.blobs.remove(blobs[0].hash)
        with pytest.raises(NotFoundError, match="does not exist"):
            await client.blobs.show(blobs[0].hash)
        collected = await client.blobs.collect(dry_run=True)
        assert collected.dry_run
        assert collected.kept_count >= 1


async def test_events_tell_what_comes_and_goes(url: str, tmp_path: Path) -> None:
    made(tmp_path / "f", 10)
    async with Client(url) as client:
        last = (await client.info())["last_event"]
        async with client.events(since=last) as events:
            blob = await client.blobs.upload(tmp_path / "f")
            pinned = await client.blobs.pin(blob.hash)
            await client.blobs.unpin(blob.hash)
            await client.blobs.remove(blob.hash)
            told: list[tuple[str, object]] = []
            with trio.fail_after(20):
                async for message in events:
                    if isinstance(message, Event) and message.event.startswith("blob"):
                        told.append((message.event, message.data))
                        if message.event == "blob_removed":
                            break
        assert [kind for kind, _ in told] == ["blob", "blob", "blob", "blob_removed"]
        assert told[0][1] == to_wire(blob)
        assert told[1][1] == to_wire(pinned)
        assert told[3][1] == {"hash": blob.hash}


async def test_artifacts(url: str, tmp_path: Path) -> None:
    data = made(tmp_path / "f", 200_000)
    async with Client(url) as client:
        file = await client.blobs.upload(tmp_path / "f")
        art = await artifact(client, "a.zip", {"d/ä b?#%.bin": file, "x": file})
        assert (art.type, art.entry_count) == (ARTIFACT, 2)
        entries = [entry async for entry in client.blobs.entries(art.hash)]
        assert [(entry.path, entry.size_bytes) for entry in entries] == [("d/ä b?#%.bin", 200_000), ("x", 200_000)]
        assert await client.blobs.download(art.hash, tmp_path / "one", path="d/ä b?#%.bin") == 200_000
        assert (tmp_path / "one").read_bytes() == data
        told: list[tuple[int, int | None]] = []
        size = await client.blobs.download(art.hash, tmp_path / "zip", on_progress=lambda *each: told.append(each))
        assert told[-1] == (size, size)
        with pytest.raises(NotFoundError):
            await client.blobs.download(art.hash, tmp_path / "no", path="no")
        with pytest.raises(RefusedError, match="no artifact"):
            _ = [entry async for entry in client.blobs.entries(file.hash)]
        with pytest.raises(ConflictError, match="part of"):
            await client.blobs.remove(file.hash)
        await client.blobs.remove(art.hash, recursive=True)
        with pytest.raises(NotFoundError):
            await client.blobs.show(file.hash)
        assert {path.name for path in tmp_path.iterdir()} == {"f", "one", "zip"}


async def test_a_wire_that_breaks_again_and_again(url: str, tmp_path: Path) -> None:
    data = made(tmp_path / "f", 1_000_000)
    async with breaking(url, seed=5, least=20_000, most=200_000) as proxy, Client(url) as plain:
        blob = await plain.blobs.upload(tmp_path / "f")
        async with Client(proxy.url) as client:
            with trio.fail_after(30):
                assert await client.blobs.download(blob.hash, tmp_path / "copy") == 1_000_000
            assert (tmp_path / "copy").read_bytes() == data
            assert proxy.cuts > 3
            with pytest.raises(UnreachableError):
                await client.blobs.upload(tmp_path / "f")


async def test_the_next_run_goes_on_where_the_last_one_stopped(url: str, tmp_path: Path) -> None:
    data = made(tmp_path / "f", 5_000_000)
    async with Client(url) as client:
        blob = await client.blobs.upload(tmp_path / "f")
        with trio.CancelScope() as scope:
            await client.blobs.download(blob.hash, tmp_path / "copy", on_progress=lambda *_: scope.cancel())
        (part,) = tmp_path.glob(".copy.*.part")
        assert 0 < part.stat().st_size < 5_000_000
        had = part.stat().st_size
        told: list[int] = []
        await client.blobs.download(blob.hash, tmp_path / "copy", on_progress=lambda done, _: told.append(done))
        assert told[0] > had
        assert (tmp_path / "copy").read_bytes() == data
        assert not list(tmp_path.glob(".copy.*"))

        # what was left is not what it should be: nothing false is handed out, and the next try begins anew
        part.write_bytes(b"x" * 100)
        with pytest.raises(ServerFaultError):
            await client.blobs.download(blob.hash, tmp_path / "copy")
        part.write_bytes(b"x" * 5_000_001)
        await client.blobs.download(blob.hash, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == data


async def test_a_download_that_is_left_leaves_the_connection_free(url: str, tmp_path: Path) -> None:
    made(tmp_path / "f", 5_000_000)
    async with Client(url) as client:
        blob = await client.blobs.upload(tmp_path / "f")
        for _ in range(3):
            async with aclosing(client.blobs.read(blob.hash)) as pieces:
                assert await anext(pieces)
        assert (await client.blobs.show(blob.hash)) == blob


async def test_a_server_that_does_not_come_back(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "RESUME_LIMIT_S", 0.0)
    made(tmp_path / "f", 3_000_000)
    async with breaking(url, seed=1, least=1_000_000, most=2_000_000) as proxy, Client(url) as plain:
        blob = await plain.blobs.upload(tmp_path / "f")
        async with Client(proxy.url) as client:
            proxy.mend = True
            async with aclosing(client.blobs.read(blob.hash)) as pieces:
                await anext(pieces)
                proxy.mend = False
                proxy._port = 1  # nobody there when it comes again
                with pytest.raises(UnreachableError):
                    _ = [piece async for piece in pieces]


async def test_a_file_that_shrinks_while_it_is_sent(url: str, tmp_path: Path) -> None:
    path = tmp_path / "f"
    made(path, 5_000_000)
    async with Client(url) as client:
        with pytest.raises(FileChangedError):
            await client.blobs.upload(path, on_progress=lambda *_: os.truncate(path, 1_500_000))
        assert not [blob async for blob in client.blobs.all(name="f", limit=1) if blob.size_bytes == 5_000_001]


async def test_what_is_refused_is_told_even_in_the_middle_of_an_upload(url: str, tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 20)

    async with Client(url) as client:
        with pytest.raises(RefusedError) as caught:
            await client.blobs.upload(endless(), name="x", tags=["y" * 300])
        assert caught.value.status == 413


def test_a_blob_on_the_wire() -> None:
    blob = Blob(hash="a" * 40, name="n", tags=("x",), entry_count=3, created_us=1, modified_us=2, pinned=True)
    assert from_wire(to_wire(blob)) == blob
    assert from_wire({"hash": "b", "new": 1}) == Blob(hash="b")
    for wrong in (
        {},
        {"hash": 1},
        {"hash": "a", "size_bytes": "1"},
        {"hash": "a", "tags": [1]},
        {"hash": "a", "pinned": 1},
    ):
        with pytest.raises((KeyError, TypeError)):
            from_wire(wrong)
