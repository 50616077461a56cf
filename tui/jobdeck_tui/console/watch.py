"""What changes all the time, read again and again while somebody looks; and once whenever the link is new.

Lists of few things (``few``) are small and read whole. With one may come what belongs to the thing that is looked at.
Subclasses say what is read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import trio

from jobdeck_client import ClientError
from jobdeck_tui.console.few import FewAsked, FewCame, FewFailed, FewJobsCame, Kind
from jobdeck_tui.console.settings import FEW_EVERY_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobdeck_client import Client
    from jobdeck_tui.console.few import FewMessage
    from jobdeck_tui.console.state import State

__all__ = ["Watch"]


class Watch:
    """See the top of this file.

    Args:
        client: Asks.
        tell: Takes a message into the state.
        state: The state as it stands.
    """

    KIND: ClassVar[Kind]

    def __init__(self, client: Client, tell: Callable[[FewMessage], None], state: Callable[[], State]) -> None:
        self.client = client
        self.state = state
        self._tell = tell
        self._seen = False
        self._looked_at: str | None = None
        self._bell = trio.Event()

    async def every(self) -> Sequence[Any]:
        """Ask for all of them."""
        raise NotImplementedError

    async def jobs_of(self, item_id: str) -> FewJobsCame | None:
        """Ask for jobs of the one that is looked at; None where there is nothing to tell."""
        del item_id
        return None

    def look(self, item_id: str | None, *, seen: bool = True) -> None:
        """Somebody sees the list, and the jobs of one of them; or, without ``seen``, nobody any more."""
        if (seen, item_id) != (self._seen, self._looked_at):
            self._seen, self._looked_at = seen, item_id
            self.read()

    def read(self) -> None:
        """Read all of it at once."""
        self._bell.set()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            with trio.move_on_after(FEW_EVERY_S if self._seen else math.inf):
                await self._bell.wait()
            self._bell = trio.Event()
            if self.state().live:
                await self._read()

    async def _read(self) -> None:
        self._tell(FewAsked(kind=self.KIND))
        try:
            self._tell(FewCame(kind=self.KIND, items=tuple(await self.every())))
            if self._seen and self._looked_at is not None:
                jobs = await self.jobs_of(self._looked_at)
                if jobs is not None:
                    self._tell(jobs)
        except ClientError as error:
            if self.state().live:  # else the link tells more of it
                self._tell(FewFailed(kind=self.KIND, error=str(error)))
