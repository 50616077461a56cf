"""The trio side of the console: keeps the state true, and asks the server for what the panes need.

``run`` follows the server's events over a link that mends itself; what it hears, and what ``load`` and the other
requests bring, goes through ``state.apply``, and at most every ``PAINT_INTERVAL_S`` the newest state is handed to
``show``. No Textual here: tests drive it with pytest-trio and a real server.
"""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING

import trio

from jobdeck_client import ClientError, NotFoundError
from jobdeck_protocol import blob
from jobdeck_protocol import events as wire
from jobdeck_protocol.job import JobState, from_wire
from jobdeck_tui.console import state as told
from jobdeck_tui.console.contextwatch import ContextWatch
from jobdeck_tui.console.fewevents import few_message
from jobdeck_tui.console.packagewatch import PackageWatch
from jobdeck_tui.console.pages import Place
from jobdeck_tui.console.paging import Pager
from jobdeck_tui.console.settings import PAINT_INTERVAL_S
from jobdeck_tui.console.state import State, apply
from jobdeck_tui.console.workerwatch import WorkerWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobdeck_client import Client, LinkState
    from jobdeck_client.events import Events
    from jobdeck_protocol.blob import Blob
    from jobdeck_protocol.job import Job
    from jobdeck_tui.console.bloblist import BlobQuery
    from jobdeck_tui.console.pages import Ask
    from jobdeck_tui.console.query import Query
    from jobdeck_tui.console.state import LogKey

_REFUSED_RETRY_S = 5.0
_WATCHES = (WorkerWatch, PackageWatch, ContextWatch)


