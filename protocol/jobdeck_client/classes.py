"""Jobs that are classes out of packages: started, and asked for their results and configurations (``/v1/jobs``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jobdeck_client.errors import ServerFaultError
from jobdeck_protocol.errors import LocalWireError
from jobdeck_protocol.message import job_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from jobdeck_client.requests import Requests
    from jobdeck_protocol.job import Job

__all__ = ["Classes"]


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
