"""Waits of requests that end early: when their time is up, when their client has gone, when the server ends.

What is waited for goes on; only the wait ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class Patience:
    """All such waits of a server."""

    def __init__(self) -> None:
        self._over = trio.Event()

    @property
    def closed(self) -> bool:
        """Whether the server is about to end."""
        return self._over.is_set()

    def close(self) -> None:
        """No request waits any longer."""
        self._over.set()

    async def wait(
        self, work: Callable[[], Awaitable[T]], *, limit_s: float, gone: Callable[[], Awaitable[object]] | None = None
    ) -> T | None:
        """What ``work`` returns; None if the wait has ended before it did.

        Args:
            work: Cancelled when the wait ends.
            limit_s: Not longer than this; 0 and less looks once.
            gone: Returns when nobody is there any more to be told; None if that cannot be known.

        Raises:
            Exception: What ``work`` raises.
        """
        found: T | None = None
        fault: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + max(0.0, limit_s)

            async def watch(early: Callable[[], Awaitable[object]]) -> None:
                await early()
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch, self._over.wait)
            if gone is not None:
                nursery.start_soon(watch, gone)
            try:
                found = await work()
            except Exception as error:  # noqa: BLE001  # of this task alone: the nursery would put a group around it
                fault = error
            nursery.cancel_scope.cancel()
        if fault is not None:
            raise fault
        return found
