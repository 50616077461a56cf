"""Interpreters of contexts: who may have which; environments made of real wheels by real programs."""

from __future__ import annotations

import io
import os
import sys
import sysconfig
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import trio

from jobdeck_server.core.binaries import Binaries
from jobdeck_server.core.errors import (
    BadRequestError,
    ContextInitError,
    NoSpaceError,
    TooLargeError,
    UnknownBinaryError,
)
from jobdeck_server.core.packagefinder import PackageFinder
from jobdeck_server.core.venvs import Venvs
from tests.server.core.blobbench import blobbench
from tests.server.core.harness import until

TAG = "py3-none-any"


def wheel(
    name: str, files: Mapping[str, str | bytes], *, tags: tuple[str, ...] = (TAG,), scripts: str = "", info: str = ""
) -> bytes:
    """A wheel as builders make them, but for the sums in its RECORD."""
    info = info or f"{name}-1.0.dist-info"
    told = "".join(f"Tag: {tag}\n" for tag in tags)
    parts: dict[str, str | bytes] = {
        **files,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n{told}",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/entry_points.txt": scripts,
    }
    parts[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*parts, f"{info}/RECORD"))
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in parts.items():
            archive.writestr(path, content)
    return data.getvalue()


@dataclass
class Bench:
    venvs: Venvs
    binaries: Binaries
    folder: Path

    async def send(self, name: str, data: bytes, kind: str = "wheel") -> None:
        async with self.binaries.upload(name, kind) as upload:
            await upload.write(data)
            await upload.commit()

    async def python(self, user: str, *packages: str) -> str:
        return await self.venvs.python({"python": {"virtualenv": True, "packages": list(packages)}}, user=user)

    def environments(self) -> list[str]:
        return os.listdir(self.folder / "venvs")


@asynccontextmanager
async def bench(folder: Path, **changes: Any) -> AsyncIterator[Bench]:
    async with blobbench(folder, data_dir=folder, **changes) as b:
        binaries = Binaries(b.blobs.settings, store=b.store, events=b.events, blobs=b.blobs)
        venvs = Venvs(b.blobs.settings, blobs=b.blobs)
        venvs.finder = PackageFinder(b.blobs.settings, binaries=binaries, fetcher=None, blobs=b.blobs)
        await venvs.load()
        yield Bench(venvs, binaries, folder)


async def said(python: str, program: str) -> str:
    done = await trio.run_process([python, "-I", "-c", program], capture_stdout=True)
    return done.stdout.decode().strip()


# -- which interpreter --


