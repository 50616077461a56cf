"""`jobdeck backup`: a copy of one moment that knows that it is a copy."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import trio
from click.testing import CliRunner, Result

from jobdeck_protocol.job import JobState
from jobdeck_server.commands.backup import backup
from jobdeck_server.core import workerrows
from tests.server.core.harness import shell
from tests.server.remote.deck import deck, until
from tests.server.remote.hand import Hand


def call(folder: Path, path: Path) -> Result:
    return CliRunner().invoke(backup, [str(path), "--data-dir", str(folder)])


def put_back(copy: Path, folder: Path) -> None:
    for name in ("jobdeck.sqlite3-wal", "jobdeck.sqlite3-shm"):
        (folder / name).unlink(missing_ok=True)
    copy.replace(folder / "jobdeck.sqlite3")


async def test_a_server_started_with_it_starts_nothing_and_kills_nothing(tmp_path: Path) -> None:
    hand, data, copy = Hand(), tmp_path / "data", tmp_path / "copy"
    data.mkdir()
    async with deck(data) as found, found.link(hand):
        old = await found.submit(hand)
        await found.state(old, JobState.RUNNING)
        made = await trio.to_thread.run_sync(call, data, copy)
        assert (made.exit_code, made.stderr) == (0, f"{copy}: 1 jobs\n")
        later = await found.submit(hand)  # of this the copy knows nothing
        await found.state(later, JobState.RUNNING)
        hand.write(later, b"so far\n")
    put_back(copy, data)
    async with deck(data) as found, found.link(hand):
        assert found.remote.restored
        await until(lambda: found.core.live(later) is not None)
        fresh = await found.submit(hand)
        for job_id in (old, later):
            hand.end(job_id)
            await found.ended(job_id)
        assert found.file(later) == b"so far\n"
        assert (await found.core.get(fresh)).state is JobState.STARTING
        await found.remote.resume()
        await found.state(fresh, JobState.RUNNING)
    assert hand.starts == {old: 1, later: 1, fresh: 1}


async def test_one_file_for_its_owner_alone_with_all_that_was_committed(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    data.mkdir()
    async with deck(data) as found:
        jobs = [(await found.core.submit(shell(f"echo {n}"))).id for n in range(300)]
        assert (await trio.to_thread.run_sync(call, data, copy)).exit_code == 0
        assert not await found.store.read(workerrows.is_restored), "the copy alone is one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "data"]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert [row[0] for row in connection.execute("select id from job order by seq")] == jobs
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        assert workerrows.is_restored(connection)


def test_what_cannot_be_done_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    nothing = call(tmp_path / "nowhere", copy)
    assert nothing.exit_code == 1
    assert "No such file or directory" in nothing.stderr
    (tmp_path / "jobdeck.sqlite3").write_bytes(b"no database" * 1000)
    assert call(tmp_path, copy).exit_code == 1
    assert not copy.exists()
    copy.write_text("precious")
    there = call(tmp_path, copy)
    assert (there.exit_code, there.stderr) == (1, f"jobdeck: {copy} exists; a backup is a new file\n")
    assert copy.read_text() == "precious"
