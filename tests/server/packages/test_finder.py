"""Packages by name and by URI: what they are, by their names or by what is in them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import trio

from jobdeck_server.core.errors import PackageError, TooLargeError, UnknownBinaryError
from jobdeck_server.core.fetching import SCHEMES, Fetcher
from jobdeck_server.core.outbound.errors import FailedError, RefusedError, SchemeError
from jobdeck_server.core.packagefinder import PackageFinder
from tests.server.outbound.receivers import door_of
from tests.server.packages.jobsbench import jobsbench
from tests.server.packages.kit import egg, wheel


def zipped(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, "x")


async def test_what_is_fetched_is_what_it_is_called_or_what_is_in_it(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    wheel(files / "one", {"a.py": ""})
    egg(files / "two", {"a.py": ""})
    zipped(files / "three", "META-INF/MANIFEST.MF", "a.class")
    zipped(files / "four", "a.py")
    zipped(files / "five", "META-INF/MANIFEST.MF", "dep-1.0.dist-info/WHEEL")
    (files / "six").write_bytes(b"PK\3\4 no zip")
    (files / "seven.JAR").write_bytes(b"by its name alone")
    async with jobsbench(tmp_path, fetch_folders=(str(files),), package_limit_count=7) as own:
        fetcher = Fetcher(own.settings, blobs=own.blobs, door=door_of(own.settings, None, schemes=SCHEMES))
        finder = PackageFinder(own.settings, binaries=own.binaries, fetcher=fetcher, blobs=own.blobs)
        async with trio.open_nursery() as nursery:
            await nursery.start(fetcher.run)
            names = ["jobs", *(f"file://{files}/{name}" for name in ("one", "two", "three", "five", "seven.JAR"))]
            named = await finder.named(names)
            assert [each.shown for each in named] == names
            found = await finder.had(named)
            assert [(each.name, each.kind) for each in found] == [
                *(("jobs", "wheel"), ("one", "wheel"), ("two", "egg")),
                *(("three", "jar"), ("five", "wheel"), ("seven.JAR", "jar")),
            ]
            for name, text in (("four", "neither a wheel nor an egg nor a jar"), ("six", "is no package")):
                with pytest.raises(PackageError, match=text):
                    await finder.had(await finder.named([f"local://{files}/{name}"]))
            with pytest.raises(FailedError):
                await finder.had(await finder.named([f"file://{files}/none.whl"]))
            nursery.cancel_scope.cancel()


async def test_names_come_first_and_nothing_is_fetched_for_a_wrong_one(tmp_path: Path) -> None:
    async with jobsbench(tmp_path, package_limit_count=2) as own:
        fetcher = Fetcher(own.settings, blobs=own.blobs, door=door_of(own.settings, None, schemes=SCHEMES))
        finder = PackageFinder(own.settings, binaries=own.binaries, fetcher=fetcher, blobs=own.blobs)
        await own.upload("org:app", b"PK\3\4 with a colon in its name")
        (named,) = await finder.named(["org:app"])
        assert named.package is not None
        for name, kind in (
            ("gone", UnknownBinaryError),
            ("../../etc/passwd", UnknownBinaryError),
            ("", UnknownBinaryError),
            ("org:other", SchemeError),
            ("gopher://127.0.0.1/x", SchemeError),
            ("file:///etc/passwd", RefusedError),
            ("http://user:secret@127.0.0.1/x.whl", RefusedError),
        ):
            with pytest.raises(kind) as caught:
                await finder.named([name])
            assert "secret" not in str(caught.value)
        with pytest.raises(TooLargeError):
            await finder.named(["jobs"] * 3)
        assert fetcher.transfer_count == 0
