"""What all connections of a server share, and the wish to end, which is told to everything that has a connection.

Nothing is cancelled by ``Shutdown``: each connection knows what it is doing (waiting, answering, following, talking
WebSocket) and so what ending means for it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator

    from jobdeck_server.http.message import Handler, Response
    from jobdeck_server.settings import Settings


class Shutdown:
    """Begins once and is never taken back."""

    def __init__(self) -> None:
        self._begun = trio.Event()
        self._hooks: set[Callable[[], object]] = set()

    @property
    def begun(self) -> bool:
        """Whether it has begun."""
        return self._begun.is_set()

    async def wait(self) -> None:
        """Wait until it begins."""
        await self._begun.wait()

    def begin(self) -> None:
        """Tell all hooks, once; they run before this returns."""
        if self.begun:
            return
        self._begun.set()
        for hook in list(self._hooks):
            hook()

    @contextmanager
    def told(self, hook: Callable[[], object]) -> Iterator[None]:
        """Have ``hook`` called when it begins; at once if it has begun already."""
        if self.begun:
            hook()
        self._hooks.add(hook)
        try:
            yield
        finally:
            self._hooks.discard(hook)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What all connections of a server share.

    Attributes:
        app: Answers a request. It turns the refusals of the core and the guard into answers itself.
        failure: The words for an error at a path; never raises.
        settings: Limits.
        log: One line a request, and tracebacks of bugs.
        shutdown: Begins when the server is to end.
    """

    app: Handler
    failure: Callable[[Exception, str], Response]
    settings: Settings
    log: logging.Logger
    shutdown: Shutdown
