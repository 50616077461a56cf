"""Bytes and records of the blob store, with real files and a real database."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobdeck_protocol.blob import from_wire
from jobdeck_server.core import blobfiles, uploads
from jobdeck_server.core.blobfiles import BlobFiles
from jobdeck_server.core.blobrecord import Record, metadata_hash, record_of
from jobdeck_server.core.blobs import Content, FileTarget
from jobdeck_server.core.errors import (
    BadRequestError,
    BlobLinkError,
    CapacityError,
    ConflictError,
    MissingContentError,
    NoSpaceError,
    TooLargeError,
    UnknownBlobError,
    UnknownEntryError,
)
from jobdeck_server.core.events import Event
from jobdeck_server.core.store import StoreError
from jobdeck_server.core.uploads import Upload
from tests.server.core.blobbench import blobbench, unzipped
from tests.server.core.harness import take, until

HELLO = b"Hello, blob!\n"
HELLO_HASH = "1a05d6ba885624eac51de0fd66cc12a2c4159837"
HELLO_BLOB = "b4674eed089624de91111e9a9b7c8212d95fb6dc"
NOTHING = "0" * 40


# -- bytes --


async def test_a_file_is_kept_under_its_hash_readable_by_the_owner_alone(tmp_path: Path) -> None:
    async with blobbench(tmp_path, sync="full") as b:
        stored = await b.file("hello.txt", HELLO)
        assert stored.hash == HELLO_BLOB
        assert b.files() == {f"1a/{HELLO_HASH}": 13}
        assert stat.S_IMODE((b.folder / "1a" / HELLO_HASH).stat().st_mode) == 0o600
        assert {stat.S_IMODE(path.stat().st_mode) for path in (b.folder, b.folder / "1a", b.folder / "tmp")} == {0o700}
        assert await b.read(stored.hash) == HELLO


async def test_the_empty_file_is_one_too(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        stored = await b.file("empty.txt", b"")
        assert stored.hash == "fba61e01ae2d82eed7b790d8931385e958d9412b"
        assert await b.read(stored.hash) == b""


PIECES = st.lists(st.integers(0, 3000).map(lambda n: hashlib.sha256(b"%d" % n).digest() * (n // 32)), max_size=20)


class Pieces:
    """A source that gives what it has as there is room."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    async def read_into(self, room: memoryview) -> int:
        await trio.lowlevel.checkpoint()
        if not self._pieces:
            return 0
        piece = self._pieces.pop(0)
        count = min(len(piece), len(room))
        room[:count] = piece[:count]
        if count < len(piece):
            self._pieces.insert(0, piece[count:])
        return count


@pytest.mark.slow
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PIECES, st.integers(1, 4096), st.sampled_from(("write", "fill", "fill, length known")))
async def test_any_pieces_are_hashed_and_written_in_order(
    tmp_path: Path, pieces: list[bytes], backlog: int, way: str
) -> None:
    files = BlobFiles(tmp_path / "blobs", sync=True)
    files.open()
    data = b"".join(pieces)
    upload = Upload(
        files.incoming(),
        limiter=trio.CapacityLimiter(1),
        limit_bytes=1 << 20,
        backlog_bytes=backlog,
        expected_bytes=len(data) if "known" in way else None,
    )
    if way == "write":
        for piece in pieces:
            await upload.write(piece)
    else:
        await upload.fill(Pieces(pieces))
    content = await upload.commit()
    await upload.leave()
    assert content == Content(hash=hashlib.sha1(data).hexdigest(), size_bytes=len(data))
    assert files.path(content.hash).read_bytes() == data
    assert not any((files.folder / "tmp").iterdir())


