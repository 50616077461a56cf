from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import trio

from jobdeck_server.core import schema
from jobdeck_server.core.datadir import DataDir, DataDirError
from jobdeck_server.core.store import Store, StoreError


async def opened(path: Path) -> Store:
    store = Store(path / "db")
    await trio.to_thread.run_sync(store.open, trio.lowlevel.current_trio_token())
    await store.write(lambda c: c.execute("create table if not exists t (n integer primary key)"))
    return store


async def test_many_writers_share_a_commit_and_each_hears_its_own(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    before = store.commit_count
    got: list[int] = []

    async def write(number: int) -> None:
        got.append(await store.write(lambda c: int(c.execute("insert into t values (?)", (number,)).lastrowid or 0)))

    async with trio.open_nursery() as nursery:
        for number in range(1, 301):
            nursery.start_soon(write, number)
    assert sorted(got) == list(range(1, 301))
    assert store.commit_count - before < 150
    assert await store.read(lambda c: c.execute("select count(*) from t").fetchone()[0]) == 300
    await trio.to_thread.run_sync(store.close)


async def test_one_that_fails_changes_nothing_and_hurts_nobody(tmp_path: Path) -> None:
    store = await opened(tmp_path)

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("insert into t values (1)")
        raise KeyError("mine")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.write, lambda c: c.execute("insert into t values (2)"))
        with pytest.raises(KeyError, match="mine"):
            await store.write(fail)
    assert await store.read(lambda c: c.execute("select n from t").fetchall()) == [(2,)]
    await trio.to_thread.run_sync(store.close)


async def test_a_full_disk_refuses_and_later_takes_again(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    pages = await store.write(lambda c: int(c.execute("pragma page_count").fetchone()[0]))
    await store.write(lambda c: c.execute(f"pragma max_page_count={pages}").fetchone())
    with pytest.raises(StoreError):
        await store.write(lambda c: c.executemany("insert into t values (?)", ((n,) for n in range(10_000))))
    assert await store.read(lambda c: c.execute("select count(*) from t").fetchone()[0]) == 0
    await store.write(lambda c: c.execute("pragma max_page_count=1000000").fetchone())
    await store.write(lambda c: c.executemany("insert into t values (?)", ((n,) for n in range(10_000))))
    await trio.to_thread.run_sync(store.close)


async def test_work_is_done_though_its_caller_is_cancelled(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.write(lambda c: c.execute("insert into t values (1)"))
    await trio.to_thread.run_sync(store.close)
    again = sqlite3.connect(tmp_path / "db")
    assert again.execute("select n from t").fetchall() == [(1,)]
    again.close()


async def test_a_database_of_a_newer_jobdeck_is_refused_and_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "db")
    connection.execute(f"pragma user_version={len(schema.MIGRATIONS) + 1}")
    connection.close()
    store = Store(tmp_path / "db")
    with pytest.raises(schema.NewerSchemaError, match="newer jobdeck"):
        await trio.to_thread.run_sync(store.open, trio.lowlevel.current_trio_token())


def test_the_database_is_private(tmp_path: Path) -> None:
    async def main() -> None:
        store = await opened(tmp_path)
        assert all(each.stat().st_mode & 0o077 == 0 for each in tmp_path.iterdir())
        await trio.to_thread.run_sync(store.close)

    trio.run(main)


def test_one_server_holds_a_data_directory(tmp_path: Path) -> None:
    first = DataDir(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    with pytest.raises(DataDirError, match="another server"):
        DataDir(tmp_path / "data")
    first.tell(["http://127.0.0.1:1"])
    first.close()
    assert not (tmp_path / "data" / "server.json").exists()
    DataDir(tmp_path / "data").close()
    with pytest.raises(DataDirError, match="cannot use"):
        DataDir(Path("/proc/nowhere"))
