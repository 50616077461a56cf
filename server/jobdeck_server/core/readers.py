"""How many attaches a server has open, over HTTP and WebSocket together: slow ones are legal, so they are bounded."""

from __future__ import annotations

from collections.abc import Callable

from jobdeck_server.core.errors import CapacityError


class Readers:
    """A count with a limit."""

    def __init__(self, limit_count: int) -> None:
        self._limit_count = limit_count
        self.open_count = 0

    def take(self) -> Callable[[], None]:
        """Open one more; call what is returned when it ends, as often as you like.

        Raises:
            CapacityError: There are as many as there may be.
        """
        if self.open_count >= self._limit_count:
            raise CapacityError("There are too many attaches; try again later.")
        self.open_count += 1
        held = [True]

        def give_back() -> None:
            if held:
                held.clear()
                self.open_count -= 1

        return give_back
