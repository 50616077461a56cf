"""Artifacts whose files come straight from the store, and how bytes are copied."""

from __future__ import annotations

import errno
import hashlib
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from jobdeck_server.core.artifacts import archive_bytes
from jobdeck_server.core.blobtypes import BlobFile, Entry
from jobdeck_server.core.bundles import copying
from jobdeck_server.core.bundles.errors import StoppedError, UnpackError
from jobdeck_server.core.bundles.limits import UnpackLimits
from jobdeck_server.core.bundles.unpack import Unpacked, never, unpack_tree
from tests.server.bundles.zips import held, memory

LIMITS = UnpackLimits()
LARGE = bytes(range(256)) * 4096 * 5  # 5 MiB


class Store:
    """Files in memory by their hash."""

    def __init__(self, **contents: bytes) -> None:
        self._by_hash = {hashlib.sha1(data).hexdigest(): data for data in contents.values()}
        self.entries = [
            Entry(path=path.replace("__", "/"), content_hash=hashlib.sha1(data).hexdigest(), size_bytes=len(data))
            for path, data in contents.items()
        ]

    def read(self, content_hash: str) -> BlobFile:
        data = self._by_hash[content_hash]
        return BlobFile(memory(data), content_hash, len(data))


def test_files_come_as_they_are(tmp_path: Path) -> None:
    store = Store(executor_config=b"{}", d__large=LARGE, d__e__empty=b"")
    assert unpack_tree(store.entries, store.read, tmp_path, LIMITS) == Unpacked(
        file_count=3, total_bytes=len(LARGE) + 2
    )
    assert held(tmp_path).files == {
        "executor_config": (b"{}", 0o644),
        "d/large": (LARGE, 0o644),
        "d/e/empty": (b"", 0o644),
    }


def test_an_artifact_within_it_is_a_zip(tmp_path: Path) -> None:
    store = Store(a=b"1", large=LARGE)
    inner = Entry(
        path="d/inner.zip", content_hash="", size_bytes=archive_bytes(store.entries), entries=tuple(store.entries)
    )
    unpack_tree([*store.entries, inner], store.read, tmp_path, LIMITS)
    with zipfile.ZipFile(tmp_path / "d/inner.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"a": b"1", "large": LARGE}
    assert (tmp_path / "d/inner.zip").stat().st_size == inner.size_bytes


@pytest.mark.parametrize(
    "paths",
    [
        *(["../a"], ["/a"], ["a\\b"], ["C:a"], ["a\0"], ["a/"], [""], ["a//b"], ["./a"], ["a\ud800"], ["x" * 256]),
        *(["a", "A"], ["a", "a/b"], ["a/b", "a"], ["d/a", "D/b"], ["\u00e9", "e\u0301"], ["ok", "../a"]),
    ],
)
def test_names_are_checked_before_anything_is_written(tmp_path: Path, paths: list[str]) -> None:
    def read(content_hash: str) -> BlobFile:
        raise AssertionError(content_hash)

    entries = [Entry(path=path, content_hash="0" * 40, size_bytes=1) for path in paths]
    with pytest.raises(UnpackError):
        unpack_tree(entries, read, tmp_path, LIMITS)
    assert list(tmp_path.iterdir()) == []


def test_limits(tmp_path: Path) -> None:
    store = Store(a=b"12345", b=b"67890")
    unpack_tree(store.entries, store.read, tmp_path, UnpackLimits(entry_count=2, total_bytes=10, ratio=0))
    for limits in (UnpackLimits(entry_count=1), UnpackLimits(total_bytes=9)):
        with pytest.raises(UnpackError):
            unpack_tree(store.entries, store.read, tmp_path, limits)


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    store = Store(a=b"new")
    (tmp_path / "outside").write_text("canary")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").symlink_to(tmp_path / "outside")
    with pytest.raises(UnpackError, match="already"):
        unpack_tree(store.entries, store.read, tmp_path / "in", LIMITS)
    assert (tmp_path / "outside").read_text() == "canary"


def test_content_that_is_not_as_long_as_its_record_says(tmp_path: Path) -> None:
    store = Store(a=b"new")
    wrong = Entry(path="a", content_hash=store.entries[0].content_hash, size_bytes=4)
    with pytest.raises(UnpackError, match="not as long"):
        unpack_tree([wrong], store.read, tmp_path, LIMITS)


def test_a_stop_ends_it(tmp_path: Path) -> None:
    store = Store(a=LARGE)
    asked = iter(range(100))
    with pytest.raises(StoppedError):
        unpack_tree(store.entries, store.read, tmp_path, LIMITS, lambda: next(asked) >= 3)
    assert 0 < (tmp_path / "a").stat().st_size < len(LARGE)


# -- copying --


def cannot(number: int) -> Callable[..., int]:
    def call(*_args: object, **_named: object) -> int:
        raise OSError(number, "cannot")

    return call


def nothing(*_args: object, **_named: object) -> int:
    return 0


@pytest.mark.parametrize("offset", [0, 1, 70_000])
@pytest.mark.parametrize(
    "missing",
    [
        {},
        {"copy_file_range": cannot(errno.EXDEV)},
        {"copy_file_range": nothing},
        {"copy_file_range": cannot(errno.ENOSYS), "sendfile": cannot(errno.EINVAL)},
        {"copy_file_range": nothing, "sendfile": nothing},
    ],
)
def test_every_way_of_copying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: int, missing: dict[str, Callable[..., int]]
) -> None:
    for name, instead in missing.items():
        monkeypatch.setattr(os, name, instead)
    (tmp_path / "in").write_bytes(LARGE)
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb", buffering=0) as target:
        target.write(b"before")
        copying.copy(source.fileno(), target.fileno(), offset, 3_000_000, never)
    assert (tmp_path / "out").read_bytes() == b"before" + LARGE[offset : offset + 3_000_000]


def test_a_source_that_shrank_and_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").write_bytes(b"short")
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as target:
        with pytest.raises(UnpackError, match="ends too early"):
            copying.copy(source.fileno(), target.fileno(), 0, 6, never)
        monkeypatch.setattr(os, "copy_file_range", cannot(errno.ENOSPC))
        with pytest.raises(OSError, match="cannot"):
            copying.copy(source.fileno(), target.fileno(), 0, 5, never)