async def test_no_piece_is_lost_wherever_threads_take_turns(tmp_path: Path) -> None:
    files = BlobFiles(tmp_path / "blobs", sync=False)
    files.open()
    limiter = trio.CapacityLimiter(2)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for n in range(400):
            upload = Upload(files.incoming(), limiter=limiter, limit_bytes=1 << 20, backlog_bytes=64)
            pieces = [b"%d-%d" % (n, each) * 7 for each in range(1 + n % 13)]
            for piece in pieces:
                await upload.write(piece)
            content = await upload.commit()
            assert content.hash == hashlib.sha1(b"".join(pieces)).hexdigest()
    finally:
        sys.setswitchinterval(before)


async def test_many_uploads_share_few_threads_and_all_come_to_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_TURN_BYTES", 50_000)
    async with blobbench(tmp_path, blob_thread_limit_count=2, blob_backlog_bytes=40_000) as b:
        async with trio.open_nursery() as nursery:
            for n in range(12):
                nursery.start_soon(b.send, bytes([n]) * 500_000)
        assert len(b.files()) == 12
        assert set(b.files().values()) == {500_000}


async def test_what_a_source_raises_ends_the_upload(tmp_path: Path) -> None:
    class Broken(Pieces):
        async def read_into(self, room: memoryview) -> int:
            count = await super().read_into(room)
            if not count:
                raise ConnectionError
            return count

    async with blobbench(tmp_path, blob_backlog_bytes=1000) as b:
        with suppress(ConnectionError):
            async with b.blobs.upload() as upload:
                await upload.fill(Broken([b"x" * 10_000]))
                pytest.fail("it was not raised")
        assert b.files() == {}


