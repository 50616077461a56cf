"""A bell: rung whenever there may be something to say, heard by all who wait."""

from __future__ import annotations

import trio


class Bell:
    """Take ``event`` first, then look, then wait for it: whatever happens after the look sets that very event."""

    def __init__(self) -> None:
        self.event = trio.Event()

    def ring(self) -> None:
        """Wake all who wait on the present event, and all who took it and are about to."""
        self.event.set()
        self.event = trio.Event()
