"""From a request to a dialect's answer: who may, which route, and whose words for what is refused."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from jobdeck_server.channels.attach import AttachChannel
from jobdeck_server.channels.events import EventsChannel
from jobdeck_server.channels.worker import WorkerChannel
from jobdeck_server.core import errors
from jobdeck_server.core.scheduler import Scheduler
from jobdeck_server.core.store import StoreError
from jobdeck_server.dialects.jobrunner import Jobrunner
from jobdeck_server.dialects.scheduler import SchedulerApi
from jobdeck_server.dialects.spark.service import spark
from jobdeck_server.dialects.v1.service import About, Service
from jobdeck_server.dialects.webgme.service import webgme
from jobdeck_server.guard.errors import ForbiddenError, UnauthorizedError
from jobdeck_server.http.message import Response
from jobdeck_server.http.router import Router

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobdeck_server.dialects.base import Dialect
    from jobdeck_server.guard.guard import Guard
    from jobdeck_server.http.message import Answer, Request
    from jobdeck_server.parts import Parts
    from jobdeck_server.settings import Settings


class Front:
    """See the top of this file."""

    def __init__(self, settings: Settings, parts: Parts, guard: Guard, urls: Sequence[str]) -> None:
        self._guard = guard
        core, blobs = parts.core, parts.blobs
        about = About(version=version("jobdeck"), urls=tuple(urls), data_dir=str(settings.data_dir))
        self._dialects: tuple[Dialect, ...] = (
            Jobrunner(core, attach_socket=AttachChannel(core).answer).dialect(),
            Service(
                core,
                blobs,
                parts.binaries,
                parts.contexts,
                parts.package_jobs,
                parts.callbacks,
                parts.configs,
                parts.workers,
                about,
                events_socket=EventsChannel(core).answer,
                worker_socket=WorkerChannel(parts.remote, settings, holds=guard.holds).answer,
                dialects=lambda: self._dialects,
            ).dialect(),
            webgme(blobs, parts.executor, parts.nonce),
            SchedulerApi(
                Scheduler(core, parts.workers), parts.workers, body_limit_bytes=settings.body_limit_bytes
            ).dialect(),
            spark(
                core,
                binaries=parts.binaries,
                contexts=parts.contexts,
                jobs=parts.package_jobs,
                callbacks=parts.callbacks,
                fetcher=parts.fetcher,
                data_files=parts.data_files,
                configs=parts.configs,
                patience=parts.patience,
            ),
        )
        self._router = Router(self._dialects)

    async def answer(self, request: Request) -> Answer:
        """Answer a request; refusals of guard and core are told by the dialect of the path."""
        answer = await self._answer(request)
        cors = self._guard.cors_headers(request)
        if cors and isinstance(answer, Response):
            return replace(answer, headers=(*answer.headers, *cors))
        return answer

    async def _answer(self, request: Request) -> Answer:
        dialect = self._router.dialect_of(request.path)
        request = dialect.meant(request)
        try:
            self._guard.check_source(request)
            match = self._router.match(request.method, request.path)
            dialect = match.dialect
            preflight = self._guard.preflight(request, match.allow)
            if preflight is not None:
                return preflight
            if match.route is None:
                return match.answer()
            identity = self._guard.identify(request, needed=match.route.role)
            return await match.route.handler(replace(request, params=match.params, identity=identity))
        except ForbiddenError as error:
            return dialect.failure(errors.ForbiddenError(str(error)))
        except UnauthorizedError as error:
            return dialect.failure(errors.UnauthorizedError(str(error)))
        except (errors.JobdeckError, StoreError) as error:
            return dialect.failure(error)

    def failure(self, error: Exception, path: str) -> Response:
        """The words for any error at a path."""
        return self._router.dialect_of(path).failure(error)
