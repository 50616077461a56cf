"""Lanes: orders for one job are carried out one after the other, those for different jobs at once."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from jobdeck_protocol.errors import CLOSE_BAD_ORDER, RemoteWireError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import trio

T = TypeVar("T")

LIMIT_COUNT = 4096
"""Orders for one job that wait; a server that gives more is told off."""


class Lanes(Generic[T]):
    """See the top of this file.

    Args:
        work: Carries out one order.
        nursery: Owns the tasks; there is one for each job with something to do.
    """

    def __init__(self, work: Callable[[T], Awaitable[None]], nursery: trio.Nursery) -> None:
        self._work = work
        self._nursery = nursery
        self._lanes: dict[str, deque[T]] = {}

    def put(self, name: str, order: T) -> None:
        """Have an order carried out after all that were put into this lane before.

        Raises:
            RemoteWireError: Too many wait.
        """
        lane = self._lanes.get(name)
        if lane is None:
            self._lanes[name] = deque([order])
            self._nursery.start_soon(self._run, name)
        elif len(lane) >= LIMIT_COUNT:
            raise RemoteWireError("too many orders for one job", close_code=CLOSE_BAD_ORDER)
        else:
            lane.append(order)

    async def _run(self, name: str) -> None:
        lane = self._lanes[name]
        while lane:
            await self._work(lane.popleft())
        del self._lanes[name]
