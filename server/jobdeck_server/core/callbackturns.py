"""Whose turn it is: what is due in the order of its time, a few at once in all, and fewer for each host.

Pure: the time is given. Hosts take turns, so one with a thousand callbacks takes none from another's.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict, deque
from itertools import count
from math import inf


class Turns:
    """See the top of this file.

    Args:
        limit_count: At once.
        limit_per_host_count: At once of one host.
    """

    def __init__(self, limit_count: int, limit_per_host_count: int) -> None:
        self._limit_count = limit_count
        self._limit_per_host_count = limit_per_host_count
        self._numbers = count()
        self._later: list[tuple[float, int, str, str]] = []
        self._ready: OrderedDict[str, deque[str]] = OrderedDict()
        self._busy: Counter[str] = Counter()
        self._busy_count = 0

    def add(self, key: str, host: str, at: float) -> None:
        """Something is to be done at a time, or as soon as possible after it."""
        heapq.heappush(self._later, (at, next(self._numbers), key, host))

    def next_at(self) -> float:
        """When something more will be due; infinity if nothing will."""
        return self._later[0][0] if self._later else inf

    def take(self, now: float) -> str | None:
        """What may be done now, None if there is nothing; ``done`` must follow."""
        while self._later and self._later[0][0] <= now:
            _, _, due, whose = heapq.heappop(self._later)
            self._ready.setdefault(whose, deque()).append(due)
        if self._busy_count >= self._limit_count:
            return None
        host = next((host for host in self._ready if self._busy[host] < self._limit_per_host_count), None)
        if host is None:
            return None
        key = self._ready[host].popleft()
        if self._ready[host]:
            self._ready.move_to_end(host)
        else:
            del self._ready[host]
        self._busy[host] += 1
        self._busy_count += 1
        return key

    def done(self, host: str) -> None:
        """One of a host that was taken is over."""
        self._busy_count -= 1
        self._busy[host] -= 1
        if not self._busy[host]:
            del self._busy[host]
