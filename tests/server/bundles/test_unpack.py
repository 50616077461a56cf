"""Zips that are unpacked: by whom they were made, what is kept of them, large ones, stops, mutations."""

from __future__ import annotations

import io
import os
import random
import shutil
import stat
import struct
import subprocess
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_server.core.artifacts import pieces
from jobdeck_server.core.blobtypes import BlobFile, Entry, Extent
from jobdeck_server.core.bundles.errors import StoppedError, UnpackError
from jobdeck_server.core.bundles.limits import UnpackLimits
from jobdeck_server.core.bundles.unpack import Unpacked, unpack
from tests.server.bundles.zips import DEFLATED, End, Item, build, finish, held, local, memory

LIMITS = UnpackLimits()


@contextmanager
def opened(data: bytes) -> Iterator[int]:
    fd = memory(data)
    try:
        yield fd
    finally:
        os.close(fd)


def unpacked(data: bytes, folder: Path, limits: UnpackLimits = LIMITS) -> Unpacked:
    with opened(data) as fd:
        return unpack(fd, folder, limits)


def contents(folder: Path) -> dict[str, bytes]:
    return {path: data for path, (data, _) in held(folder).files.items()}


def test_the_walkthroughs_bundle(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("executor_config.json", '{"cmd": "echo"}\n')
        archive.writestr("src/a.txt", "a" * 100_000)
        archive.writestr("src/deep/b.txt", b"")
        archive.mkdir("empty")
    assert unpacked(packed.getvalue(), tmp_path) == Unpacked(file_count=3, total_bytes=100_016)
    assert contents(tmp_path) == {
        "executor_config.json": b'{"cmd": "echo"}\n',
        "src/a.txt": b"a" * 100_000,
        "src/deep/b.txt": b"",
    }
    assert held(tmp_path).folders == {"src", "src/deep", "empty"}


def test_an_empty_zip_is_one(tmp_path: Path) -> None:
    assert unpacked(build([]), tmp_path) == Unpacked(file_count=0, total_bytes=0)


def test_an_open_file_will_do(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(build([Item(name="a", data=b"1")]))
    (tmp_path / "out").mkdir()
    with path.open("rb") as file:
        file.read()
        assert unpack(file, tmp_path / "out", LIMITS).file_count == 1


@pytest.mark.parametrize("force_zip64", [False, True])
def test_streamed_zips_with_descriptors(tmp_path: Path, force_zip64: bool) -> None:
    class Pipe(io.RawIOBase):
        """Cannot seek, as a socket."""

        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += memoryview(data).tobytes()  # type: ignore[arg-type]  # the base class names no type
            return memoryview(data).nbytes  # type: ignore[arg-type]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            with archive.open(f"f{number}", "w", force_zip64=force_zip64) as file:
                file.write(bytes(range(256)) * 1000 * number)
    unpacked(bytes(pipe.data), tmp_path)
    assert contents(tmp_path) == {f"f{number}": bytes(range(256)) * 1000 * number for number in range(3)}


def test_the_stores_own_zips(tmp_path: Path) -> None:
    def read(content_hash: str) -> BlobFile:
        return BlobFile(memory(content_hash.encode() * 100_000), content_hash, 100_000 * len(content_hash))

    entries = [Entry(path=path, content_hash=path[-1], size_bytes=100_000) for path in ("a", "d/b", "d/é/c")]
    made = b""
    for piece in pieces(entries, read):
        made += os.pread(piece.fd, piece.length, piece.offset) if isinstance(piece, Extent) else piece
    unpacked(made, tmp_path)
    assert contents(tmp_path) == {path: path[-1].encode() * 100_000 for path in ("a", "d/b", "d/é/c")}


@pytest.mark.skipif(shutil.which("zip") is None, reason="no zip program")
def test_the_zip_programs_zips(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    (source / "dir/ü").mkdir(parents=True)
    target.mkdir()
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o4775)
    (source / "dir/ü/data").write_bytes(os.urandom(1000) * 300)
    (source / "dir/private").write_bytes(b"")
    (source / "dir/private").chmod(0o600)
    subprocess.run(["zip", "-qr", tmp_path / "a.zip", "."], cwd=source, check=True)
    unpacked((tmp_path / "a.zip").read_bytes(), target)
    assert contents(target) == contents(source)
    modes = {path: mode for path, (_, mode) in held(target).files.items()}
    assert modes == {"run.sh": 0o755, "dir/ü/data": 0o644, "dir/private": 0o644}


def test_modes(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        items = [
            Item(name=f"d/{mode:o}", mode=mode) for mode in (0, 0xFFFF, 0o644, 0o100644, 0o100700, 0o106777, 0o100011)
        ]
        unpacked(build([*items, Item(name="e/", mode=0o040777), Item(name="f/", mode=0xFFFF)]), tmp_path)
    finally:
        os.umask(before)
    modes = {path: mode for path, (_, mode) in held(tmp_path).files.items()}
    assert modes == {
        **dict.fromkeys(["d/0", "d/177777", "d/644", "d/100644", "d/100011"], 0o644),
        **dict.fromkeys(["d/100700", "d/106777"], 0o755),
    }
    assert {stat.S_IMODE((tmp_path / each).stat().st_mode) for each in "def"} == {0o755}


def unicode_extra(raw: bytes, name: str) -> bytes:
    told = struct.pack("<BL", 1, zlib.crc32(raw)) + name.encode()
    return struct.pack("<2H", 0x7075, len(told)) + told


def test_names_in_every_writing(tmp_path: Path) -> None:
    items = [
        Item(name="flagged-ä"),
        Item(name="not-flagged-ö".encode(), flags=0),
        Item(name="dos-ü".encode("cp437"), flags=0),
        Item(name="extra-é".encode("cp850"), flags=0, extra=unicode_extra("extra-é".encode("cp850"), "extra-é")),
        Item(name=b"other", flags=0, extra=unicode_extra(b"not the name", "elsewhere")),
        Item(name="日本/語 😀 -'\"*?<>|:;&$(x)"),
        Item(name=".hidden/..a/...b"),
        Item(name="x" * 255 + "/" + "y" * 255),
    ]
    unpacked(build(items), tmp_path)
    assert set(contents(tmp_path)) == {
        *("flagged-ä", "not-flagged-ö", "dos-ü", "extra-é", "other", "日本/語 😀 -'\"*?<>|:;&$(x)"),
        *(".hidden/..a/...b", "x" * 255 + "/" + "y" * 255),
    }


def test_folders_may_come_again_and_late(tmp_path: Path) -> None:
    items = [Item(name="a/b/c"), Item(name="a/"), Item(name="a/b/"), Item(name="a/b/"), Item(name="a/d")]
    assert unpacked(build(items), tmp_path).file_count == 2


def test_a_comment_and_zip64_records(tmp_path: Path) -> None:
    item = Item(name="a", data=b"hello")
    for number, end in enumerate(
        (
            End(comment=b"PK\5\6 a comment"),
            End(comment=b"x" * 65535),
            End(zip64=True),
            End(zip64=True, comment=b"c"),
            End(zip64=True, short=(1, 0xFFFFFFFF, 36)),
        )
    ):
        (tmp_path / str(number)).mkdir()
        assert unpacked(build([item], end), tmp_path / str(number)).total_bytes == 5


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text("abcä日 .-", min_size=1, max_size=6).filter(lambda name: name not in (".", "..")),
        st.binary(max_size=300).map(lambda data: data * 300),
        max_size=6,
    ),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_what_python_packs_is_unpacked(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], method: int
) -> None:
    folder = tmp_path_factory.mktemp("out")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for number, (name, data) in enumerate(files.items()):
            archive.writestr(f"{number}/{name}", data)
    unpacked(packed.getvalue(), folder)
    assert contents(folder) == {f"{number}/{name}": data for number, (name, data) in enumerate(files.items())}


# -- large, stopped, broken --


def sparse_zip(path: Path, size_bytes: int, crc: int) -> None:
    """A stored file of zeros that takes no room on the disk."""
    item = Item(name="zeros", size=size_bytes, packed_size=size_bytes, crc=crc)
    head = local(item)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + size_bytes)
        file.seek(0, 2)
        list_ = build([item])[len(head) :][: 46 + 5]
        file.write(list_ + finish(len(head) + size_bytes, list_, 1, End()))


