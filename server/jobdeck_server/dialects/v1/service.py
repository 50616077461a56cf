"""What the native API tells of the server itself: information, health, its description, and the stream of events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_server.dialects.base import Dialect, Route
from jobdeck_server.dialects.v1 import openapi
from jobdeck_server.dialects.v1.blobs import BlobRoutes
from jobdeck_server.dialects.v1.callbacks import CallbackRoutes
from jobdeck_server.dialects.v1.classes import Classes
from jobdeck_server.dialects.v1.contexts import ContextRoutes
from jobdeck_server.dialects.v1.jobs import Jobs, answer
from jobdeck_server.dialects.v1.lines import LogLines
from jobdeck_server.dialects.v1.packages import PackageRoutes
from jobdeck_server.dialects.v1.problem import failure
from jobdeck_server.dialects.v1.workerfiles import WorkerFileRoutes
from jobdeck_server.dialects.v1.workers import WorkerRoutes
from jobdeck_server.http.message import Answer, Handler, Request, Response, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobdeck_server.core.binaries import Binaries
    from jobdeck_server.core.blobs import Blobs
    from jobdeck_server.core.callbacks import Callbacks
    from jobdeck_server.core.contexts import Contexts
    from jobdeck_server.core.hocon import ConfigReader
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.packagejobs import PackageJobs
    from jobdeck_server.core.workers import Workers

ChannelAnswer = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What never changes while a server runs. ``urls`` are those of its listeners."""

    version: str
    urls: tuple[str, ...]
    data_dir: str


class Service:
    """The handlers beside ``/v1/jobs``. ``dialects`` is asked when the OpenAPI document is, and holds all of them."""

    def __init__(
        self,
        core: JobCore,
        blobs: Blobs,
        binaries: Binaries,
        contexts: Contexts,
        package_jobs: PackageJobs,
        callbacks: Callbacks,
        configs: ConfigReader,
        workers: Workers,
        about: About,
        *,
        events_socket: ChannelAnswer,
        worker_socket: ChannelAnswer,
        dialects: Callable[[], Sequence[Dialect]],
    ) -> None:
        self._core = core
        self._blobs = blobs
        self._binaries = binaries
        self._contexts = contexts
        self._package_jobs = package_jobs
        self._callbacks = callbacks
        self._configs = configs
        self._workers = workers
        self._about = about
        self._events_socket = events_socket
        self._worker_socket = worker_socket
        self._dialects = dialects

    def dialect(self) -> Dialect:
        """The native API's part of the table of routes."""
        own: tuple[tuple[str, Handler, Role, str, openapi.Piece], ...] = (
            ("/v1/info", self.info, Role.VIEW, "About this server", {}),
            ("/v1/events", self.events, Role.VIEW, "Numbered stream of changes (WebSocket)", openapi.EVENTS),
            ("/v1/worker", self.worker, Role.WORKER, "The channel of a worker (WebSocket)", openapi.WORKER),
            ("/healthz", self.health, Role.NONE, "Whether it answers", {}),
            ("/openapi.json", self.description, Role.NONE, "This document", {}),
        )
        routes = tuple(
            Route(method="GET", pattern=pattern, handler=handler, role=role, summary=summary, doc=doc)
            for pattern, handler, role, summary, doc in own
        )
        settings = self._core.settings
        reader = self._configs
        classes = Classes(self._core, self._package_jobs, reader)
        return Dialect(
            name="v1",
            segments=frozenset({"v1", "healthz", "openapi.json"}),
            routes=(
                *Jobs(self._core, self._workers, classes).routes(),
                *classes.routes(),
                *CallbackRoutes(self._core, self._callbacks).routes(),
                *LogLines(self._core).routes(),
                *BlobRoutes(self._blobs).routes(),
                *PackageRoutes(self._binaries, reader).routes(),
                *ContextRoutes(self._contexts, reader, body_limit_bytes=settings.body_limit_bytes).routes(),
                *WorkerFileRoutes(self._core, self._blobs).routes(),
                *WorkerRoutes(self._workers, body_limit_bytes=settings.body_limit_bytes).routes(),
                *routes,
            ),
            failure=failure,
        )

    async def info(self, request: Request) -> Response:
        """Version, the caller's role, and how many jobs stand in each state."""
        core = self._core
        return answer(
            {
                "name": "jobdeck",
                "version": self._about.version,
                "store": core.events.store_id,
                "urls": list(self._about.urls),
                "role": request.identity.role.name.lower(),
                "counts": {state.value: count for state, count in core.counts.items()},
                "running_limit": core.settings.running_limit_count,
                "last_event": core.events.last,
                "restored": self._workers.restored,
            }
        )

    async def events(self, request: Request) -> Answer:
        """The stream; a plain GET is told to upgrade."""
        return await self._events_socket(request)

    async def worker(self, request: Request) -> Answer:
        """The channel of a worker; a plain GET is told to upgrade."""
        return await self._worker_socket(request)

    async def health(self, request: Request) -> Response:
        """200 as long as requests are answered; needs no token."""
        return Response(headers=(("Content-Type", "application/json"),), body=b'{"status":"SUCCESS"}')

    async def description(self, request: Request) -> Response:
        """The OpenAPI document of all routes."""
        return answer(openapi.document(self._dialects(), version=self._about.version))
