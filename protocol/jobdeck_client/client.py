"""A client of one jobdeck server: plain trio, without any user interface.

    async with Client("http://127.0.0.1:8080") as client:
        job = await client.submit(argv=["make", "test"])
        async with client.attach(job.id) as attach:
            async for message in attach:
                ...

Requests go over HTTP; ``attach`` and ``events`` over WebSockets that mend themselves. Blobs are at ``client.blobs``.
All errors are in ``errors``.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

from jobdeck_client.attach import Attach
from jobdeck_client.blobs import Blobs
from jobdeck_client.classes import Classes
from jobdeck_client.contexts import Contexts
from jobdeck_client.errors import ServerFaultError
from jobdeck_client.events import Events
from jobdeck_client.link import Target
from jobdeck_client.logs import Logs
from jobdeck_client.nursery import helpers
from jobdeck_client.packages import Packages
from jobdeck_client.pages import Page, every
from jobdeck_client.requests import Requests
from jobdeck_client.trust import Trust
from jobdeck_client.workers import Workers
from jobdeck_protocol import attach as attach_wire
from jobdeck_protocol import events as events_wire
from jobdeck_protocol.errors import LocalWireError
from jobdeck_protocol.job import Job, JobState, time_text
from jobdeck_protocol.message import job_of
from jobdeck_protocol.runs import Stream
from jobdeck_protocol.session import CREDIT_BYTES, ClientSession

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from jobdeck_client.link import LinkState

REQUEST_TIMEOUT_S = 30.0

C = TypeVar("C", Attach, Events)


class Client:
    """See the top of this file. Used as an asynchronous context manager; several tasks may share one.

    Args:
        base_url: As ``find.find_server`` gives it.
        token: As ``find.find_token`` gives it; sent with every request.
        timeout_s: Longest silence of the server within one request.
        trust: As ``find.find_trust`` gives it; for ``https://``. None for the system's CAs.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
        trust: Trust | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._token = token
        self._trust = trust or Trust()
        self._requests = Requests(self.base_url, token, timeout_s=timeout_s, trust=self._trust)
        self.blobs = Blobs(self._requests)
        self.workers = Workers(self._requests)
        logs = Logs(self._requests)  # where its verbs are explained
        self.lines = logs.lines
        self.find = logs.find
        classes = Classes(self._requests)  # the same
        self.start_class = classes.start
        self.result = classes.result
        self.job_outcome = classes.outcome
        self.job_callback = classes.callback
        self.job_config = classes.config
        self.job_config_text = classes.config_text
        packages = Packages(self._requests)  # the same
        self.packages = packages.all
        self.package = packages.show
        self.upload_package = packages.upload
        self.delete_package = packages.remove
        self.check_config = packages.check
        contexts = Contexts(self._requests)  # the same
        self.contexts = contexts.all
        self.context = contexts.show
        self.create_context = contexts.create
        self.restart_context = contexts.restart
        self.stop_context = contexts.stop

    async def __aenter__(self) -> Self:
        await self._requests.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._requests.close()

    @property
    def has_token(self) -> bool:
        """Whether requests show a token."""
        return self._token is not None

    # -- jobs --

    async def info(self) -> dict[str, Any]:
        """What the server tells of itself: ``GET /v1/info``."""
        return _object(await self._requests.ask("GET", "/v1/info"))

    async def jobs(
        self,
        *,
        states: Iterable[JobState] = (),
        dialect: str | None = None,
        label: str | None = None,
        worker: str | None = None,
        context: str | None = None,
        text: str | None = None,
        since_us: int | None = None,
        sort: str = "-created",
        limit: int = 50,
        cursor: str | None = None,
        after: str | None = None,
    ) -> Page:
        """One page of the list of jobs.

        Args:
            states: Only these; empty for all.
            dialect: Only jobs made through this API.
            label: Only jobs with this label.
            worker: Only jobs that this worker has or had: its id, 8 characters or more of it, or its name.
            context: Only jobs in a context of this name.
            text: Only jobs whose command, id, labels, packages or context hold this.
            since_us: Only jobs created at or after this, microseconds UTC.
            sort: ``created``, ``ended`` or ``state``; ``-`` before it for the greatest first.
            limit: Longest page.
            cursor: ``next`` of the page before.
            after: Id of a job instead: the page is what follows it in this order, whether or not it is on the list
                itself. What stands above it is asked for with the flipped order.

        Raises:
            NotFoundError: The job ``after`` which to go on is not there any more.
        """
        given = {
            "state": ",".join(states) or None,
            "dialect": dialect,
            "label": label,
            "worker": worker,
            "context": context,
            "text": text,
            "since": None if since_us is None else time_text(since_us),
            "sort": sort,
            "limit": str(limit),
            "cursor": cursor,
            "after": after,
        }
        query = {name: value for name, value in given.items() if value is not None}
        wire = _object(await self._requests.ask("GET", "/v1/jobs", query=query))
        items = wire.get("items")
        if not isinstance(items, list):
            raise ServerFaultError("The server's list of jobs has no items.")
        return Page(tuple(_job(item) for item in items), wire.get("next"))

    def all_jobs(self, *, limit: int | None = None, **wanted: Any) -> AsyncIterator[Job]:
        """The jobs of all pages, at most ``limit``; the other arguments are those of ``jobs``."""
        return every(self.jobs, limit=limit, **wanted)

    async def job(self, job_id: str) -> Job:
        """A job by its id, or by the beginning of one (8 characters at least) that only it has."""
        return _job(await self._requests.ask("GET", _path(job_id)))

    async def submit(
        self,
        *,
        command: str | None = None,
        argv: Sequence[str] | None = None,
        steps: Sequence[Mapping[str, Any]] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        worker: str | None = None,
        worker_labels: Sequence[str] = (),
        labels: Sequence[str] = (),
        time_limit_s: float | None = None,
        linger_s: float | None = None,
        grace_s: float | None = None,
        stdin: bool = False,
        on_limit: str | None = None,
        order: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Submit a job: one of ``command`` (a shell line), ``argv`` and ``steps``.

        It runs on ``worker`` (its id, 8 characters or more of it, or its name) if that is given, on one that has all
        ``worker_labels``, and else on the server's machine, or where the server sends it.

        A request carries an Idempotency-Key, its own or the given one. So when the server goes away in the middle, the
        same is asked again for up to 10 s, and the job is there once.
        """
        given = {
            "command": command,
            "argv": None if argv is None else list(argv),
            "steps": None if steps is None else [dict(step) for step in steps],
            "env": None if env is None else dict(env),
            "cwd": cwd,
            "worker": worker,
            "worker_labels": list(worker_labels) or None,
            "labels": list(labels) or None,
            "time_limit_s": time_limit_s,
            "linger_s": linger_s,
            "grace_s": grace_s,
            "stdin": stdin or None,
            "on_limit": on_limit,
            "order": order,
        }
        body = {name: value for name, value in given.items() if value is not None}
        return _job(await self._requests.make("/v1/jobs", body, idempotency_key))

    async def rerun(self, job_id: str, *, idempotency_key: str | None = None) -> Job:
        """Run the same again: a new job with the same commands, environment, labels and limits; see ``submit``.

        Raises:
            ConflictError: It cannot be run again.
        """
        return _job(await self._requests.make(_path(job_id, "/rerun"), {}, idempotency_key))

    async def stop(self, job_id: str, *, signal: int | str | None = None, grace_s: float | None = None) -> Job:
        """Ask for a job's end; returns once that is durable.

        Args:
            job_id: See ``job``.
            signal: Sent first, to everything the job started; None for SIGTERM, 9 ends it at once.
            grace_s: Seconds until SIGKILL; None for the job's own.
        """
        body = {name: value for name, value in (("signal", signal), ("grace_s", grace_s)) if value is not None}
        return _job(await self._requests.ask("POST", _path(job_id, "/stop"), body=body))

    async def signal(self, job_id: str, signal: int | str) -> None:
        """Send a signal to everything a running job started; no stop is implied."""
        await self._requests.ask("POST", _path(job_id, "/signal"), body={"signal": signal})

    async def remove(self, job_id: str) -> None:
        """Remove an ended job's record and output."""
        await self._requests.ask("DELETE", _path(job_id))

    async def output(
        self, job_id: str, *, stream: str | None = None, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The bytes kept so far, in pieces; never waits for more.

        Args:
            job_id: See ``job``.
            stream: ``stdout`` or ``stderr``; None for both in their order.
            start: First byte wanted.
            end: The byte after the last one wanted; None for all.

        Raises:
            OffsetError: There are not that many.
        """
        headers = {}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        query = {} if stream is None else {"stream": stream}
        async with self._requests.streamed(_path(job_id, "/output"), query=query, headers=headers) as pieces:
            async for piece in pieces:
                yield piece

    # -- channels --

    def attach(
        self,
        job_id: str,
        *,
        offset: int = 0,
        stream: str | None = None,
        follow: bool = True,
        reconnect: bool = True,
        patient: bool = False,
        window_bytes: int = CREDIT_BYTES,
        on_link: Callable[[LinkState], None] | None = None,
    ) -> AbstractAsyncContextManager[Attach]:
        """Follow a job's output and state, and write its standard input.

        Args:
            job_id: The whole id.
            offset: First byte wanted, in the combined output; negative counts from the present end.
            stream: ``stdout`` or ``stderr``; None for both.
            follow: Go on with what comes, until the job's end.
            reconnect: Mend the link when it breaks; else the break is raised.
            patient: Also wait for a server that has not answered yet.
            window_bytes: The most output that is held here.
            on_link: Told of each change of the link, at once.
        """
        session = ClientSession(
            offset=offset,
            streams=None if stream is None else frozenset({Stream(stream)}),
            follow=follow,
            window_bytes=window_bytes,
        )
        found = Attach(
            self._target(f"/{quote(job_id, safe='')}/attach", attach_wire.SUBPROTOCOL), session, follow=follow
        )
        return self._running(found, reconnect=reconnect, patient=patient, on_link=on_link)

    def events(
        self,
        *,
        since: int | None = None,
        store: str | None = None,
        reconnect: bool = True,
        patient: bool = False,
        on_link: Callable[[LinkState], None] | None = None,
    ) -> AbstractAsyncContextManager[Events]:
        """The server's changes, each once.

        Args:
            since: The last number seen; None for a snapshot, then what comes.
            store: The store that numbered it.
            reconnect: Mend the link when it breaks; else the break is raised.
            patient: Also wait for a server that has not answered yet.
            on_link: Told of each change of the link, at once.
        """
        client = events_wire.EventsClient(since=since, store=store)
        found = Events(self._target("/v1/events", events_wire.SUBPROTOCOL), client)
        return self._running(found, reconnect=reconnect, patient=patient, on_link=on_link)

    @asynccontextmanager
    async def _running(
        self, channel: C, *, reconnect: bool, patient: bool, on_link: Callable[[LinkState], None] | None
    ) -> AsyncIterator[C]:
        async with helpers() as nursery:
            nursery.start_soon(partial(channel.run, reconnect=reconnect, patient=patient, on_link=on_link))
            yield channel

    def _target(self, path: str, subprotocol: str) -> Target:
        headers = () if self._token is None else ((b"authorization", b"Bearer " + self._token.encode()),)
        return Target(
            url="ws" + self.base_url.removeprefix("http") + path,
            subprotocol=subprotocol,
            headers=headers,
            trust=self._trust,
        )


def _path(job_id: str, rest: str = "") -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}{rest}"


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ServerFaultError("The server's answer is no object.")
    return value


def _job(value: object) -> Job:
    try:
        return job_of(value)
    except LocalWireError as error:
        raise ServerFaultError(f"The server's answer is no job: {error}.") from error