async def test_the_same_from_fifty_clients_at_once_is_stored_once(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    found: list[Content] = []
    async with blobbench(tmp_path, blob_backlog_bytes=65536) as b:

        async def send() -> None:
            found.append(await b.send(data, piece_bytes=20_000))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(send)
        assert len(found) == 50
        assert len(set(found)) == 1
        assert b.files() == {f"{found[0].hash[:2]}/{found[0].hash}": len(data)}


@pytest.mark.parametrize("sent", [0, 10, 200_000])
async def test_an_upload_that_is_left_leaves_nothing(tmp_path: Path, sent: int) -> None:
    async with blobbench(tmp_path, blob_backlog_bytes=65536) as b:
        with suppress(ConnectionError):
            async with b.blobs.upload() as upload:
                await upload.write(bytes(sent))
                raise ConnectionError
        with trio.move_on_after(5) as scope:
            async with b.blobs.upload() as upload:
                await upload.write(bytes(sent))
                scope.cancel()
                await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert b.files() == {}


async def test_an_upload_can_be_left_while_a_thread_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with blobbench(tmp_path, blob_backlog_bytes=10) as b:
        writing, go_on = trio.Event(), trio.Event()
        token = trio.lowlevel.current_trio_token()
        real = blobfiles._write

        def slow(fd: int, pieces: object) -> None:
            trio.from_thread.run_sync(writing.set, trio_token=token)
            trio.from_thread.run(go_on.wait, trio_token=token)
            real(fd, pieces)  # type: ignore[arg-type]  # handed through

        monkeypatch.setattr(blobfiles, "_write", slow)
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                async with b.blobs.upload() as upload:
                    await upload.write(bytes(100))
                    await trio.sleep_forever()

            nursery.start_soon(send)
            await writing.wait()
            nursery.cancel_scope.cancel()
            go_on.set()
        assert b.files() == {}


async def test_what_a_crash_left_goes_at_the_next_start(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        kept = await b.send(b"kept")
    (tmp_path / "blobs" / "tmp" / "half").write_bytes(b"ke")
    async with blobbench(tmp_path) as b:
        assert list(b.files()) == [f"{kept.hash[:2]}/{kept.hash}"]


async def test_a_damaged_file_is_mended_by_the_next_upload(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        content = await b.send(b"whole")
        (b.folder / content.hash[:2] / content.hash).write_bytes(b"who")
        await b.send(b"whole")
        assert (b.folder / content.hash[:2] / content.hash).read_bytes() == b"whole"


async def test_limits_of_uploads(tmp_path: Path) -> None:
    async with blobbench(tmp_path, blob_limit_bytes=10, blob_upload_limit_count=1) as b:
        async with b.blobs.upload() as upload:
            await upload.write(bytes(10))
            with pytest.raises(TooLargeError):
                await upload.write(b"1")
            with pytest.raises(CapacityError):
                async with b.blobs.upload():
                    pass
        async with b.blobs.upload(limit_bytes=3) as upload:
            with pytest.raises(TooLargeError):
                await upload.write(bytes(4))
        with pytest.raises(TooLargeError):
            async with b.blobs.upload(expected_bytes=11):
                pass
        assert b.files() == {}


async def test_the_reserve_of_the_disk_is_left_alone(tmp_path: Path) -> None:
    async with blobbench(tmp_path, blob_reserve_bytes=1 << 60) as b:
        with pytest.raises(NoSpaceError):
            await b.send(b"x")
    free = os.statvfs(tmp_path)
    async with blobbench(tmp_path) as b:
        with pytest.raises(NoSpaceError):
            async with b.blobs.upload(expected_bytes=2 * free.f_bavail * free.f_frsize):
                pass


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("large", [False, True])
async def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, large: bool
) -> None:
    def full(fd: int, pieces: object) -> None:
        os.write(fd, b"the first")
        raise OSError(code, os.strerror(code))

    async with blobbench(tmp_path, blob_backlog_bytes=100 if large else 10_000) as b:
        monkeypatch.setattr(blobfiles, "_write", full)
        with pytest.raises(StoreError if code == errno.EIO else NoSpaceError):
            await b.send(bytes(1000), piece_bytes=100)
        assert b.files() == {}


@pytest.mark.parametrize(
    "text", ["", "..", "../../etc/passwd", "a" * 39, "A" * 40, "g" * 40, "a" * 41, "a" * 40 + "\n", "../" + "a" * 37]
)
async def test_no_path_is_made_of_what_is_no_hash(tmp_path: Path, text: str) -> None:
    async with blobbench(tmp_path) as b:
        with pytest.raises(ValueError, match="not a content hash"):
            b.blobs._files.path(text)
        assert b.blobs._files.size(text) is None
        with pytest.raises(MissingContentError):
            await b.blobs.content(text)
        for each in (b.blobs.get, b.blobs.show, b.blobs.resolve):
            with pytest.raises(UnknownBlobError):
                await each(text)


async def test_a_link_in_the_place_of_content_is_not_followed(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        stored = await b.file("hello.txt", HELLO)
        secret = tmp_path / "secret"
        secret.write_text("canary")
        path = b.folder / "1a" / HELLO_HASH
        path.unlink()
        path.symlink_to(secret)
        with pytest.raises(MissingContentError):
            await b.blobs.resolve(stored.hash)
        with pytest.raises(OSError, match="symbolic"):
            await b.blobs.content(HELLO_HASH)


# -- records --


async def test_a_record_is_durable_told_and_found_again(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        stored = await b.file("hello.txt", HELLO)
        assert stored.created_us == stored.modified_us
        again = await b.blobs.put(stored.record)
        assert (again.hash, again.created_us) == (stored.hash, stored.created_us)
        assert again.modified_us > stored.modified_us
        told = await take(b.events, 0, 2)
        assert [event.kind for event in told if isinstance(event, Event)] == ["blob", "blob"]
        assert isinstance(told[1], Event)
        blob = from_wire(told[1].data)
        assert blob == await b.blobs.show(stored.hash)
        assert (blob.name, blob.size_bytes, blob.mime, blob.content) == ("hello.txt", 13, "text/plain", HELLO_HASH)
    async with blobbench(tmp_path) as b:
        assert await b.blobs.get(stored.hash) == again


async def test_events_are_told_in_order_though_tasks_wake_in_any(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        seen: list[int] = []
        publish = b.events.publish

        def noted(events: Sequence[Event]) -> None:
            seen.extend(event.n for event in events)
            publish(events)

        b.events.publish = noted  # type: ignore[method-assign]  # looked over the shoulder
        async with trio.open_nursery() as nursery:
            for n in range(100):
                nursery.start_soon(b.blobs.put, Record(name=str(n)))
        assert seen == list(range(1, 101))


STRANGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "name": STRANGE,
        "size": STRANGE,
        "mime": STRANGE,
        "isPublic": STRANGE,
        "tags": st.lists(STRANGE, max_size=4),
        "content": STRANGE,
        "contentType": STRANGE.filter(lambda each: each != "complex"),
    },
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(RECORDS, min_size=8, max_size=8))
async def test_any_record_that_can_be_sent_is_kept_as_it_is(tmp_path: Path, sent: list[dict[str, object]]) -> None:
    async with blobbench(tmp_path) as b:
        for each in sent:
            record = record_of(each)
            stored = await b.blobs.put(record)
            assert stored.hash == metadata_hash(record)
            assert metadata_hash((await b.blobs.get(stored.hash)).record) == stored.hash
            blob = await b.blobs.show(stored.hash)
            assert blob.size_bytes >= 0


async def test_a_record_has_a_limit(tmp_path: Path) -> None:
    async with blobbench(tmp_path, blob_record_limit_bytes=200) as b:
        await b.blobs.put(Record(name="x" * 90))
        with pytest.raises(TooLargeError):
            await b.blobs.put(Record(name="x" * 200))


async def test_public_ones_are_told_apart(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        hashes = [(await b.blobs.put(Record(name=str(n), is_public=n % 2 == 0))).hash for n in range(450)]
        assert [each.hash async for each in b.blobs.every()] == hashes[::2]
        assert [each.hash async for each in b.blobs.every(private_too=True)] == hashes


async def test_the_beginning_of_a_hash_finds_it(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        stored = await b.file("hello.txt", HELLO)
        assert await b.blobs.find(stored.hash[:8]) == stored.hash
        assert await b.blobs.find(stored.hash[:20].upper()) == stored.hash
        for name in ("ffffffff", stored.hash[:7]):
            with pytest.raises(UnknownBlobError):
                await b.blobs.get(await b.blobs.find(name))


async def test_own_tags_change_no_hash_and_leave_the_records_alone(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        stored = await b.blobs.put(Record(name="n", tags=("a", 3)))
        blob = await b.blobs.set_tags(stored.hash, ["mine", "a", "mine"])
        assert (blob.tags, blob.own_tags) == (("a", "mine"), ("mine",))
        assert (await b.blobs.get(stored.hash)).own_tags == ("mine",)
        assert (await b.blobs.set_tags(stored.hash, [])).tags == ("a",)
        with pytest.raises(UnknownBlobError):
            await b.blobs.set_tags(NOTHING, [])
        for tags in ([""], ["x\0"], ["\ud800"]):
            with pytest.raises(BadRequestError):
                await b.blobs.set_tags(stored.hash, tags)
        for tags in (["x" * 257], [str(n) for n in range(65)]):
            with pytest.raises(TooLargeError):
                await b.blobs.set_tags(stored.hash, tags)


# -- what a hash stands for --


async def test_files_links_and_artifacts(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        hello = await b.file("hello.txt", HELLO)
        link = await b.link("link", hello.hash)
        twice = await b.link("twice.bin", link.hash)
        entries = {"d/b.txt": (HELLO_HASH, "object"), "a": (hello.hash, "softLink"), "9": (twice.hash, "softLink")}
        art = await b.artifact("art.zip", entries)
        to_art = await b.link("to.zip", art.hash)

        assert await b.blobs.resolve(hello.hash) == FileTarget(name="hello.txt", content_hash=HELLO_HASH, size_bytes=13)
        found: tuple[tuple[str, str | None, str], ...] = (
            (hello.hash, "x/y.z", "y.z"),
            (link.hash, None, "link"),
            (twice.hash, "", "twice.bin"),
            (twice.hash, "a/b", "b"),
            (art.hash, "d/b.txt", "b.txt"),
            (art.hash, "a", "a"),
        )
        for blob, path, name in found:
            target = await b.blobs.resolve(blob, path)
            assert target == FileTarget(name=name, content_hash=HELLO_HASH, size_bytes=13)
        for blob in (art.hash, to_art.hash):
            assert unzipped(await b.read(blob)) == {"d/b.txt": HELLO, "a": HELLO, "9": HELLO}
        assert list(unzipped(await b.read(art.hash))) == ["d/b.txt", "a", "9"]
        assert (await b.blobs.resolve(to_art.hash, "a")).name == "a"  # a link passes no path on


async def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        hello = await b.file("hello.txt", HELLO)
        art = await b.artifact(
            "a", {"d/x": (HELLO_HASH, "object"), "no": (NOTHING, "object"), "l": (NOTHING, "softLink")}
        )
        for wrong in ("d", "d/", "/d/x", "x", "../d/x"):
            with pytest.raises(UnknownEntryError):
                await b.blobs.resolve(art.hash, wrong)
        gone = await b.blobs.put(Record(name="gone", content=NOTHING))
        bare = await b.blobs.put(Record(name="bare"))
        nowhere = await b.link("nowhere", NOTHING)
        missing: tuple[tuple[str, str | None], ...] = (
            (art.hash, "no"),
            (art.hash, "l"),
            (art.hash, None),
            (gone.hash, None),
            (bare.hash, None),
            (nowhere.hash, None),
        )
        for blob, path in missing:
            with pytest.raises(MissingContentError):
                await b.blobs.resolve(blob, path)
        with pytest.raises(UnknownBlobError):
            await b.blobs.resolve(NOTHING)
        nested = await b.artifact("nested", {"in": (art.hash, "complex"), "file": (hello.hash, "softLink")})
        odd = await b.blobs.put(Record(name="odd", content=HELLO_HASH, content_type="subObject"))
        for blob, within in ((nested.hash, "in"), (nested.hash, None), (odd.hash, None)):
            with pytest.raises(BlobLinkError):
                await b.blobs.resolve(blob, within)


async def test_links_in_a_circle_and_without_end(tmp_path: Path) -> None:
    async with blobbench(tmp_path, blob_link_depth_limit_count=5) as b:
        hello = await b.file("hello.txt", HELLO)
        chain = [hello.hash]
        for n in range(7):
            chain.append((await b.link(str(n), chain[-1])).hash)
        assert await b.read(chain[5]) == HELLO
        with pytest.raises(BlobLinkError, match="More than 5"):
            await b.blobs.resolve(chain[7])
        # A hash covers what it links to, so only a damaged database has a circle.
        await b.store.write(lambda c: c.execute("update blob set content = ? where hash = ?", (chain[3], chain[1])))
        art = await b.artifact("a", {"x": (chain[2], "softLink")})
        for blob, path in ((chain[3], None), (chain[1], "x"), (art.hash, None), (art.hash, "x")):
            with pytest.raises(BlobLinkError, match="circle"):
                await b.blobs.resolve(blob, path)


async def test_artifacts_within_artifacts(tmp_path: Path) -> None:
    async with blobbench(tmp_path, blob_link_depth_limit_count=3, blob_archive_limit_count=20) as b:
        hello = await b.file("hello.txt", HELLO)
        chain = [(await b.artifact("0", {"a": (hello.hash, "softLink")})).hash]
        for n in range(1, 5):
            entries = {"in.zip": (chain[-1], "softLink"), "b": (HELLO_HASH, "object")}
            chain.append((await b.artifact(str(n), entries)).hash)
        data = await b.read(chain[3])
        for _ in range(3):
            files = unzipped(data)
            assert files["b"] == HELLO
            data = files["in.zip"]
        assert unzipped(data) == {"a": HELLO}
        assert unzipped(await b.read(chain[1], "in.zip")) == {"a": HELLO}
        with pytest.raises(BlobLinkError):
            await b.blobs.resolve(chain[4])
        wide = await b.artifact("wide", {str(n): (chain[1], "softLink") for n in range(9)})
        with pytest.raises(TooLargeError):
            await b.blobs.resolve(wide.hash)


async def test_entries_of_an_artifact_are_told_in_slices(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        hello = await b.file("hello.txt", HELLO)
        entries = {f"f{n:03}": (HELLO_HASH, "object") for n in range(7)}
        entries |= {"l": (hello.hash, "softLink"), "z": (NOTHING, "object"), "z2": (NOTHING, "softLink")}
        art = await b.artifact("a", entries)
        found, total = await b.blobs.entries(art.hash, start=5, count=4)
        assert total == 10
        assert [(each.path, each.size_bytes) for each in found] == [("f005", 13), ("f006", 13), ("l", 13), ("z", None)]
        assert (await b.blobs.entries(art.hash, start=9, count=4))[0][0].size_bytes is None
        with pytest.raises(BlobLinkError):
            await b.blobs.entries(hello.hash, count=5)


# -- removing --


async def test_delete(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        hello, other = await b.file("hello.txt", HELLO), await b.file("other.txt", b"other")
        art = await b.artifact("a", {"x": (hello.hash, "softLink"), "y": (other.hash, "softLink")})
        second = await b.artifact("b", {"x": (hello.hash, "softLink")})
        with pytest.raises(ConflictError, match="part of"):
            await b.blobs.delete(hello.hash)
        assert await b.blobs.delete(art.hash, recursive=True) == 2  # hello is part of the second one
        with pytest.raises(UnknownBlobError):
            await b.blobs.get(other.hash)
        assert await b.blobs.delete(hello.hash, force=True) == 1
        with pytest.raises(MissingContentError):
            await b.blobs.resolve(second.hash)
        await b.blobs.pin(second.hash, True)
        with pytest.raises(ConflictError, match="pinned"):
            await b.blobs.delete(second.hash, force=True)
        await b.blobs.pin(second.hash, False)
        await b.job("j1", key=second.hash)
        with pytest.raises(ConflictError, match="job"):
            await b.blobs.delete(second.hash, force=True)
        with pytest.raises(UnknownBlobError):
            await b.blobs.delete(NOTHING)
        removed = [each.data for each in await take(b.events, 0, 9) if isinstance(each, Event)][4:7]
        assert removed == [{"hash": art.hash}, {"hash": other.hash}, {"hash": hello.hash}]


async def test_an_open_file_is_read_to_its_end_whatever_is_removed(tmp_path: Path) -> None:
    async with blobbench(tmp_path, blob_grace_s=0) as b:
        hello = await b.file("hello.txt", HELLO)
        with await b.blobs.content(HELLO_HASH) as file:
            await b.blobs.delete(hello.hash)
            assert (await b.blobs.collect()).content_count == 1
            assert b.files() == {}
            assert os.pread(file.fd, 100, 0) == HELLO
        file.close()


async def test_uploads_go_on_beside_the_end_of_the_server(tmp_path: Path) -> None:
    """Cancelled from above in the middle of everything, nothing half done is left."""
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            async with blobbench(tmp_path, blob_backlog_bytes=10_000) as b, trio.open_nursery() as inner:
                for n in range(10):
                    inner.start_soon(b.send, bytes([n]) * 3_000_000)

        nursery.start_soon(run)
        await until(
            lambda: any((tmp_path / "blobs" / "tmp").glob("*")) if (tmp_path / "blobs" / "tmp").exists() else False
        )
        nursery.cancel_scope.cancel()
    assert not any((tmp_path / "blobs" / "tmp").iterdir())
    for path in (tmp_path / "blobs").glob("??/*"):
        assert hashlib.sha1(path.read_bytes()).hexdigest() == path.name
