"""Reading logs by their lines; ``lines`` has the values, and how they come over the wire."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING
from urllib.parse import quote

from jobdeck_client.lines import CBOR, Found, LinePage, find_arguments, found_in, leave, page_arguments, page_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from jobdeck_client.requests import Requests


class Logs:
    """Verbs of ``Client``."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def lines(
        self,
        job_id: str,
        start: int | None = None,
        *,
        offset: int | None = None,
        count: int = 256,
        cap_bytes: int = 8192,
        stream: str | None = None,
    ) -> LinePage:
        """Lines of a log, whatever its length.

        Args:
            job_id: See ``job``.
            start: Number of the first; negative from the present end.
            offset: A byte of the first, instead of ``start``; negative from the present end.
            count: The most lines.
            cap_bytes: The most bytes of each.
            stream: ``stdout`` or ``stderr``, with numbers and offsets of its own; None for both in their order.

        Raises:
            OffsetError: The offset is beyond the end of an ended job's output.
        """
        query = page_arguments(start, offset, count, cap_bytes, stream)
        return page_of(await self._requests.get(_path(job_id, "lines"), query=query, headers={"Accept": CBOR}))

    async def find(
        self,
        job_id: str,
        pattern: str,
        *,
        regex: bool = False,
        case: bool = True,
        start: int | None = None,
        backward: bool = False,
        limit: int = 100,
        stream: str | None = None,
    ) -> AsyncGenerator[Found, None]:
        """Search a log: each ``Hit``, now and then a ``Progress``, and ``Done`` at the end.

        Leaving it early ends the search on the server; use ``aclosing``.

        Args:
            job_id: See ``job``.
            pattern: Words, or a regular expression of RE2; a match lies within one line.
            regex: It is a regular expression.
            case: Upper and lower case are told apart.
            start: Number of the line to begin with; negative from the end; None for all of the log.
            backward: Go from there to smaller numbers.
            limit: The most hits.
            stream: See ``lines``.

        Raises:
            RefusedError: The pattern is none.
            ServerFaultError: The search was broken off.
        """
        query = find_arguments(
            pattern, regex=regex, case=case, start=start, backward=backward, limit=limit, stream=stream
        )
        async with self._requests.streamed(_path(job_id, "find"), query=query) as pieces:
            try:
                async with aclosing(found_in(pieces)) as found:
                    async for each in found:
                        yield each
            finally:
                await leave(pieces)


def _path(job_id: str, part: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}/{part}"
