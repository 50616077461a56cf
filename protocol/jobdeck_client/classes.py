"""Jobs that are classes out of packages: started, and asked for their results and configurations (``/v1/jobs``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jobdeck_client.errors import ServerFaultError
from jobdeck_protocol.errors import LocalWireError
from jobdeck_protocol.job import time_us
from jobdeck_protocol.message import job_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from jobdeck_client.requests import Requests
    from jobdeck_protocol.job import Job

__all__ = ["Callback", "ClassOutcome", "Classes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassOutcome:
    """What came of a class out of a package.

    Attributes:
        kind: ``finished``, ``run_raised``, ``validation``, ``exited``, ``stopped``, ...; None before its end.
        message: Of the exception, or why it failed; None where nothing did.
        error_class: Of the exception.
        stack: Where it came from, in lines.
        problems: Why it has refused its configuration.
        result_kind: ``json`` or ``stream``; None where there is no result.
        result_bytes: How long that is.
    """

    kind: str | None
    message: str | None = None
    error_class: str = ""
    stack: str = ""
    problems: tuple[str, ...] = ()
    result_kind: str | None = None
    result_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """Where the telling of a job's end stands.

    Attributes:
        url: To whom, without its query.
        state: ``waiting`` for the end, ``due``, or over: ``delivered``, ``dropped``, ``silent`` (it was stopped).
        delivery: What all tries bear.
        tries_count: So far.
        next_us: When the next one is, since 1970 UTC; None if there is none to come.
        last: What the last one came to.
    """

    url: str
    state: str
    delivery: str
    tries_count: int = 0
    next_us: int | None = None
    last: str | None = None


class Classes:
    """See the top of this file."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def start(
        self,
        main_class: str,
        packages: Sequence[str],
        *,
        config: str | Mapping[str, Any] | None = None,
        context: str | None = None,
        callback_url: str | None = None,
        labels: Sequence[str] = (),
        time_limit_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Start a class. Like ``Client.submit``, it is there once, whatever happens on the way.

        Args:
            main_class: ``package.module.Class``.
            packages: Names of packages that the server has, or URIs that it may fetch.
            config: What the job is told: HOCON text, or plain values.
            context: The name of the context in which it runs; None for one of its own.
            callback_url: Where its end is told.
            labels: See ``Job``.
            time_limit_s: See ``Job``.
            idempotency_key: See ``Client.submit``.

        Raises:
            NotFoundError: There is no such package or context.
            RefusedError: The packages are not what such a job needs, the configuration cannot be read, ...
        """
        given = {
            "main_class": main_class,
            "packages": list(packages),
            "config": config if config is None or isinstance(config, str) else dict(config),
            "context": context,
            "callback_url": callback_url,
            "labels": list(labels) or None,
            "time_limit_s": time_limit_s,
        }
        body = {name: value for name, value in given.items() if value is not None}
        wire = await self._requests.make("/v1/jobs", body, idempotency_key)
        try:
            return job_of(wire)
        except LocalWireError as error:
            raise ServerFaultError(f"The server's answer is no job: {error}.") from error

    async def result(self, job_id: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes of a job's result, in pieces: JSON, or whatever it has streamed.

        Args:
            job_id: See ``Client.job``.
            start: First byte wanted.
            end: The byte after the last one wanted; None for all.

        Raises:
            NotFoundError: It has none (yet).
            OffsetError: There are not that many.
        """
        headers = {}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        async with self._requests.streamed(_path(job_id, "result"), query={}, headers=headers) as pieces:
            async for piece in pieces:
                yield piece

    async def outcome(self, job_id: str) -> ClassOutcome:
        """What came of it, and what its result is.

        Raises:
            NotFoundError: It is no class out of a package.
        """
        wire: Any = await self._requests.ask("GET", _path(job_id, "outcome"))
        try:
            failure, result = wire["error"] or {}, wire["result"] or {}
            return ClassOutcome(
                kind=wire["kind"],
                message=failure.get("message"),
                error_class=str(failure.get("class") or ""),
                stack=str(failure.get("stack") or ""),
                problems=tuple(map(str, wire["problems"])),
                result_kind=result.get("kind"),
                result_bytes=int(result.get("size_bytes") or 0),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ServerFaultError(f"The server does not say what came of the job: {error}.") from error

    async def callback(self, job_id: str) -> Callback:
        """Whether a job's end was told.

        Raises:
            NotFoundError: Nobody is told, or was so long ago that it is forgotten.
        """
        wire: Any = await self._requests.ask("GET", _path(job_id, "callback"))
        try:
            return Callback(
                url=str(wire["url"]),
                state=str(wire["state"]),
                delivery=str(wire["delivery"]),
                tries_count=int(wire["tries"]),
                next_us=None if wire["next"] is None else time_us(wire["next"]),
                last=wire["last"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ServerFaultError(f"The server does not say where the callback stands: {error}.") from error

    async def config_text(self, job_id: str) -> bytes:
        """The same as ``config``, as it is written: JSON.

        Raises:
            NotFoundError: It is no class out of a package.
        """
        return await self._requests.get(_path(job_id, "config"), query={}, headers={})

    async def config(self, job_id: str) -> dict[str, Any]:
        """The configuration that a job was started with.

        Raises:
            NotFoundError: It is no class out of a package.
        """
        wire = await self._requests.ask("GET", _path(job_id, "config"))
        if not isinstance(wire, dict):
            raise ServerFaultError("The configuration that the server tells is no object.")
        return wire


def _path(job_id: str, part: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}/{part}"
