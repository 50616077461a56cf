"""Which jobs need which packages: functions of a connection, run on the store's threads.

What a job out of packages needs is noted in the transaction that accepts it, and counts for as long as its row says
that it has not ended. So whoever removes something asks in the transaction of the removal, and can never be late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from jobdeck_protocol.job import Job

_NAME: Final = 0
_CONTENT: Final = 1
_USERS = (
    "select job_id from package_use join job on job.id = job_id"
    " where target = ? and kind = ? and job.finished_us is null order by job.seq"
)


def note(connection: sqlite3.Connection, job: Job, spec: Mapping[str, Any]) -> None:
    """Note what a job needs that is being accepted; nothing for one that is not out of packages."""
    package = spec.get("package")
    if not package:
        return
    rows = [(name, _NAME, job.id) for name in job.packages]
    rows += [(each["content"], _CONTENT, job.id) for each in package.get("packages", ())]
    connection.executemany("insert or ignore into package_use values (?, ?, ?)", rows)


def users(connection: sqlite3.Connection, name: str) -> list[str]:
    """Ids of the jobs that have not ended and that name this binary, in the order of their acceptance."""
    return [row[0] for row in connection.execute(_USERS, (name, _NAME))]


def is_used(connection: sqlite3.Connection, content_hash: str) -> bool:
    """Whether a job that has not ended needs these bytes."""
    return connection.execute(_USERS + " limit 1", (content_hash, _CONTENT)).fetchone() is not None


def forget(connection: sqlite3.Connection) -> None:
    """Forget what jobs needed that have ended."""
    connection.execute(
        "delete from package_use where not exists"
        " (select 1 from job where job.id = package_use.job_id and job.finished_us is null)"
    )