class Deck:
    """State, and the link that keeps it true.

    Args:
        client: Entered by whoever made it.
        show: Handed the newest state; must neither block nor raise.
        read_only: See ``State``.
    """

    def __init__(self, client: Client, show: Callable[[State], None], *, read_only: bool = False) -> None:
        self.client = client
        self.state = State(url=client.base_url, read_only=read_only)
        self._show = show
        self._events: Events | None = None
        self._watched: dict[str, LogKey] = {}
        self._changed = trio.Event()
        self._jobs = Pager(self.tell, lambda: self.state.list, self._page_of_jobs, lambda key: told.JobGone(id=key))
        self.blobs = Pager(
            self.tell, lambda: self.state.blobs, self._page_of_blobs, lambda key: told.BlobGone(hash=key)
        )
        self.few = {watch.KIND: watch(client, self.tell, lambda: self.state) for watch in _WATCHES}

    def tell(self, message: told.Message) -> None:
        """Take a message into the state; it is shown soon."""
        self.state = apply(self.state, message)
        self._changed.set()
        self._mend()

    async def run(self) -> None:
        """Keep the state true until cancelled."""
        async with trio.open_nursery() as nursery:
            self._jobs.nursery = self.blobs.nursery = nursery
            nursery.start_soon(self._paint)
            for watch in self.few.values():
                nursery.start_soon(watch.run)
            self.load(Place.START)
            while True:
                try:
                    await self._listen()
                except ClientError as error:
                    # A refusal, such as of a token that was revoked: told, and tried again, since it may be mended.
                    self._on_link_error(str(error), _REFUSED_RETRY_S)
                await trio.sleep(_REFUSED_RETRY_S)

    # -- what the panes ask for --

    def watch(self, owner: str, key: LogKey | None) -> None:
        """Have the growth of one log told, as ``state.logs``; an owner watches one log, None for none."""
        former = self._watched.pop(owner, None)
        if key is not None:
            self._watched[owner] = key
        if former is not None and former not in self._watched.values():
            self.tell(told.LogForgotten(key=former))
        if self._events is not None:
            self._events.watch(counts=True, jobs=set(self._watched.values()))

    def query(self, query: Query) -> None:
        """Show other jobs."""
        self._jobs.query(query)

    def load(self, place: Place) -> None:
        """Have a page of the list of jobs read, if none is under way there."""
        self._jobs.load(place)

    async def open(self, job_id: str) -> Job:
        """Have one job's record kept up to date in ``state.open``; ``job_id`` may be the beginning of an id.

        Raises:
            ClientError: It cannot be had.
        """
        job = await self.client.job(job_id)
        self.tell(told.JobOpened(job=job))
        return job

    def close(self, job_id: str) -> None:
        """No pane shows it any more."""
        self.tell(told.JobClosed(id=job_id))

    # -- the link --

    async def _listen(self) -> None:
        async with self.client.events(patient=True, on_link=self._on_link) as events:
            self._events = events
            events.watch(counts=True, jobs=set(self._watched.values()))
            try:
                async for message in events:
                    await self._hear(message)
            finally:
                self._events = None

    async def _hear(self, message: wire.ServerMessage) -> None:
        match message:
            case wire.Hello():
                await self._greet(message.store)
            case wire.Snapshot(more=more, jobs=jobs):
                for record in jobs:
                    self.tell(told.JobTold(job=from_wire(record)))
                if not more:
                    self.tell(told.Listened())
                    self._read_few()
                    await self._refresh_open()
            case wire.Event(event="job", data=data):
                self.tell(told.JobTold(job=from_wire(data)))
            case wire.Event(event="job_removed", data=data):
                self.tell(told.JobGone(id=str(data["id"])))
            case wire.Event(event="blob", data=data):
                self.tell(told.BlobTold(blob=blob.from_wire(data)))
            case wire.Event(event="blob_removed", data=data):
                self.tell(told.BlobGone(hash=str(data["hash"])))
            case wire.Event(event=event, data=data):
                few = few_message(event, data)
                if few is not None:
                    self.tell(few)
            case wire.Growth() if (message.id, message.stream) in self._watched.values():
                size = told.LogSize(
                    size_bytes=message.size,
                    line_count=message.lines,
                    indexed_bytes=message.indexed,
                    ended=message.ended,
                )
                self.tell(told.GrowthTold(key=(message.id, message.stream), size=size))
            case wire.Counts(states=states):
                self.tell(told.CountsTold(counts=_counts(states)))

    async def _greet(self, store: str) -> None:
        """A link is up: ask who we are to this server, which may be another one than before, and what it has."""
        self._read_few()
        try:
            info = await self.client.info()
        except ClientError:
            return  # the link tells more of it
        self.tell(told.ServerTold(version=str(info["version"]), role=str(info["role"]), store=store))
        self.tell(told.CountsTold(counts=_counts(info["counts"])))

    async def _refresh_open(self) -> None:
        """Changes were missed: read the records of open jobs anew."""
        for job_id in list(self.state.open):
            try:
                self.tell(told.JobTold(job=await self.client.job(job_id)))
            except NotFoundError:
                self.tell(told.JobGone(id=job_id))
            except ClientError:
                return

    def _read_few(self) -> None:
        for watch in self.few.values():
            watch.read()

    def _on_link(self, link: LinkState) -> None:
        self.tell(told.LinkTold(up=link.up, at_us=_now_us(), error=link.error, retry_s=link.retry_s))
        if link.up:
            for pager in (self._jobs, self.blobs):
                pager.retry()

    def _on_link_error(self, error: str, retry_s: float) -> None:
        self.tell(told.LinkTold(up=False, at_us=_now_us(), error=error, retry_s=retry_s))

    # -- pages --

    def _mend(self) -> None:
        for pager in (self._jobs, self.blobs):
            pager.mend()

    async def _page_of_jobs(self, query: Query, ask: Ask) -> tuple[tuple[Job, ...], str | None]:
        page = await self.client.jobs(
            states=sorted(query.states),
            dialect=query.dialect,
            label=query.label,
            worker=query.worker,
            context=query.context,
            text=query.text,
            sort=ask.sort,
            limit=ask.limit_count,
            cursor=ask.cursor,
            after=ask.after,
        )
        return page.items, page.next

    async def _page_of_blobs(self, query: BlobQuery, ask: Ask) -> tuple[tuple[Blob, ...], str | None]:
        page = await self.client.blobs.page(
            name=query.name,
            tag=query.tag,
            text=query.text,
            kind=query.kind,
            pinned=query.pinned,
            sort=ask.sort,
            limit=ask.limit_count,
            cursor=ask.cursor,
            after=ask.after,
        )
        return page.items, page.next

    # -- pictures --

    async def _paint(self) -> None:
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            self._show(self.state)
            await trio.sleep(PAINT_INTERVAL_S)


def _counts(states: Mapping[str, int]) -> Mapping[JobState, int]:
    known = {each.value: each for each in JobState}
    return MappingProxyType({known[name]: count for name, count in states.items() if name in known})


def _now_us() -> int:
    return time.time_ns() // 1000