def test_large_files_take_no_memory(tmp_path: Path) -> None:
    size_bytes = 200 * 1024 * 1024
    crc = 0
    for _ in range(200):
        crc = zlib.crc32(bytes(1024 * 1024), crc)
    sparse_zip(tmp_path / "a.zip", size_bytes, crc)
    (tmp_path / "out").mkdir()
    tracemalloc.start()
    try:
        with (tmp_path / "a.zip").open("rb") as file:
            assert unpack(file, tmp_path / "out", LIMITS).total_bytes == size_bytes
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert (tmp_path / "out/zeros").stat().st_size == size_bytes
    (tmp_path / "out/zeros").unlink()


def test_a_large_inflated_file_takes_no_memory(tmp_path: Path) -> None:
    data = bytes(40 * 1024 * 1024)
    packed = build([Item(name="a", data=data, method=DEFLATED)])
    tracemalloc.start()
    try:
        unpacked(packed, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [0, DEFLATED])
def test_a_stop_ends_it_within_a_mebibyte_or_two(tmp_path: Path, method: int) -> None:
    data = build([Item(name="a", data=bytes(20 * 1024 * 1024), method=method)])
    asked = iter(range(10**6))
    with opened(data) as fd, pytest.raises(StoppedError):
        unpack(fd, tmp_path, LIMITS, lambda: next(asked) >= 5)
    assert (tmp_path / "a").stat().st_size <= 8 * 1024 * 1024


