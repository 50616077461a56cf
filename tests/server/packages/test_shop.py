"""What is done before and after a job's interpreter: its folder, its outcome, its result, as liars leave them too."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from jobdeck_protocol.job import Job
from jobdeck_server.core import journal
from jobdeck_server.core.bundles.errors import StoppedError
from jobdeck_server.core.errors import MissingContentError
from jobdeck_server.core.packagerows import PackageResult
from jobdeck_server.engines.base import PACKAGES, Ended, Launch, Progressed, Report
from jobdeck_server.engines.workfiles import StatusError
from jobdeck_server.packages.outcome import FINISHED
from tests.server.packages.jobsbench import JobsBench, jobsbench
from tests.server.packages.kit import egg, wheel

EXIT = Ended(how="exit", code=0, started_us=1, finished_us=2)


def never() -> bool:
    return False


async def content(own: JobsBench, data: bytes) -> str:
    return (await own.result(data)).content


async def launch_of(own: JobsBench, **package: Any) -> Launch:
    """A job that was accepted; its packages are told as a test wants them."""
    job = await own.submit("a = 1")
    live = own.core.live(job.id)
    assert live is not None
    spec = json.loads(json.dumps(live.spec))
    spec["package"].update(package)
    return Launch(job_id=job.id, spec=spec, engine=PACKAGES, job=live.job)


def put(folder: Path, **files: Any) -> None:
    """What a job has left."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        (folder / (name if name == "result" else f"{name}.json")).write_bytes(data)


FINISHED_JSON = {"kind": "finished", "result": {"kind": "json", "bytes": 3}}
FINISHED_STREAM = {"kind": "finished", "result": {"kind": "stream", "bytes": 3}}


NAMES = [
    *(
        "../../../etc/x",
        "/etc/passwd",
        "a\nb",
        "..",
        ".",
        "",
        "\u00e4 \u4e16",
        "x" * 4000,
        "a.whl",
        "-rf",
        "a/..\\b.egg",
    ),
]


