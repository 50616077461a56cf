"""One worker elsewhere: who it is, its connections, whether it can be reached. The owner of its ``WorkerHost``.

It is there as long as it is known, connected or not. Connections come and go (``channels.worker``); of several the host
says which one counts, and the others are closed. That a connection has ended says nothing: a worker is unreachable when
it was not heard of for three beats, and offline when it has said goodbye.

Everything for one worker is done in tasks and threads of its own, so one that stands still delays nobody else's jobs.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.errors import CLOSE_FORGOTTEN, CLOSE_REPLACED, RemoteWireError
from jobdeck_protocol.worker import Beat, Bye, Drain, Hello
from jobdeck_protocol.workerevents import Gap, Greeted, HostEvent, Reachable, ReadInput, Ready, Replaced, Unreachable
from jobdeck_protocol.workerhost import Stage, WorkerHost
from jobdeck_protocol.workerinfo import WorkerInfo, WorkerState
from jobdeck_protocol.workerreports import Ended
from jobdeck_server.core import workerrows
from jobdeck_server.core.live import now_us
from jobdeck_server.core.store import StoreError
from jobdeck_server.engines.base import WORKER
from jobdeck_server.engines.remoteclock import WorkerClock
from jobdeck_server.engines.remotejobs import RemoteJobs

if TYPE_CHECKING:
    import sqlite3

    from jobdeck_server.core.workerrows import WorkerRow
    from jobdeck_server.engines.remotecommon import Session, Surroundings

_log = logging.getLogger("jobdeck.workers")
_FORGOTTEN = "an admin has forgotten this worker"
_SEEN_S = 60.0  # so seldom is written down when it was last heard of
_PAUSE_S = 0.05  # the least between two looks at what is due


class RemoteWorker:
    """See the top of this file. ``run`` must be running.

    Args:
        row: What is kept of it; of a new one what it has said.
        around: See there.
        known: It was there before.
        restored: The server was restored from a backup, and nobody has agreed yet that it starts jobs.

    Attributes:
        row: What is kept of it.
        host: The machine of its channel.
        jobs: Its jobs.
        joined: It is listed, and so known.
        bell: Set, and replaced, when there may be something to say to it.
    """

    def __init__(self, row: WorkerRow, around: Surroundings, *, known: bool, restored: bool) -> None:
        self.row = row
        self._around = around
        settings = around.settings
        self.host = WorkerHost(
            row.id,
            server_life=around.life,
            server_lives=around.lives,
            last_life=row.last_life if known else None,
            now_s=trio.current_time(),
            restored=restored,
            window_bytes=settings.worker_window_bytes,
            beat_s=settings.worker_beat_s,
        )
        self.host.draining = row.draining
        self.bell = trio.Event()
        self._clock = WorkerClock(settings.worker_beat_s)
        self.jobs = RemoteJobs(
            self.host,
            around.sink,
            jobs_dir=settings.data_dir / "jobs",
            name=lambda: self.name,
            ring=self._ring,
            clock=self._clock,
            place=around.place,
            bundles=around.bundles,
            strange_limit_count=settings.worker_strange_limit_count,
        )
        self.joined = False
        self._forgotten = False
        self._came = False  # it was connected in this life of the server
        self._gap: Gap | None = None
        self._sessions: dict[int, Session] = {}
        self._bundles = False
        self._beat = Beat()
        self._started_us = row.created_us
        self._lost = False
        self._saved_s = trio.current_time()
        self._scope = trio.CancelScope()

    def __repr__(self) -> str:
        return f"<RemoteWorker {self.id} {self.name!r} {self._state.value}>"

    @property
    def id(self) -> str:
        """Its UUID."""
        return self.row.id

    @property
    def idle(self) -> bool:
        """Whether it has not been taken in, and nobody is about to."""
        return not (self.joined or self._sessions)

    @property
    def name(self) -> str:
        """What people call it."""
        return self.row.given_name or self.row.name

    # -- as the registry sees it --

    def tell(self) -> WorkerInfo:
        """See ``core.workers.Source``."""
        row = self.row
        return WorkerInfo(
            id=row.id,
            name=self.name,
            state=self._state,
            engine=WORKER,
            labels=row.labels,
            slots_count=row.slots,
            running_count=self.jobs.count,
            address=row.address,
            started_us=self._started_us,
            seen_us=row.seen_us,
            load=self._beat.load,
            free_bytes=self._beat.free_bytes,
            software=row.software,
            clock_skew_us=self._clock.skew_us,
            bundles=self._bundles,
        )

    @property
    def _state(self) -> WorkerState:
        if self.row.gone:
            return WorkerState.OFFLINE
        if not (self._came and self.host.reachable):
            return WorkerState.UNREACHABLE
        return WorkerState.DRAINING if self.host.draining or self.host.leaving else WorkerState.ONLINE

    async def drain(self, *, on: bool) -> None:
        """Have it take no new jobs, or take them again. See ``core.workers.Source``."""
        await self._keep(draining=on)
        self.host.drain(on=on)
        self._ring()
        self._around.registry.changed(self)

    async def rename(self, name: str) -> None:
        """Call it something else. See ``core.workers.Source``."""
        await self._keep(given_name=name)
        self._around.registry.changed(self)

    async def forget(self) -> None:
        """Know it no more. See ``core.workers.Source``; whoever calls this sees to its jobs."""
        self._forgotten = True  # from here on nobody writes the row
        try:
            await self._around.store.write(lambda connection: workerrows.remove(connection, self.id))
        except StoreError:
            self._forgotten = False
            raise
        self._around.forgotten(self)
        for link in list(self._sessions):
            self._sessions[link].end(CLOSE_FORGOTTEN, _FORGOTTEN)
        _log.warning("worker %s (%s) was forgotten", self.name, self.id)
        self._around.registry.leave(self)
        self.end()

    def join(self) -> None:
        """Be listed.

        Raises:
            ConflictError: It has the id of the machine's own.
        """
        self._around.registry.join(self)
        self.joined = True

    def resume(self) -> None:
        """An admin has agreed that a restored server starts jobs."""
        self.host.resume()
        self._around.registry.changed(self)  # jobs may have waited for this
        self._ring()

    def end(self) -> None:
        """Have its tasks end: nobody knows it."""
        self._scope.cancel()

    async def _keep(self, **changes: object) -> None:
        """Change what is kept, durably.

        Raises:
            RemoteWireError: It was forgotten meanwhile.
            StoreError: The database would not take it; nothing has changed.
        """
        if self._forgotten:
            raise RemoteWireError(_FORGOTTEN, close_code=CLOSE_FORGOTTEN)
        before = self.row
        row = self.row = replace(before, **changes)  # type: ignore[arg-type]  # fields of a row, by their names

        def write(connection: sqlite3.Connection) -> None:
            workerrows.save(connection, row)

        try:
            await self._around.store.write(write)
        except StoreError:
            self.row = replace(self.row, **{name: getattr(before, name) for name in changes})
            raise
        self._saved_s = trio.current_time()

    def _keep_soon(self) -> None:
        """Have the row written as it is, some time; it does not matter if that fails."""
        if self._forgotten or not self.joined:
            return
        row = self.row
        self._saved_s = trio.current_time()
        self._around.store.write_soon(lambda c: workerrows.save(c, row), lambda _result, _error: None, durable=False)

    # -- connections --

    async def connect(self, hello: Hello, address: str, session: Session) -> int:
        """Take in a connection that has said who it is.

        Returns:
            Its number, for the other calls; ``disconnected`` is to be called.

        Raises:
            RemoteWireError: It is refused.
            StoreError: The database would not take it now.
        """
        link, events = self.host.connect(hello, trio.current_time())
        self._sessions[link] = session
        self.row = replace(self.row, address=address)
        try:
            await self._heed_all(events)
        except BaseException:
            self.disconnected(link)
            raise
        return link

    async def receive(self, link: int, data: bytes | str) -> None:
        """Take one message, any but the first.

        Raises:
            RemoteWireError: See ``WorkerHost.receive``.
        """
        events = self.host.receive(link, data, trio.current_time())
        self.row = replace(self.row, seen_us=now_us())
        await self._heed_all(events)
        self._ring()

    async def send(self, link: int) -> bytes | None:
        """The next message for a connection, None if there is none now."""
        while True:
            item = self.host.send(link, trio.current_time())
            if not isinstance(item, ReadInput):
                return item
            data = await self.jobs.read_input(item.job_id, item.offset, item.length)
            if len(data) == item.length and (message := self.host.fill(item, data)) is not None:
                return message

    @property
    def due_s(self) -> float:
        """When something may be due to be said though nothing happens."""
        return self._due_s(self.host.due_s())

    def disconnected(self, link: int) -> None:
        """A connection has ended; it may be called for one that never was."""
        self._sessions.pop(link, None)
        for event in self.host.disconnected(link):
            self.jobs.heed(event)
        self._keep_soon()
        self._ring()

    def _ring(self) -> None:
        self.bell.set()
        self.bell = trio.Event()

    def _due_s(self, due_s: float | None) -> float:
        """What is overdue is not looked at all the time: it may wait for a worker that does not read."""
        now_s = trio.current_time()
        beat_s = self._around.settings.worker_beat_s
        return max(now_s + _PAUSE_S, min(now_s + beat_s if due_s is None else due_s, now_s + beat_s))

    # -- what it tells --

    async def _heed_all(self, events: list[HostEvent]) -> None:
        for event in events:
            await self._heed(event)

    async def _heed(self, event: HostEvent) -> None:
        match event:
            case Replaced():
                session = self._sessions.get(event.link)
                if session is not None:
                    session.end(CLOSE_REPLACED, "a newer connection of this worker has come")
            case Greeted():
                await self._greet(event)
            case Ready():
                if self._around.agreed():  # it has told all that it has, and is like any other from now on
                    self.host.resume()
            case Gap():
                self._gap = event  # its end follows at once
            case Ended():
                gap, self._gap = self._gap, None
                self.jobs.ended(event, gap)
            case Beat():
                self._beat = event
                self._clock.beat(event.clock_us, self.name)
            case Drain():
                self._around.registry.changed(self)
            case Bye():
                await self._leave(event)
            case Reachable() | Unreachable():
                self._reach(unreachable=isinstance(event, Unreachable))
                self.jobs.heed(event)
            case _:
                await self.jobs.take(event)

    async def _greet(self, greeted: Greeted) -> None:
        """Write down the life that it came with, then welcome it."""
        hello = greeted.hello
        self.jobs.begin()
        self._clock.hello(hello.clock_us, self.name)
        if greeted.restored:
            await self._around.found_restored(self.name)
        await self._keep(
            name=hello.name,
            labels=hello.labels,
            slots=hello.slots,
            software=hello.software,
            last_life=hello.life,
            gone=False,
            seen_us=now_us(),
        )
        if not self.joined:
            self.join()
        self._bundles = hello.bundles
        self.host.welcome(greeted.link)
        self._came, self._started_us = True, now_us()
        _log.info("worker %s (%s) has come from %s: %s", self.name, self.id, self.row.address, hello.software)
        self._reach(unreachable=False)
        self._ring()

    async def _leave(self, bye: Bye) -> None:
        if self.row.gone:
            return
        _log.info("worker %s has left: %s", self.name, bye.text or "it did not say why")
        self.row = replace(self.row, gone=True)
        self._keep_soon()
        self._reach(unreachable=True)

    def _reach(self, *, unreachable: bool) -> None:
        """Say on the records of its jobs, and to all who list workers, whether it can be reached."""
        self._lost = self._lost and unreachable
        self._around.sink.reach(self.id, unreachable=unreachable)
        if self.joined:
            self._around.registry.changed(self)

    # -- time --

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See to its jobs, and notice that it is silent, until cancelled or forgotten."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.jobs.run)
                task_status.started()
                while True:
                    await self._look()
                    await trio.sleep_until(self._due_s(self.host.due_s()))

    async def _look(self) -> None:
        now_s = trio.current_time()
        for event in self.host.tick(now_s):
            if not self.row.gone:
                _log.warning("worker %s is unreachable", self.name)
            await self._heed(event)
        limit_s = self._around.settings.worker_lost_s
        if limit_s is not None and not self.host.reachable and not self._lost and now_s >= self.host.heard_s + limit_s:
            self._lost = True
            self.jobs.lose(f"worker {self.name} was not heard of for {limit_s:g} s")
        if self.host.stage is Stage.OPEN and now_s >= self._saved_s + _SEEN_S:
            self._keep_soon()
