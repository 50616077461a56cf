"""What a window on a log lacks, asked of the server; one feed for each log that a pane shows.

The end is asked for again and again while it is followed: one question at a time, the next as soon as the answer to the
last one came and the log has grown since. So a log may grow as fast as it likes: what arrives is one screen for each
round trip. Lines above are asked for by the page, where the window is now and not where it was.

A question that fails is asked again after a while; who owns the feed is told why, and that it works again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from jobdeck_client import ClientError, NotFoundError
from jobdeck_client.errors import RefusedError
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.settings import LINE_CAP_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from jobdeck_client.lines import LinePage
    from jobdeck_protocol.job import Job
    from jobdeck_tui.console.api import Api
    from jobdeck_tui.console.logmodel import Ask
    from jobdeck_tui.console.logtext import Tail
    from jobdeck_tui.console.state import LogKey, LogSize
    from jobdeck_tui.console.widgets.log_window import LogWindow

__all__ = ["Feed", "Owner", "Trouble", "open_job"]

T = TypeVar("T")
_GONE = 410


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something is not there.

    Attributes:
        words: A sentence, with foreign text in it.
        final: It will never be there.
    """

    words: str
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """What a feed needs of the pane that it feeds.

    Attributes:
        run: Runs a coroutine function for as long as the pane is there.
        failed: Told why a question failed, None when one was answered again.
        later: Calls something after the usual wait.
    """

    run: Callable[[Callable[[], Coroutine[None, None, None]]], object]
    failed: Callable[[Trouble | None], None]
    later: Callable[[Callable[[], None]], object]


class Feed:
    """See the top of this file.

    Attributes:
        key: The log.
        size: How long it is, as far as was told; None before.
        begun: An answer came.
    """

    def __init__(self, api: Api, key: LogKey, view: LogWindow, owner: Owner) -> None:
        self.key = key
        self.size: LogSize | None = None
        self.begun = False
        self._api = api
        self._view = view
        self._owner = owner
        self._closed = False
        self._end_wanted = False
        self._end_busy = False
        self._tails: set[Tail] = set()
        self._waiting = False
        self._broken = False

    def close(self) -> None:
        """Another log is shown: answers that are under way are dropped."""
        self._closed = True

    def grown(self, size: LogSize) -> None:
        """The log was told to be so long."""
        self.size = size
        if not self._view.follow:
            self._view.grow(size.line_count, size.indexed_bytes)
        self.fill()

    def fill(self) -> None:
        """Ask for what is lacking, if it is seen, and unless it is waited because of a failure."""
        if self._closed or self._waiting or not self._view.window.height:
            return
        if self._view.follow and self._behind:
            self._end_wanted = True
            if not self._end_busy:
                self._end_busy = True
                self._owner.run(self._ask_end)
        elif not self._view.follow and self.size is not None and self._view.line_count < self.size.line_count:
            self._view.grow(self.size.line_count, self.size.indexed_bytes)
        asks, tails = self._view.needs()
        for ask in asks:
            self._owner.run(partial(self._ask, ask))
        for tail in tails:
            if tail not in self._tails:
                self._tails.add(tail)
                self._owner.run(partial(self._ask_tail, tail))

    @property
    def _behind(self) -> bool:
        """The log was told to be longer than the window knows."""
        known_bytes = self._view.text.pages.size_bytes
        return not self.begun or (self.size is not None and self.size.indexed_bytes > known_bytes)

    # -- questions --

    async def _ask_end(self) -> None:
        try:
            while self._end_wanted and not self._closed:
                self._end_wanted = False
                count = self._view.end_count
                page = await self._answer(self._lines(-count, count))
                if page is None:
                    break
                self.begun = True
                self._view.take_end(page.lines, page.total, page.indexed_bytes)
        finally:
            self._end_busy = False

    async def _ask(self, ask: Ask) -> None:
        page = await self._answer(self._lines(ask.start, ask.lines))
        if self._closed:
            return
        self._view.text.pages.settled(ask)
        if page is None:
            return
        if not page.lines:
            self._wait()  # the server is not as far as it said; do not ask in circles
            return
        self._view.take(page.lines)

    async def _ask_tail(self, tail: Tail) -> None:
        try:
            data = await self._answer(self._api.output(self.key[0], stream=self.key[1], start=tail.start, end=tail.end))
        finally:
            self._tails.discard(tail)
        if data is not None:
            self._view.take_tail(tail, data)

    def _lines(self, start: int, count: int) -> Awaitable[LinePage]:
        job_id, stream = self.key
        return self._api.lines(job_id, start=start, count=count, cap_bytes=LINE_CAP_BYTES, stream=stream)

    async def _answer(self, question: Awaitable[T]) -> T | None:
        """The answer; None for none, or if nobody wants it any more."""
        try:
            answer = await question
        except ClientError as error:
            self._fail(error)
        except GuestEndedError:
            self._closed = True
        else:
            if not self._closed:
                if self._broken:
                    self._broken = False
                    self._owner.failed(None)
                return answer
        return None

    # -- failures --

    def _fail(self, error: ClientError) -> None:
        if self._closed:
            return
        trouble = _trouble(error)
        self._broken = True
        self._owner.failed(trouble)
        if trouble.final:
            self.close()
        else:
            self._wait()

    def _wait(self) -> None:
        if not self._waiting:
            self._waiting = True
            self._owner.later(self._again)

    def _again(self) -> None:
        self._waiting = False
        self.fill()


async def open_job(api: Api, job_id: str) -> Job | Trouble:
    """A job, kept up to date from now on; or why it cannot be had."""
    try:
        return await api.open(job_id)
    except ClientError as error:
        return _trouble(error)
    except GuestEndedError:
        return Trouble("", final=True)


def _trouble(error: ClientError) -> Trouble:
    gone = isinstance(error, NotFoundError) or (isinstance(error, RefusedError) and error.status == _GONE)
    return Trouble(str(error), final=gone)
