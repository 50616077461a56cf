"""Zips of artifacts: read back by Python and by other programs, beyond 4 GiB, with names of every kind."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_server.core import artifacts
from jobdeck_server.core.artifacts import archive_bytes, pieces, zip_name
from jobdeck_server.core.blobs import BlobFile, Entry, Extent
from jobdeck_server.core.errors import MissingContentError

Reader = Callable[[str], BlobFile]


def memory(*contents: bytes) -> tuple[Reader, list[str]]:
    """Files that are only in memory, and their hashes."""
    by_hash = {hashlib.sha1(content).hexdigest(): content for content in contents}

    def read(content_hash: str) -> BlobFile:
        fd = os.memfd_create(content_hash)
        os.write(fd, by_hash[content_hash])
        return BlobFile(fd, content_hash, len(by_hash[content_hash]))

    return read, [hashlib.sha1(content).hexdigest() for content in contents]


def joined(made: Iterable[bytes | Extent]) -> bytes:
    return b"".join(
        piece if isinstance(piece, bytes) else os.pread(piece.fd, piece.length, piece.offset) for piece in made
    )


def zipped(files: list[tuple[str, bytes]]) -> bytes:
    read, hashes = memory(*(content for _, content in files))
    entries = [
        Entry(path=path, content_hash=each, size_bytes=len(content))
        for (path, content), each in zip(files, hashes, strict=True)
    ]
    data = joined(pieces(entries, read))
    assert len(data) == archive_bytes(entries)
    return data


def test_nothing_is_an_empty_zip_of_22_bytes() -> None:
    data = zipped([])
    assert len(data) == 22
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == []


SIZES = st.sampled_from((0, 1, 13, 65536, 65537, 300_000))


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), SIZES, max_size=8))
def test_python_reads_back_what_was_put_in(sizes: dict[str, int]) -> None:
    files = [(path, os.urandom(1) * size) for path, size in sizes.items()]
    with zipfile.ZipFile(io.BytesIO(zipped(files))) as archive:
        assert archive.testzip() is None
        found = archive.infolist()
        assert [(each.filename, archive.read(each)) for each in found] == [
            (zip_name(path).decode(), content) for path, content in reversed(files)
        ]
        for each in found:
            assert (each.compress_type, each.flag_bits, each.create_version) == (0, 8 | 0x800, 20)
            assert (each.create_system, each.external_attr >> 16) == (3, 0o100644)


@pytest.mark.skipif(shutil.which("unzip") is None, reason="there is no unzip here")
def test_unzip_takes_it(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped([("b/ä.txt", b"x" * 70_000), ("a", b""), ("b/c", b"c")]))
    subprocess.run(["unzip", "-q", "a.zip"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / "b" / "ä.txt").stat().st_size == 70_000


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("a/../../b", "a/b"),
        ("..\\..\\b", "b"),
        ("C:\\x\\y", "x/y"),
        ("c:..\\y", "y"),
        ("./a//b/", "a/b"),
        ("..", "_"),
        ("", "_"),
        ("a\0b", "a_b"),
        ("\ud800", "?"),
        ("a..b/...", "a..b/..."),
    ],
)
def test_names_do_not_lead_out_of_the_folder(path: str, name: str) -> None:
    assert zip_name(path) == name.encode()
    assert len(zip_name("ä" * 60_000)) == 65534


def test_an_artifact_within_an_artifact_is_a_zip_within_the_zip() -> None:
    read, (small, large) = memory(b"x" * 10, b"y" * 100_000)
    inner = (
        Entry(path="s", content_hash=small, size_bytes=10),
        Entry(path="l", content_hash=large, size_bytes=100_000),
    )
    outer = (Entry(path="in.zip", content_hash="", size_bytes=archive_bytes(inner), entries=inner), *inner)
    data = joined(pieces(outer, read))
    assert len(data) == archive_bytes(outer)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["l", "s", "in.zip"]
        with zipfile.ZipFile(io.BytesIO(archive.read("in.zip"))) as within:
            assert within.testzip() is None
            assert within.read("l") == b"y" * 100_000


def test_what_is_gone_or_shorter_ends_it() -> None:
    read, (small, large) = memory(b"x" * 10, b"y" * 100_000)
    for entry in (
        Entry(path="a", content_hash=small, size_bytes=11),
        Entry(path="a", content_hash=large, size_bytes=99_999),
    ):
        with pytest.raises(MissingContentError):
            joined(pieces([entry], read))


def test_a_reader_that_stops_leaves_no_file_open() -> None:
    read, (large,) = memory(b"y" * 100_000)
    made = pieces([Entry(path="a", content_hash=large, size_bytes=100_000)], read)
    assert isinstance(next(made), bytes)
    extent = next(made)
    assert isinstance(extent, Extent)
    made.close()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(extent.fd)


def test_many_small_files_leave_in_few_pieces() -> None:
    read, hashes = memory(b"same")
    entries = [Entry(path=f"f{n}", content_hash=hashes[0], size_bytes=4) for n in range(5000)]
    made = list(pieces(entries, read))
    assert len(made) < 8
    assert len(zipfile.ZipFile(io.BytesIO(joined(made))).namelist()) == 5000


# -- zip64 --


@pytest.mark.parametrize("limit_bytes", [300, 1000, 70_000])
def test_beyond_the_limits_numbers_have_64_bits(monkeypatch: pytest.MonkeyPatch, limit_bytes: int) -> None:
    """With small limits in the places of 4 GiB and 65,535, each zip64 field is used; Python's reader knows the true
    limits, so the fields that say "look in the extra field" are set to those before it reads."""
    monkeypatch.setattr(artifacts, "LIMIT_BYTES", limit_bytes)
    files = [("a", b"a" * 1500), ("b", b"b" * 10), ("c", b"c" * 90_000), ("d", b"d")]
    data = zipped(files)
    found = _directory(data, limit_bytes)
    assert [(name, size) for name, size, *_ in found] == [(n, len(c)) for n, c in reversed(files)]
    for name, size, offset, crc in found:
        content = dict(files)[name]
        large = size >= limit_bytes
        version, flags = struct.unpack_from("<4x2H", data, offset)
        name_length, extra_length = struct.unpack_from("<26x2H", data, offset)
        assert (version, flags, extra_length) == (45 if large else 20, 0x808, 20 if large else 0)
        start = offset + 30 + name_length + extra_length
        assert data[start : start + size] == content
        assert crc == zlib.crc32(content)
        form = "<4sL2Q" if large else "<4s3L"
        assert struct.unpack_from(form, data, start + size) == (b"PK\7\x08", crc, size, size)


def _directory(data: bytes, limit_bytes: int) -> list[tuple[str, int, int, int]]:
    """Name, size, offset and checksum of each entry, read by the letter of the specification."""
    end = data.rindex(b"PK\5\6")
    count, size, start = struct.unpack_from("<10xH2L", data, end)
    if start >= limit_bytes or size >= limit_bytes:
        magic, at, disks = struct.unpack_from("<4s4xQL", data, end - 20)
        assert (magic, disks) == (b"PK\6\7", 1)
        magic, length, version, count, total, size, start = struct.unpack_from("<4sQ2xH8x4Q", data, at)
        assert (magic, length, version, count) == (b"PK\6\6", 44, 45, total)
        assert at == start + size == end - 20 - 56
    found = []
    at = start
    for _ in range(count):
        crc, size, also = struct.unpack_from("<16x3L", data, at)
        assert size == also
        name_length, extra_length, offset = struct.unpack_from("<28x2H10xL", data, at)
        name = data[at + 46 : at + 46 + name_length].decode()
        extra = data[at + 46 + name_length : at + 46 + name_length + extra_length]
        if extra:
            kind, length = struct.unpack_from("<2H", extra)
            assert (kind, length) == (1, extra_length - 4)
            numbers = list(struct.unpack(f"<{length // 8}Q", extra[4:]))
            if size == limit_bytes:
                size, also = numbers.pop(0), numbers.pop(0)
                assert size == also
            if offset == limit_bytes:
                offset = numbers.pop(0)
            assert not numbers
        found.append((name, size, offset, crc))
        at += 46 + name_length + extra_length
    assert at == end or data[at : at + 4] == b"PK\6\6"
    return found


@pytest.mark.parametrize("count", [49, 50, 51])
def test_too_many_files_for_a_small_count(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(artifacts, "LIMIT_COUNT", 50)
    data = zipped([(str(n), b"%d" % n) for n in range(count)])
    assert (b"PK\6\6" in data) == (count >= 50)
    assert struct.unpack_from("<10xH", data, data.rindex(b"PK\5\6")) == (min(count, 50),)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == count


def test_a_file_of_5_gib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A true one, with holes; only reading it for its checksum is left out, and told to Python afterwards."""
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.write(b"start")
        file.truncate(5 << 30)
    monkeypatch.setattr(artifacts, "_checksum", lambda *_: 0x12345678)
    small = tmp_path / "small"
    small.write_bytes(b"behind it")

    def read(content_hash: str) -> BlobFile:
        path = large if content_hash == "large" else small
        return BlobFile(os.open(path, os.O_RDONLY), content_hash, path.stat().st_size)

    entries = [
        Entry(path="small", content_hash="small", size_bytes=9),
        Entry(path="large", content_hash="large", size_bytes=5 << 30),
    ]
    made = tmp_path / "made.zip"
    with made.open("wb") as target:
        for piece in pieces(entries, read):
            if isinstance(piece, bytes):
                target.write(piece)
            else:
                assert piece.length <= 8 << 20
                target.seek(piece.length, os.SEEK_CUR)
    assert made.stat().st_size == archive_bytes(entries) > 5 << 30
    with zipfile.ZipFile(made) as archive:
        assert [(each.filename, each.file_size) for each in archive.infolist()] == [("large", 5 << 30), ("small", 9)]
        assert archive.infolist()[0].CRC == 0x12345678
        assert archive.infolist()[1].header_offset > 5 << 30
        assert archive.read("small") == b"behind it"
