"""Whose turn it is to have a JVM: it costs some seconds of a processor to start, and memory while it lives.

So few start at the same time, and of those that are of one job alone no more live than the machine is to carry: fifty
jobs that come together would else be fifty JVMs. Whoever has to wait does so in the order of coming, and as long as it
waits nothing of its patience passes.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jobdeck_protocol.contextinfo import ContextInfo
    from jobdeck_server.settings import Settings

__all__ = ["SparkTurns"]


class SparkTurns:
    """See the top of this file.

    Args:
        settings: ``spark_adhoc_limit_count`` and ``spark_start_limit_count``.
    """

    def __init__(self, settings: Settings) -> None:
        self._living = trio.CapacityLimiter(settings.spark_adhoc_limit_count)
        self._starting = trio.CapacityLimiter(settings.spark_start_limit_count)

    @asynccontextmanager
    async def turn(
        self, context: ContextInfo, *, running: bool, tell: Callable[[str | None], None]
    ) -> AsyncIterator[None]:
        """Wait until a context may start; others may when ``started`` was called, or at the end of this.

        Args:
            context: The context.
            running: It has a process: there is nothing to wait for.
            tell: Told what it waits for.
        """
        if running:
            if context.adhoc:
                with suppress(trio.WouldBlock):  # there were more before than may be now
                    self._living.acquire_on_behalf_of_nowait(context.id)
            yield
            return
        if context.adhoc:
            tell("its turn: as many contexts of one job are there as may be")
            await self._living.acquire_on_behalf_of(context.id)
        tell("its turn to start")
        await self._starting.acquire_on_behalf_of(context.id)
        try:
            tell(None)
            yield
        finally:
            self.started(context.id)

    def started(self, context_id: str) -> None:
        """A context needs no more of the machine than others now."""
        _release(self._starting, context_id)

    def over(self, context_id: str) -> None:
        """A context has no process any more."""
        _release(self._living, context_id)


def _release(limiter: trio.CapacityLimiter, context_id: str) -> None:
    if context_id in limiter.statistics().borrowers:
        limiter.release_on_behalf_of(context_id)
