"""Work on values that may be large, such as the text of a record of 100,000 files: in a thread if it would be felt."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# Of JSON: some milliseconds of parsing or writing. Going to a thread and back costs a tenth of one.
_FELT_BYTES = 128 * 1024


class Aside:
    """Where such work is done; it shares the interpreter with everybody, but nobody has to wait for its end."""

    def __init__(self, limit_count: int) -> None:
        self._limiter = trio.CapacityLimiter(limit_count)

    async def run(self, size_bytes: int, work: Callable[[], T]) -> T:
        """The result of ``work``, which must touch nothing that others change; ``size_bytes`` says how much it is."""
        if size_bytes < _FELT_BYTES:
            return work()
        return await trio.to_thread.run_sync(work, limiter=self._limiter)
