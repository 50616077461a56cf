from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from jobdeck_server.core import schema, workerrows
from jobdeck_server.core.workerrows import WorkerRow


@pytest.fixture
def connection() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(made)
    return made


def test_lives_are_remembered_the_newest_of_them(connection: sqlite3.Connection) -> None:
    assert workerrows.begin_life(connection, "a", keep_count=3) == {"a"}
    for life in "bcd":
        known = workerrows.begin_life(connection, life, keep_count=3)
    assert known == {"b", "c", "d"}


def test_workers_are_kept_as_they_were_last(connection: sqlite3.Connection) -> None:
    first = WorkerRow(id="2", name="n", last_life="x", created_us=1, labels=("a", "ä"), slots=3, draining=True)
    second = WorkerRow(id="1", name="m", last_life="y", created_us=2)
    for row in (first, second):
        workerrows.save(connection, row)
    changed = replace(second, given_name="other", gone=True, seen_us=9, address="h:1", software="s 1")
    workerrows.save(connection, changed)
    assert workerrows.workers(connection) == [first, changed]
    workerrows.remove(connection, "2")
    assert workerrows.workers(connection) == [changed]


def test_that_it_was_restored_is_remembered(connection: sqlite3.Connection) -> None:
    assert not workerrows.is_restored(connection)
    for on in (True, True, False, False):
        workerrows.set_restored(connection, on=on)
        assert workerrows.is_restored(connection) is on