async def test_interpreters_are_those_that_the_operator_allows(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.symlink_to(sys.executable)
    async with bench(tmp_path, context_pythons=(str(other), "python-that-is-not-there")) as b:
        assert await b.venvs.python({}, user="a") == sys.executable
        assert await b.venvs.python({"python": {"executable": str(other)}}, user="a") == str(other)
        for bad, why in (("/bin/sh", "not among those"), ("python-that-is-not-there", "is not there")):
            with pytest.raises(ContextInitError, match=why):
                b.venvs.check({"python": {"executable": bad}})
        with pytest.raises(BadRequestError):
            b.venvs.check({"python": {"virtualenv": "perhaps"}})
        with pytest.raises(TooLargeError):
            b.venvs.check({"python": {"packages": [f"x{n}" for n in range(65)]}})
    async with bench(tmp_path, package_python="/usr/bin/of-the-operator") as b:
        assert await b.venvs.python({}, user="a") == "/usr/bin/of-the-operator"
        assert b.environments() == []


async def test_what_is_no_wheel_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    async with bench(tmp_path, venv_limit_bytes=100_000) as b:
        await b.send("jar", wheel("a", {}), "jar")
        await b.send("rubbish", b"PK\x03\x04 and so on")
        await b.send("bare", wheel("a", {}, info="a-1.0.egg-info"))
        await b.send("untagged", wheel("a", {}, tags=()))
        await b.send("climber", wheel("a", {}, tags=("../../py3-none-any",)))
        await b.send("big", wheel("a", {"a.txt": os.urandom(60_000).hex()}))
        half = os.urandom(30_000).hex()
        await b.send("half", wheel("a", {"a.txt": half}))
        await b.send("other", wheel("b", {"b.txt": half}))
        for names, why in (
            (["jar"], "jar is no wheel"),
            (["rubbish"], "rubbish is no wheel: "),
            (["bare"], "bare is no wheel: it must have one WHEEL file in it, and has 0"),
            (["untagged"], "does not say where it may be installed"),
            (["climber"], "does not say where it may be installed"),
            (["big"], "big is no wheel: "),
        ):
            with pytest.raises(ContextInitError, match=why):
                await b.python("u", *names)
        assert await b.venvs._wheels(["jar"], jars=True) == []  # of a context on Spark it is for others
        with pytest.raises(TooLargeError):
            await b.python("u", "half", "other")
        with pytest.raises(UnknownBinaryError):
            await b.python("u", "nothing")
        assert b.environments() == []


async def test_the_disk_is_not_filled(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.send("a", wheel("a", {}))
        b.venvs._settings = replace(b.venvs._settings, blob_reserve_bytes=1 << 62)
        with pytest.raises(NoSpaceError):
            await b.python("u", "a")
        assert b.environments() == []


async def test_what_was_not_finished_is_removed_and_what_was_is_known(tmp_path: Path) -> None:
    for name, ready in (("d1-aa", True), ("d2-bb", False)):
        (tmp_path / "venvs" / name / "users").mkdir(parents=True)
        (tmp_path / "venvs" / name / "users" / "u").touch()
        if ready:
            (tmp_path / "venvs" / name / "ready").touch()
    async with bench(tmp_path) as b:
        assert b.environments() == ["d1-aa"]
        assert await b.python("u") == str(tmp_path / "venvs/d1-aa/venv/bin/python")


async def test_environments_that_nobody_has_go_by_number_and_age(tmp_path: Path) -> None:
    for number in range(5):
        folder = tmp_path / "venvs" / f"d{number}-aa"
        (folder / "users").mkdir(parents=True)
        (folder / "ready").touch()
        if number == 0:
            (folder / "users" / "alive").touch()
        if number == 1:
            (folder / "users" / "dead").touch()
        os.utime(folder, (0, 1_000_000_000 + number) if number == 4 else None)
    async with bench(tmp_path, venv_unused_count=2) as b:
        b.venvs.in_use = lambda user: user == "alive"
        await b.venvs.sweep()
        left = b.environments()
        assert "d0-aa" in left  # in use
        assert "d1-aa" in left  # its user has gone just now
        assert "d4-aa" not in left  # too old
        assert len(left) == 3  # of the others, one too many
        assert not (tmp_path / "venvs/d1-aa/users/dead").exists()
        b.venvs.in_use = lambda _user: False
        await b.venvs.sweep()
        assert len(b.environments()) == 2


# -- environments --


@pytest.mark.slow
async def test_an_environment_has_what_its_wheels_bring_and_nothing_else(tmp_path: Path) -> None:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    (compiled,) = Path(sysconfig.get_path("stdlib"), "lib-dynload").glob(f"_heapq{suffix}")
    version = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    native = wheel(
        "native",
        {"native/__init__.py": "from native import _heapq", f"native/_heapq{suffix}": compiled.read_bytes()},
        tags=(f"{version}-{version}-{platform}",),
    )
    plain = wheel(
        "plain",
        {"plain.py": "def main(): print('hello')"},
        tags=("py2-none-any", TAG),
        scripts="[console_scripts]\nplain-hello = plain:main\n",
    )
    async with bench(tmp_path) as b:
        await b.send("native one", native)
        await b.send("plain", plain)
        found: list[str] = []

        async def ask(user: str) -> None:
            found.append(await b.python(user, "native one", "plain"))

        async with trio.open_nursery() as nursery:
            for user in ("u1", "u2", "u3"):
                nursery.start_soon(ask, user)
        assert len(set(found)) == len(b.environments()) == 1
        python = found[0]
        heap = "import native; h = [3, 1]; native._heapq.heapify(h); print(h[0], native._heapq.__file__)"
        assert (await said(python, heap)).startswith(f"1 {tmp_path}/venvs/")
        script = Path(python).with_name("plain-hello")
        assert (await trio.run_process([str(script)], capture_stdout=True)).stdout == b"hello\n"
        assert await said(python, "import importlib.util as u; print(u.find_spec('trio'))") == "None"
        assert not (Path(python).parents[2] / "wheels").exists()
        await b.send("plain", wheel("plain", {"plain.py": ""}))  # another one of this name
        assert await b.python("u1", "native one", "plain") == python
    async with bench(tmp_path) as b:
        assert await b.python("u2", "native one", "plain") == python


@pytest.mark.slow
async def test_what_pip_says_of_a_damaged_wheel_is_told_and_nothing_stays(tmp_path: Path) -> None:
    damaged = bytearray(wheel("a", {"a.txt": os.urandom(2000).hex()}))
    damaged[200] ^= 0xFF
    async with bench(tmp_path) as b:
        await b.send("damaged", bytes(damaged))
        await b.send("foreign", wheel("b", {}, tags=("cp27-cp27m-win32",)))
        for name, why in (("damaged", "damaged cannot be installed: "), ("foreign", "is not a supported wheel")):
            with pytest.raises(ContextInitError, match=why) as caught:
                await b.python("u", name)
            assert len(str(caught.value)) < 2100
            assert b.environments() == []


@pytest.mark.slow
async def test_an_environment_that_takes_too_long_or_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    """The interpreter is one that starts a process of its own and waits."""
    slow = tmp_path / "slow"
    slow.write_text(
        f'#!/bin/sh\n[ "$2" = -c ] && exec {sys.executable} "$@"\nsleep 1000 & echo $$ $! >> {tmp_path}/pids\nwait\n'
    )
    slow.chmod(0o755)
    pids = tmp_path / "pids"

    def gone(pid: str) -> bool:
        return not Path("/proc", pid).exists() or "\nState:\tZ" in Path("/proc", pid, "status").read_text()

    async with bench(tmp_path, package_python=str(slow), venv_time_s=20.0) as b:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(b.python, "u")
            await until(lambda: pids.exists() and pids.read_text().endswith("\n"), 60)
            nursery.cancel_scope.cancel()
        await until(lambda: all(map(gone, pids.read_text().split())), 60)
        assert len(b.environments()) == 1
        await b.venvs.sweep()
        assert b.environments() == []
    async with bench(tmp_path, package_python=str(slow), venv_time_s=3.0) as b:
        with pytest.raises(ContextInitError, match="was not made within 3 s"):
            await b.python("u")
        await until(lambda: all(map(gone, pids.read_text().split())), 60)
