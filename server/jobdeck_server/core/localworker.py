"""This machine's own worker: an id that it keeps with the data directory, and whether it may start anything.

It is always there, and its jobs run by the engines of this machine.
"""

from __future__ import annotations

import os
import uuid
from importlib.metadata import version
from typing import TYPE_CHECKING

from jobdeck_protocol.workerinfo import WorkerInfo, WorkerState
from jobdeck_server.core.datadir import DataDirError
from jobdeck_server.core.errors import ConflictError
from jobdeck_server.core.live import now_us
from jobdeck_server.engines.base import LOCAL

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from jobdeck_server.core.jobs import JobCore

DRAIN = "drain"
"""Why this machine starts nothing, if an admin has said so."""

_SOFTWARE = f"jobdeck {version('jobdeck')}"
_FILE = "worker.id"
_DRAINING = "local_draining"


class LocalWorker:
    """This machine's own worker, whose jobs run by the local engine.

    Args:
        core: Whose jobs they are.
        worker_id: See ``load_id``.
        name: What people call it.
        address: Host and port of the server.
    """

    def __init__(self, core: JobCore, *, worker_id: str, name: str, address: str) -> None:
        self._core = core
        self._id = worker_id
        self._name = name
        self._address = address
        self._started_us = now_us()

    async def load(self) -> None:
        """Before jobs are let go: it may have been told to take nothing new by an earlier server."""

        def read(connection: sqlite3.Connection) -> bool:
            return connection.execute("select 1 from meta where name = ?", (_DRAINING,)).fetchone() is not None

        self._core.admission.pause(DRAIN, on=await self._core.store.read(read))

    def tell(self) -> WorkerInfo:
        """See ``Source``. It is always there: who could ask otherwise."""
        settings = self._core.settings
        return WorkerInfo(
            id=self._id,
            name=self._name,
            state=WorkerState.DRAINING if DRAIN in self._core.admission.pauses else WorkerState.ONLINE,
            engine=LOCAL,
            labels=settings.executor_labels,
            slots_count=settings.running_limit_count,
            running_count=self._core.slots_in_use,
            queued_count=self._core.admission.queued_count,
            address=self._address,
            started_us=self._started_us,
            seen_us=now_us(),
            load=os.getloadavg()[0],
            software=_SOFTWARE,
            bundles=settings.executor_builtin,
        )

    async def drain(self, *, on: bool) -> None:
        """See ``Source``. Its queue stands still; what runs goes on."""

        def write(connection: sqlite3.Connection) -> None:
            if on:
                connection.execute("insert or ignore into meta values (?, 'yes')", (_DRAINING,))
            else:
                connection.execute("delete from meta where name = ?", (_DRAINING,))

        await self._core.store.write(write)
        self._core.admission.pause(DRAIN, on=on)

    async def rename(self, name: str) -> None:
        """See ``Source``: refused."""
        raise ConflictError("This is the server's own worker: it is named by jobdeck serve --worker-name.")

    async def forget(self) -> None:
        """See ``Source``: refused."""
        raise ConflictError("This is the server's own worker: it cannot be forgotten, but drained.")


def load_id(data_dir: Path) -> str:
    """The id of the machine's own worker: made once, durable before it is told, kept with the data directory. Blocks.

    Raises:
        DataDirError: The file holds something else. It is not made anew: jobs on record belong to that id.
        OSError: It cannot be read or written.
    """
    path = data_dir / _FILE
    try:
        text = path.read_text("ascii", "replace").strip()
    except FileNotFoundError:
        return _make_id(data_dir)
    try:
        if str(uuid.UUID(text)) != text:
            raise ValueError
    except ValueError:
        raise DataDirError(
            f"{path} holds no id of a worker; put the old one back, or remove it for a new one"
        ) from None
    return text


def _make_id(data_dir: Path) -> str:
    worker_id = str(uuid.uuid4())
    fresh = data_dir / (_FILE + ".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, 0o600)
        os.write(fd, worker_id.encode() + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)
    fresh.replace(data_dir / _FILE)
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return worker_id
