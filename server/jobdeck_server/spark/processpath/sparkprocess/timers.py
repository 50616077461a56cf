"""Calls at a later time, for the one loop."""

from __future__ import annotations

import heapq
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Timers"]


class Timers:
    """What is to be called, and when."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call it once, so many seconds from now."""
        self._count += 1  # two of one time are called in their order, and functions have none
        heapq.heappush(self._due, (time.monotonic() + delay_s, self._count, call))

    def patience_s(self) -> float | None:
        """How long nothing is due; None for ever."""
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def run(self) -> None:
        """Call what is due by now."""
        now_s = time.monotonic()
        while self._due and self._due[0][0] <= now_s:
            heapq.heappop(self._due)[2]()
