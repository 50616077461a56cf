"""A database full of ended jobs, made by the functions with which the server itself writes it."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path

from jobdeck_protocol.job import Job, JobState, Step
from jobdeck_server.core import journal, schema

RETAIN = ("--retain-jobs", "1000000", "--retain-age", "3650d")
"""Flags for a server that is to keep all of it."""
_YEAR_2025_US = 1_735_689_600_000_000


def fill(data_dir: Path, count: int) -> None:
    """Put ``count`` ended jobs into the database of a server that does not run."""
    data_dir.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(data_dir / "jobdeck.sqlite3", isolation_level=None)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=off")
    schema.migrate(connection)
    connection.execute("begin")
    for number in range(count):
        journal.insert_job(connection, _job(number), {}, boot_id=None, idempotency=None)
    connection.execute("commit")
    connection.close()


def _job(number: int) -> Job:
    at_us = _YEAR_2025_US + number * 1_000_000
    return Job(
        id=str(uuid.uuid4()),
        dialect="jobrunner",
        steps=(Step(command_line=f"make -j8 test PART={number}", env_names=("LANG", "PATH")),),
        labels=("nightly",) if number % 10 == 0 else (),
        state=JobState.FAILED if number % 7 == 0 else JobState.SUCCEEDED,
        created_us=at_us,
        started_us=at_us + 10_000,
        finished_us=at_us + 900_000,
        exit_code=int(number % 7 == 0),
        step=0,
        output_bytes=1000,
    )
