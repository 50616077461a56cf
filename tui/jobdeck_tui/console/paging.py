"""Pages of one list, read as they are asked for: by cursor and by row, again after failures, not for former questions.

What is read goes into the state through ``tell``, and what is to be read next is looked up there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import trio

from jobdeck_client import ClientError, NotFoundError
from jobdeck_tui.console import state as told
from jobdeck_tui.console.pages import Ask, Place
from jobdeck_tui.console.settings import EMPTY_PAGES_LIMIT_COUNT, ROWS_PAGE_COUNT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jobdeck_tui.console.rowlist import RowList

    Items = tuple[tuple[Any, ...], str | None]
    """Rows, and the cursor of what follows them; None at the end."""

__all__ = ["REFUSED_RETRY_S", "Pager"]

REFUSED_RETRY_S = 5.0
_ROWS_AT_ONCE_COUNT = 500
"""Rows in one answer: reading them must not hold up the keys."""
_BACKWARD = frozenset({Place.ABOVE, Place.END})


class Pager:
    """See the top of this file.

    Args:
        tell: Takes a message into the state.
        rows: The list as it stands there.
        fetch: One page for a query, as the ask says.
        gone: Makes the message that a row is gone, by its id.

    Attributes:
        nursery: In which pages are read; None before the link is begun.
    """

    def __init__(
        self,
        tell: Callable[[told.Message], None],
        rows: Callable[[], RowList],
        fetch: Callable[[Any, Ask], Awaitable[Items]],
        gone: Callable[[str], told.Message],
    ) -> None:
        self.nursery: trio.Nursery | None = None
        self._tell = tell
        self._rows = rows
        self._fetch = fetch
        self._gone = gone
        self._wanted = False
        self._loads: set[trio.CancelScope] = set()

    def query(self, query: Any) -> None:  # noqa: ANN401  # each list has queries of its own
        """Show other rows."""
        self._wanted = True
        for scope in self._loads:
            scope.cancel()
        self._tell(told.QueryAsked(query=query))

    def load(self, place: Place) -> None:
        """Have a page read, if none is under way there."""
        self._wanted = True
        rows = self._rows()
        if self.nursery is None or place in rows.loading:
            return
        query: Any = rows.query
        self._tell(told.PageAsked(query=query, place=place))
        scope = trio.CancelScope()
        self._loads.add(scope)
        self.nursery.start_soon(self._load, query, place, self._rows().asks[place], scope)

    def mend(self) -> None:
        """Have a list that may not be true any more read anew; after a failure only once that is over."""
        rows = self._rows()
        lacking = rows.stale or not rows.known
        if self._wanted and self.nursery is not None and lacking and not rows.asks and rows.error is None:
            self.load(Place.AGAIN if rows.known else Place.START)

    def retry(self) -> None:
        """Read anew what could not be read."""
        if self._rows().error is not None:
            self.load(Place.AGAIN)

    async def _load(self, query: Any, place: Place, ask: Ask, scope: trio.CancelScope) -> None:  # noqa: ANN401
        """Read a page, and further ones while a filter by text finds little: what it found is shown meanwhile."""
        found_count = 0
        with scope:
            for left in reversed(range(EMPTY_PAGES_LIMIT_COUNT)):
                page = await self._read(query, place, ask)
                if page is None or scope.cancel_called:
                    break  # other rows may be wanted by now
                items, cursor = page
                self._take(query, place, items, cursor)
                found_count += len(items)
                if cursor is None or found_count >= ROWS_PAGE_COUNT or not left:
                    break
                place = Place.ABOVE if place in _BACKWARD else Place.BELOW
                if place in self._rows().loading:
                    break
                self._tell(told.PageAsked(query=query, place=place))
                ask = self._rows().asks[place]
        self._loads.discard(scope)

    def _take(self, query: Any, place: Place, items: tuple[Any, ...], cursor: str | None) -> None:  # noqa: ANN401
        found = tuple(reversed(items)) if place in _BACKWARD else items
        self._tell(told.PageCame(query=query, place=place, rows=found, more=cursor is not None, cursor=cursor))

    async def _read(self, query: Any, place: Place, ask: Ask) -> Items | None:  # noqa: ANN401
        """A page; None if it cannot be had, which is told."""
        try:
            return await self._page(query, ask, whole=place is Place.AGAIN)
        except NotFoundError:
            if ask.after is not None:
                self._tell(self._gone(ask.after))
            self._tell(told.PageFailed(query=query, place=place, error=None))
        except ClientError as error:
            self._tell(told.PageFailed(query=query, place=place, error=str(error)))
            await trio.sleep(REFUSED_RETRY_S)
            self.retry()
        return None

    async def _page(self, query: Any, ask: Ask, *, whole: bool) -> Items:  # noqa: ANN401
        """One page; with ``whole`` as many as it takes to get all rows that are wanted."""
        found: list[Any] = []
        cursor, after = ask.cursor, ask.after
        for _ in range(EMPTY_PAGES_LIMIT_COUNT):
            limit_count = min(ask.limit_count - len(found), _ROWS_AT_ONCE_COUNT)
            items, cursor = await self._fetch(query, replace(ask, limit_count=limit_count, cursor=cursor, after=after))
            found += items
            after = None
            if cursor is None or len(found) >= ask.limit_count or not whole:
                break
        return tuple(found), cursor