async def test_packages_are_put_under_names_of_ours(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    async with jobsbench(tmp_path / "data") as own:
        hashes = [
            await content(own, wheel(tmp_path / "a.whl", {"jobs/__init__.py": ""}).read_bytes()),
            await content(own, egg(tmp_path / "b.egg", {"dep.py": ""}).read_bytes()),
        ]
        launch = await launch_of(own)
        before = {path for path in tmp_path.rglob("*") if "work" not in path.parts}
        folder = tmp_path / "data" / "work" / launch.job_id
        for name in NAMES:
            launch.spec["package"]["packages"] = [
                {"name": name, "kind": "wheel", "content": hashes[0]},
                {"name": name, "kind": "egg", "content": hashes[1]},
            ]
            made = await own.shop.prepare(launch, cancelled=never)
            plan = json.loads((folder / "plan.json").read_bytes())
            paths = [Path(plan["package"]), *map(Path, plan["wheels"])]
            assert [path.suffix for path in paths] == [".whl", ".egg"]
            assert all(path.parent == folder / "brought" and len(path.name) < 120 for path in paths)
            assert all(path.name[1:].isascii() and path.is_file() for path in paths)
            assert all(path.stat().st_nlink == 2 for path in paths), "linked, and not copied"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert made.spec["steps"][0]["cwd"] == str(folder / "files")
        assert made.spec["steps"][0]["argv"][-1] == str(folder / "plan.json")
        assert set(made.steps[0].env_names) >= {"PATH", "HOME", "JOBDECK_JOB_ID"}
        assert {path for path in tmp_path.rglob("*") if "work" not in path.parts} == before
        await own.shop.clear(launch.job_id)
        assert not folder.exists()


async def test_what_an_earlier_try_has_left_is_gone(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        launch = await launch_of(own)
        folder = tmp_path / "work" / launch.job_id
        put(folder, outcome=FINISHED_JSON, result=b"[1]", validated={"ok": True})
        (folder / "packages").mkdir()
        (folder / "packages" / "old").symlink_to("/")
        (folder / "brought").symlink_to("/")
        await own.shop.prepare(launch, cancelled=never)
        assert sorted(path.name for path in folder.iterdir()) == ["brought", "config.json", "files", "plan.json"]
        assert (folder / "config.json").read_bytes() == b'{"a":1}'
        assert await own.shop.kept() == [launch.job_id]


async def test_a_package_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        broken = {"name": "a\x1b[2J", "kind": "wheel", "content": await content(own, b"PK\3\4 and no more")}
        with pytest.raises(StatusError, match=r"The package 'a\\x1b\[2J' cannot be used: ") as caught:
            await own.shop.prepare(await launch_of(own, packages=[broken]), cancelled=never)
        assert "\n" not in str(caught.value)
        gone = {"name": "gone", "kind": "wheel", "content": "0" * 40}
        with pytest.raises(MissingContentError):
            await own.shop.prepare(await launch_of(own, packages=[gone]), cancelled=never)
        with pytest.raises(StoppedError):
            await own.shop.prepare(await launch_of(own), cancelled=lambda: True)


async def test_where_nothing_can_be_linked_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", refuse)
    async with jobsbench(tmp_path) as own:
        launch = await launch_of(own)
        await own.shop.prepare(launch, cancelled=never)
        plan = json.loads((tmp_path / "work" / launch.job_id / "plan.json").read_bytes())
        assert Path(plan["package"]).read_bytes() == (tmp_path / "jobs.whl").read_bytes()


async def test_what_python_cannot_load_from_a_zip_is_unpacked(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        files: dict[str, str | bytes] = {
            "jobs/__init__.py": "",
            "jobs/fast.cpython-311-x86_64-linux-gnu.so": b"\x7fELF",
        }
        data = wheel(tmp_path / "native.whl", files, pure=False).read_bytes()
        package = {"name": "native", "kind": "wheel", "content": await content(own, data)}
        launch = await launch_of(own, packages=[package])
        await own.shop.prepare(launch, cancelled=never)
        plan = json.loads((tmp_path / "work" / launch.job_id / "plan.json").read_bytes())
        assert (Path(plan["package"]) / "jobs" / "fast.cpython-311-x86_64-linux-gnu.so").read_bytes() == b"\x7fELF"


# -- after --


async def collected(own: JobsBench, ended: Ended = EXIT, **files: Any) -> tuple[Ended, str]:
    """What the core hears of a job that has left these files."""
    job = await own.submit()
    put(own.folder / "work" / job.id, **files)
    return await own.shop.collect(job.id, ended, cancelled=never), job.id


async def test_a_result_is_kept_before_the_end_is_told(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        ended, job_id = await collected(own, outcome=FINISHED_JSON, result=b'{"a":2}')
        row = await own.ledger.find(job_id)
        assert row is not None
        assert row.outcome is not None
        assert row.outcome.kind == FINISHED
        assert row.result is not None
        with await own.blobs.content(row.result.content) as file:
            assert os.pread(file.fd, 100, 0) == b'{"a":2}'
        stored = await own.blobs.show(ended.results["result"])
        assert (stored.name, stored.mime, stored.content) == ("result.json", "application/json", row.result.content)
        assert not stored.uploaded, "it goes with its job"
        assert (ended.how, ended.code) == ("exit", 0)


async def test_a_stream_is_bytes_and_nothing_is_no_result(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        ended, job_id = await collected(own, outcome=FINISHED_STREAM, result=b"\0\xff not JSON")
        row = await own.ledger.find(job_id)
        assert row is not None
        assert row.result == PackageResult(
            kind="stream", content=(await own.result(b"\0\xff not JSON")).content, size_bytes=11
        )
        assert (await own.blobs.show(ended.results["result"])).name == "result"
        ended, job_id = await collected(own, outcome={"kind": "finished", "result": {"kind": "none"}})
        assert ended == EXIT
        row = await own.ledger.find(job_id)
        assert row is not None
        assert row.result is None


NO_FINISH: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "failed to write any jobOutput"),
    ({"outcome": b"\xff{{{"}, "failed to write any jobOutput"),
    ({"outcome": {"kind": "run_raised", "error": {"message": "", "errorClass": "", "stack": ""}}}, "jobOutput"),
    ({"outcome": FINISHED_JSON}, "The result is gone"),
    ({"outcome": FINISHED_JSON, "result": b"[1,"}, "is no JSON"),
    ({"outcome": FINISHED_JSON, "result": b"[" * 1000}, "is no JSON"),
    ({"outcome": FINISHED_JSON, "result": b"1" * 2000}, "has more than 1000 bytes"),
    ({"outcome": FINISHED_STREAM, "result": b"1" * 1001}, "has more than 1000 bytes"),
)


async def test_who_ends_with_0_and_has_not_finished_has_failed(tmp_path: Path) -> None:
    async with jobsbench(tmp_path, package_result_limit_bytes=1000) as own:
        for files, text in NO_FINISH:
            ended, job_id = await collected(own, **files)
            assert (ended.how, ended.code, ended.results) == ("error", None, {})
            assert text in (ended.text or "")
            row = await own.ledger.find(job_id)
            assert row is not None
            assert row.result is None
            assert row.outcome is not None
            assert row.outcome.kind != FINISHED


async def test_why_a_job_failed_is_told_in_one_line(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        error = {"message": "two\nlines \x1b[2J" + "x" * 9000, "errorClass": "jobs.Bad", "stack": "a\nb"}
        code4 = Ended(how="exit", code=4, started_us=1, finished_us=2)
        ended, _ = await collected(own, code4, outcome={"kind": "run_raised", "error": error})
        assert (ended.how, ended.code, ended.text) == ("exit", 4, "jobs.Bad: two")
        ended, _ = await collected(own, code4)
        assert ended.text == "Python job failed with error code 4"
        for end in (
            Ended(how="exit", signal=11, started_us=1, finished_us=2),
            Ended(how="exit", signal=15, stop_reason="requested", started_us=1, finished_us=2),
            Ended(how="exit", code=0, stop_reason="requested", started_us=1, finished_us=2),
            Ended(how="exit", code=0, stop_reason="time limit", started_us=1, finished_us=2),
            Ended(how="error", text="no such file", finished_us=2),
        ):
            ended, _ = await collected(own, end, outcome=FINISHED_JSON, result=b"1")
            assert ended == end


async def test_a_result_that_is_no_file_is_none(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("secret")
    makers: tuple[Callable[[Path], None], ...] = (lambda path: path.symlink_to(canary), os.mkfifo, Path.mkdir)
    async with jobsbench(tmp_path) as own:
        for make in makers:
            job = await own.submit()
            folder = tmp_path / "work" / job.id
            put(folder, outcome=FINISHED_STREAM)
            make(folder / "result")
            with trio.fail_after(10):
                ended = await own.shop.collect(job.id, EXIT, cancelled=never)
            assert (ended.how, ended.results) == ("error", {})


async def test_collected_again_it_is_what_it_was(tmp_path: Path) -> None:
    """As a server does that was killed in between; whatever the job's own processes do meanwhile."""
    async with jobsbench(tmp_path) as own:
        ended, job_id = await collected(own, outcome=FINISHED_JSON, result=b"[1]")
        row = await own.ledger.find(job_id)
        put(own.folder / "work" / job_id, result=b"[2]", outcome={"kind": "finished", "result": {"kind": "none"}})
        assert await own.shop.collect(job_id, EXIT, cancelled=never) == ended
        await own.shop.clear(job_id)
        assert await own.shop.collect(job_id, EXIT, cancelled=never) == ended
        assert await own.ledger.find(job_id) == row


async def test_a_result_is_left_when_the_server_ends(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        job = await own.submit()
        put(tmp_path / "work" / job.id, outcome=FINISHED_STREAM, result=b"x" * (3 << 20))
        put(tmp_path / "work" / job.id / "files", result=b"all that the disk can take")
        with pytest.raises(StoppedError):
            await own.shop.collect(job.id, EXIT, cancelled=lambda: True)
        assert not (tmp_path / "work" / job.id / "files").exists(), "there is room before anything is to be kept"
        row = await own.ledger.find(job.id)
        assert row is not None
        assert row.outcome is None
        assert not list((tmp_path / "blobs" / "tmp").iterdir())


async def test_a_result_that_gets_shorter_is_none_and_one_that_grows_is_what_it_was(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        for size, expected in ((1 << 20, None), (4 << 20, 3 << 20)):
            job = await own.submit()
            path = tmp_path / "work" / job.id / "result"
            put(path.parent, outcome=FINISHED_STREAM, result=b"x" * (3 << 20))

            def change(path: Path = path, size: int = size) -> bool:
                os.truncate(path, size)  # after its first piece was read
                return False

            ended = await own.shop.collect(job.id, EXIT, cancelled=change)
            row = await own.ledger.find(job.id)
            assert row is not None
            assert (row.result and row.result.size_bytes) == expected
            assert ended.how == ("error" if expected is None else "exit")


async def test_a_job_without_a_row_ends_as_it_did(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        job = Job(id="11111111-2222-4333-8444-555555555555", dialect="spark")
        await own.store.write(lambda c: journal.insert_job(c, job, {}, boot_id=None, idempotency=None))
        put(tmp_path / "work" / job.id, outcome=FINISHED_JSON, result=b"[1]")
        ended = await own.shop.collect(job.id, EXIT, cancelled=never)
        assert ended.how == "exit"
        assert await own.ledger.find(job.id) is None


# -- meanwhile --


async def test_how_far_it_has_come_is_told_when_that_changes(tmp_path: Path) -> None:
    async with jobsbench(tmp_path, package_progress_s=0.005) as own:
        job = await own.submit()
        folder = tmp_path / "work" / job.id
        told: list[Report] = []
        heard = trio.Event()
        over = trio.Event()

        def tell(report: Report) -> None:
            told.append(report)
            heard.set()

        async def say(data: bytes) -> None:
            nonlocal heard
            heard = trio.Event()
            (folder / "new").write_bytes(data)
            (folder / "new").rename(folder / "progress.json")
            with trio.fail_after(10):
                await heard.wait()

        async with trio.open_nursery() as nursery:
            folder.mkdir(parents=True)
            nursery.start_soon(own.shop.follow, job.id, over, tell)
            await say(b'{"fraction": 0.25, "text": "one"}')
            (folder / "new").write_bytes(b"nonsense")
            (folder / "new").rename(folder / "progress.json")
            await say(b'{"fraction": 7, "text": "%s"}' % (b"two" * 1000))
            (folder / "new").write_bytes(b'{"fraction": 1, "text": ""}')
            (folder / "new").rename(folder / "progress.json")
            over.set()
        assert told == [
            Progressed(fraction=0.25, text="one"),
            Progressed(fraction=None, text=("two" * 1000)[:1024]),
            Progressed(fraction=1.0, text=""),
        ]
