"""Data files: names that never leave their folder, bytes of any size within the bounds, and nothing half done."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_server.core.datafiles import DataFiles, name_of
from jobdeck_server.core.errors import (
    BadRequestError,
    CapacityError,
    NoSpaceError,
    TooLargeError,
    UnknownDataFileError,
)
from jobdeck_server.settings import Settings

INDIA = timezone(timedelta(hours=5, minutes=30))
NOON = datetime(2016, 7, 4, 9, 9, 57, 928_300, tzinfo=INDIA)


class pieces:  # what a request's body is: an iterator that may be left half-way
    def __init__(self, *each: bytes) -> None:
        self._each = iter(each)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return next(self._each)
        except StopIteration:
            raise StopAsyncIteration from None


async def opened(folder: Path, now: datetime = NOON, **limits: int) -> DataFiles:
    limits = {"blob_reserve_bytes": 0, **limits}
    files = DataFiles(Settings(data_dir=folder, sync="normal", **limits), now=lambda: now)  # type: ignore[arg-type]
    await files.open()
    return files


def on_disk(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_kept_under_a_name_with_the_time(tmp_path: Path) -> None:
    files = await opened(tmp_path)
    path = await files.store("in.txt", pieces(b"some ", b"bytes"))
    assert path == f"{tmp_path}/data/in.txt-2016-07-04T09_09_57.928+05_30.dat"
    assert Path(path).read_bytes() == b"some bytes"
    assert Path(path).stat().st_mode & 0o777 == 0o600
    again = await files.store("in.txt", pieces(b"others"))
    assert again == f"{tmp_path}/data/in.txt-2016-07-04T09_09_57.929+05_30.dat"
    assert await files.list() == [path, again]
    assert on_disk(tmp_path) == [Path(path), Path(again)] or on_disk(tmp_path) == [Path(again), Path(path)]


async def test_utc_has_a_letter(tmp_path: Path) -> None:
    files = await opened(tmp_path, NOON.astimezone(UTC))
    assert (await files.store("a", pieces())).endswith("/data/a-2016-07-04T03_39_57.928Z.dat")


async def test_large_ones_in_pieces_of_any_size(tmp_path: Path) -> None:
    files = await opened(tmp_path)
    data = [os.urandom(size) for size in (1, 3_000_000, 17, 1024 * 1024, 5)]
    path = await files.store("large", pieces(*data), expected_bytes=sum(map(len, data)))
    assert Path(path).read_bytes() == b"".join(data)


BAD = [
    "",
    ".",
    "..",
    "/",
    "a/b",
    "../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "a\nb",
    "\x7f",
    "\x85",
    "x" * 222,
    "ü" * 112,
]


@pytest.mark.parametrize("prefix", BAD)
async def test_what_is_no_name_is_refused(prefix: str, tmp_path: Path) -> None:
    files = await opened(tmp_path)
    with pytest.raises(BadRequestError):
        await files.store(prefix, pieces(b"x"))
    assert on_disk(tmp_path) == []


async def test_the_longest_name(tmp_path: Path) -> None:
    files = await opened(tmp_path)
    path = await files.store("x" * (255 - len("-2016-07-04T09_09_57.928+05_30.dat")), pieces(b"x"))
    assert len(Path(path).name) == 255


@settings(max_examples=50, deadline=None)
@given(prefix=st.one_of(st.text(max_size=300), st.text(alphabet="./\\\0%2Fé", max_size=12)))
def test_no_name_leaves_the_folder(prefix: str) -> None:
    try:
        name = name_of(prefix, NOON)
    except BadRequestError:
        return
    folder = "/srv/data"
    assert os.path.dirname(os.path.normpath(os.path.join(folder, name))) == folder
    assert name.startswith(prefix)
    assert len(os.fsencode(name)) <= 255
    assert not {unicodedata.category(c) for c in name} & {"Cc", "Cs"}


async def test_odd_names_are_names(tmp_path: Path) -> None:
    files = await opened(tmp_path)
    for prefix in ("..a", "...", "\\", "%2F", "a b", "é", "\u202e", "-rf", ".coming"):
        path = await files.store(prefix, pieces(b"x"))
        assert os.path.dirname(os.path.realpath(path)) == f"{os.path.realpath(tmp_path)}/data"
        await files.delete(path)
    assert on_disk(tmp_path) == []


async def test_only_what_is_on_the_list_can_be_removed(tmp_path: Path) -> None:
    files = await opened(tmp_path)
    path = await files.store("a", pieces(b"x"))
    name = Path(path).name
    (tmp_path / "other.dat").write_bytes(b"x")
    (tmp_path / "data" / "link.dat").symlink_to(tmp_path / "other.dat")
    (tmp_path / "data" / "folder.dat").mkdir()
    (tmp_path / "data" / "strange").write_bytes(b"x")
    for wrong in (
        "",
        name,
        f"{tmp_path}/other.dat",
        f"{tmp_path}/data/../other.dat",
        f"{tmp_path}/data/./{name}",
        f"{tmp_path}/data//{name}",
        f"{path}\0",
        f"{path}/",
        f"{tmp_path}/data/link.dat",
        f"{tmp_path}/data/folder.dat",
        f"{tmp_path}/data/strange",
        f"{tmp_path}/data/.coming",
    ):
        with pytest.raises(UnknownDataFileError):
            await files.delete(wrong)
    assert await files.list() == [path]
    await files.delete(path)
    with pytest.raises(UnknownDataFileError):
        await files.delete(path)
    await files.store("b", pieces(b"x"))
    await files.store("c", pieces(b"x"))
    await files.reset()
    assert await files.list() == []
    assert sorted(path.name for path in on_disk(tmp_path)) == ["link.dat", "other.dat", "strange"]


async def test_a_body_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        raise ConnectionError

    files = await opened(tmp_path, data_upload_limit_count=1)
    with pytest.raises(ConnectionError):
        await files.store("a", broken())
    assert on_disk(tmp_path) == []
    await files.store("a", pieces(b"x"))  # and its place is free again


async def test_one_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    written = trio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        written.set()
        await trio.sleep_forever()

    files = await opened(tmp_path, data_upload_limit_count=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(files.store, "a", endless())
        await written.wait()
        with pytest.raises(CapacityError):
            await files.store("b", pieces(b"x"))
        assert await files.list() == []
        nursery.cancel_scope.cancel()
    assert on_disk(tmp_path) == []


async def test_what_a_crash_left_is_removed_and_the_rest_stays(tmp_path: Path) -> None:
    path = await (await opened(tmp_path)).store("a", pieces(b"x"))
    (tmp_path / "data" / ".coming" / "half").write_bytes(b"x")
    files = await opened(tmp_path)
    assert await files.list() == [path]
    assert on_disk(tmp_path) == [Path(path)]


async def test_all_of_them_together_are_bounded(tmp_path: Path) -> None:
    files = await opened(tmp_path, data_limit_bytes=3_000_000)
    with pytest.raises(TooLargeError):
        await files.store("a", pieces(b"x" * 1_500_000, b"x" * 1_500_001))
    with pytest.raises(TooLargeError):
        await files.store("a", pieces(), expected_bytes=3_000_001)
    path = await files.store("a", pieces(b"x" * 1_500_000))
    with pytest.raises(NoSpaceError):
        await files.store("b", pieces(b"x" * 1_500_001))
    await files.store("b", pieces(b"x" * 1_500_000))
    with pytest.raises(NoSpaceError):
        await files.store("c", pieces(b"x"))
    await files.delete(path)
    await files.store("c", pieces(b"x"))


async def test_those_that_come_together_share_the_room(tmp_path: Path) -> None:
    files = await opened(tmp_path, data_limit_bytes=3_000_000)
    first_is_there = trio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        first_is_there.set()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(files.store, "a", slow())
        await first_is_there.wait()
        with pytest.raises(NoSpaceError):
            await files.store("b", pieces(b"x" * 1_000_001))
        await files.store("b", pieces(b"x" * 1_000_000))
        nursery.cancel_scope.cancel()


async def test_their_number_is_bounded(tmp_path: Path) -> None:
    files = await opened(tmp_path, data_limit_count=2)
    paths = [await files.store("a", pieces()) for _ in range(2)]
    with pytest.raises(NoSpaceError, match="2 data files"):
        await files.store("a", pieces())
    await files.delete(paths[0])
    await files.store("a", pieces())


async def test_the_disk_is_not_filled(tmp_path: Path) -> None:
    files = await opened(tmp_path, blob_reserve_bytes=1 << 60)
    with pytest.raises(NoSpaceError):
        await files.store("a", pieces(b"x"))
    assert on_disk(tmp_path) == []