def test_a_stop_ends_what_inflates_to_nothing(tmp_path: Path) -> None:
    data = build([Item(name="a", packed=b"\0\0\0\xff\xff" * (1024 * 1024), method=DEFLATED)])
    asked = iter(range(10**6))
    with opened(data) as fd, pytest.raises(StoppedError):
        unpack(fd, tmp_path, LIMITS, lambda: next(asked) >= 5)


def test_a_stop_before_the_first_byte(tmp_path: Path) -> None:
    with opened(build([Item(name="a")])) as fd, pytest.raises(StoppedError):
        unpack(fd, tmp_path, LIMITS, lambda: True)
    assert list(tmp_path.iterdir()) == []


GOOD = [
    Item(name="executor_config.json", data=b'{"cmd": "true"}', method=DEFLATED),
    Item(name="d/", mode=0o040755),
    Item(name="d/data", data=bytes(range(256)) * 40),
    Item(name="d/more", data=b"text " * 500, method=DEFLATED, mode=0o100755),
]


def test_every_changed_byte_is_seen_or_harmless(tmp_path: Path) -> None:
    """Some hundred mutations: a refusal in a sentence, or a folder that holds nothing strange."""
    chance = random.Random(7)
    whole = build(GOOD)
    told = []
    for number in range(400):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 8))):
            data[chance.randrange(len(data))] = chance.choice(
                (0, 1, 0x2E, 0x2F, 0x5C, 0x80, 0xFF, chance.randrange(256))
            )
        if chance.random() < 0.2:
            del data[chance.randrange(len(data)) :]
        folder = tmp_path / f"{number}/in"
        folder.mkdir(parents=True)
        try:
            unpacked(bytes(data), folder)
        except UnpackError as error:
            told.append(str(error))
        found = held(folder.parent)
        assert not found.others
        assert sum(len(data) for data, _ in found.files.values()) < 100_000
        assert all(path.startswith("in/") for path in found.files)
        shutil.rmtree(folder.parent)
    assert len(told) > 200
    assert max(map(len, told)) < 300


def test_every_cut_is_seen(tmp_path: Path) -> None:
    whole = build([replace(item, data=item.data[:300]) for item in GOOD])
    for length in range(len(whole)):
        with pytest.raises(UnpackError):
            unpacked(whole[:length], tmp_path)
    assert list(tmp_path.iterdir()) == []
