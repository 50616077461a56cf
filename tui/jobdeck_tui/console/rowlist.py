"""A list as far as the console holds it: a window on the server's list, kept true by the events. Pure.

Its rows are jobs, or blobs; what of them it shows and in which order is said by its query (``Asked``).

The window is a run of neighbouring rows in the order of the query. It covers everything from the key ``first`` to the
key ``last``: a row that is told and belongs there is taken in, one that belongs beyond is not. Pages are put on its
ends; when it grows too long, rows fall off the end that the reader is further away from.

What can go wrong, and why it does not:

- A page was read before a change and comes after it: what is told while a page is under way is kept (``fresh``), and
  told again on top of the page.
- A page was read after a change and comes before it: the change is told later, and lands where it belongs; a row that
  stands on both is taken from the page.
- The end of the window is no longer where it was when the page was asked for: the page is void.
- The row after which a page was asked for had moved: each such page begins with the row that is known to follow
  (``Ask.neighbour``), and where it does not, the window is read anew.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from jobdeck_tui.console.pages import HIGHEST, LOWEST, Ask, Asked, Key, Page, Place, Row, flipped
from jobdeck_tui.console.settings import ROWS_LIMIT_COUNT, ROWS_PAGE_COUNT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["RowList", "asked", "came", "doubted", "failed", "gone", "queried", "told"]

K = TypeVar("K")
V = TypeVar("V")
L = TypeVar("L", bound="RowList")


_ENDS = frozenset({Place.ABOVE, Place.BELOW})


@dataclass(frozen=True, slots=True, kw_only=True)
class RowList:
    """The window.

    Attributes:
        query: What it shows.
        rows: In the order of the query, no id twice.
        first: Everything from this key on is held, ...
        last: ... up to this one.
        cursor: Where the server goes on below, None if only a row can tell.
        cursor_above: The same above.
        known: A page has come; before that nothing is known of the list.
        stale: It may not be true any more, and is to be read anew; what it shows stands until then.
        unseen_count: Rows that came above the window since its top was held.
        error: Why the last page could not be had, None if it could.
        asks: Pages under way.
        reading: Where the reader went last: rows fall off the other end.
        fresh: What was told while a page was under way, by id; None for a row that was removed.
        top: The lowest key that was held or counted when the window left the list's start: what comes above it is new.
        held: The key of each row, by its id.
    """

    query: Asked
    rows: Sequence[Any] = ()
    first: Key = LOWEST
    last: Key = LOWEST
    cursor: str | None = None
    cursor_above: str | None = None
    known: bool = False
    stale: bool = False
    unseen_count: int = 0
    error: str | None = None
    asks: Mapping[Place, Ask] = field(default_factory=dict)
    reading: Place = Place.START
    fresh: Mapping[str, Any] = field(default_factory=dict)
    top: Key = LOWEST
    held: Mapping[str, Key] = field(default_factory=dict, repr=False)

    @property
    def above(self) -> bool:
        """There may be rows before the first one."""
        return self.first != LOWEST

    @property
    def below(self) -> bool:
        """There may be rows after the last one."""
        return self.last != HIGHEST

    def index(self) -> Mapping[str, int]:
        """The place of each row among those held, by its id."""
        return {row.id: n for n, row in enumerate(self.rows)}

    @property
    def loading(self) -> frozenset[Place]:
        """Pages under way."""
        return frozenset(self.asks)


# -- what the user asks for, and what becomes of it --


def queried(window: L, query: Asked) -> L:
    """The list of another query: until its first page comes, those of the rows held that belong on it."""
    key = query.key_of()
    rows = tuple(sorted((row for row in window.rows if query.matches(row)), key=key))
    return type(window)(query=query, rows=rows, held=_held(query, rows), stale=True)


def asked(window: L, query: Asked, place: Place) -> L:
    """A page is under way."""
    if query != window.query:
        return window
    reading = window.reading if place is Place.AGAIN else place
    return replace(window, asks=_with(window.asks, place, _ask(window, place)), reading=reading)


def failed(window: L, query: Asked, place: Place, error: str | None) -> L:
    """A page could not be had; without ``error`` because the row it was asked for is gone: the list is read anew."""
    if query != window.query:
        return window
    # If it was the window's own first row, the list's is taken: the others may be gone as well.
    first = LOWEST if error is None and place is Place.AGAIN else window.first
    return replace(_arrived(window, place), error=error, stale=window.stale or error is None, first=first)


def came(window: L, query: Asked, place: Place, page: Page) -> L:
    """A page came."""
    ask = window.asks.get(place)
    if query != window.query or ask is None:
        return window
    fresh, page = window.fresh, _single(page)
    window = replace(_arrived(window, place), error=None)
    if ask.void and (window.known or place in _ENDS):
        return window
    if place in _ENDS:
        if ask.neighbour is not None and _neighbour(page, place) != ask.neighbour:
            return doubted(window)
        if ask.cursor is None and ask.after is None:
            place = Place.START if place is Place.BELOW else Place.END
    window = _joined(window, place, page) if place in _ENDS else _renewed(window, place, ask, page)
    for row_id, row in fresh.items():
        window = _gone(window, row_id) if row is None else _told(window, row)
    return window


def doubted(window: L) -> L:
    """Changes may have been missed, by the rows held and by the pages under way."""
    # What was told so far may have been followed by what was missed: it is not to be told on top of later pages.
    return replace(window, stale=True, asks=_voided(window.asks, *Place), fresh={})


# -- what the server tells --


def told(window: L, row: Row) -> L:
    """A row as it stands now."""
    if window.asks:
        window = replace(window, fresh=_with(window.fresh, row.id, row))
    return _told(window, row)


def gone(window: L, row_id: str) -> L:
    """A row was removed."""
    if window.asks:
        window = replace(window, fresh=_with(window.fresh, row_id, None))
    return _gone(window, row_id)


def _told(window: L, row: Row) -> L:
    old = window.held.get(row.id)
    belongs = window.query.matches(row) if old is None else window.query.still_matches(row)
    key = window.query.key_of()(row) if belongs else None
    if old is None:
        return window if key is None else _placed(window, row, key)
    at = _index(window, row.id, old)
    if key == old:
        return replace(window, rows=(*window.rows[:at], row, *window.rows[at + 1 :]))
    window = _without(window, row.id, at)
    return window if key is None else _placed(window, row, key)


def _gone(window: L, row_id: str) -> L:
    key = window.held.get(row_id)
    return window if key is None else _without(window, row_id, _index(window, row_id, key))


def _placed(window: L, row: Row, key: Key) -> L:
    """Take a row in if the window covers its place."""
    if key < window.first:
        return _passed_above(window, key)
    if key > window.last:
        # A search may have looked past its place already, and would go on from further below.
        return replace(window, cursor=None) if window.query.text is not None and window.cursor is not None else window
    at = bisect_right(window.rows, key, key=window.query.key_of())
    at_end = window.reading in (Place.BELOW, Place.END)
    if at == 0 and at_end and len(window.rows) >= ROWS_LIMIT_COUNT:
        return _passed_above(_cut_off(window, 0), key)
    rows = (*window.rows[:at], row, *window.rows[at:])
    return _trimmed(replace(window, rows=rows, held=_with(window.held, row.id, key)), at_start=at_end)


def _passed_above(window: L, key: Key) -> L:
    if window.query.text is not None and window.cursor_above is not None:
        window = replace(window, cursor_above=None)
    return replace(window, unseen_count=window.unseen_count + 1, top=key) if key < window.top else window


def _without(window: L, row_id: str, at: int) -> L:
    rows = (*window.rows[:at], *window.rows[at + 1 :])
    held = _less(window.held, row_id)
    # A window without rows but with some above it has nothing to go on from.
    return replace(window, rows=rows, held=held, stale=window.stale or (not rows and window.above))


def _index(window: L, row_id: str, key: Key) -> int:
    """Where a row stands; rows of one moment may stand a little off the place that their key says."""
    at = bisect_left(window.rows, key, key=window.query.key_of())
    near = chain(range(at, min(at + 4, len(window.rows))), range(len(window.rows)))
    return next(index for index in near if window.rows[index].id == row_id)


# -- pages --


def _ask(window: L, place: Place) -> Ask:
    """How the page of a place is asked for, as the window is now."""
    sort, rows, count = window.query.sort, window.rows, ROWS_PAGE_COUNT
    match place:
        case Place.START:
            return Ask(sort=sort, limit_count=count)
        case Place.END:
            return Ask(sort=flipped(sort), limit_count=count)
        case Place.AGAIN:
            after = rows[0].id if window.above and rows else None
            return Ask(sort=sort, limit_count=max(len(rows) if window.known else 0, count), after=after)
        case Place.BELOW:
            return _onward(sort, count, window.cursor, *(row.id for row in rows[-2:]))
        case Place.ABOVE:
            return _onward(flipped(sort), count, window.cursor_above, *(row.id for row in reversed(rows[:2])))


def _onward(sort: str, count: int, cursor: str | None, *ends: str) -> Ask:
    """A page beyond an end of the window, of which the last two rows are given.

    Without a cursor it is asked for after the last row but one, so that it begins with the last one. If there are not
    as many, the list is read from its end (see ``came``).
    """
    if cursor is not None or len(ends) < 2:
        return Ask(sort=sort, limit_count=count, cursor=cursor)
    return Ask(sort=sort, limit_count=count + 1, after=ends[0], neighbour=ends[1])


def _single(page: Page) -> Page:
    """The page with each row once: while it was read in parts, one may have moved from an earlier to a later part."""
    rows = {row.id: row for row in page.rows}
    return page if len(rows) == len(page.rows) else replace(page, rows=tuple(rows.values()))


def _neighbour(page: Page, place: Place) -> str | None:
    return page.rows[-1 if place is Place.ABOVE else 0].id if page.rows else None


def _arrived(window: L, place: Place) -> L:
    """A page is not under way any more."""
    asks = _less(window.asks, place) if place in window.asks else window.asks
    return replace(window, asks=asks, fresh=window.fresh if asks else {})


def _joined(window: L, place: Place, page: Page) -> L:
    """The window with a page at one of its ends."""
    on_page = {row.id for row in page.rows}
    kept = tuple(row for row in window.rows if row.id not in on_page)
    key = window.query.key_of()
    if place is Place.BELOW:
        end = HIGHEST if not page.more else key(page.rows[-1]) if page.rows else window.last
        window = replace(window, rows=kept + page.rows, last=end, cursor=page.cursor)
    else:
        end = LOWEST if not page.more else key(page.rows[0]) if page.rows else window.first
        unseen = window.unseen_count if page.more else 0
        window = replace(window, rows=page.rows + kept, first=end, cursor_above=page.cursor, unseen_count=unseen)
    return _trimmed(_ordered(window), at_start=place is Place.BELOW)


def _renewed(window: L, place: Place, ask: Ask, page: Page) -> L:
    """The window that a page alone makes."""
    key = window.query.key_of()
    lowest = key(page.rows[0]) if page.rows else LOWEST
    highest = key(page.rows[-1]) if page.rows else LOWEST
    if place is Place.END:
        first, last = (lowest if page.rows else HIGHEST) if page.more else LOWEST, HIGHEST
    else:
        first, last = LOWEST if ask.after is None else lowest, highest if page.more else HIGHEST
    at_end = place is Place.END
    return _ordered(
        replace(
            window,
            rows=page.rows,
            first=first,
            last=last,
            cursor=None if at_end else page.cursor,
            cursor_above=page.cursor if at_end else None,
            known=True,
            stale=ask.void or (ask.after is not None and not page.rows),
            unseen_count=window.unseen_count if first != LOWEST else 0,
            asks=_voided(window.asks, *Place),
            top=_top(window),
        )
    )


def _top(window: L) -> Key:
    """See ``RowList.top``, for a window that may be about to leave the list's start."""
    return window.query.key_of()(window.rows[0]) if window.known and not window.above and window.rows else window.top


def _ordered(window: L) -> L:
    """The window with its rows where their keys say.

    A page by state may tell a row by a record that is ahead of its place on the page. Acceptance never changes: there
    the page's order is the truth, and times that disagree with it are not.
    """
    rows = window.rows
    if window.query.by != "created":
        key = window.query.key_of()
        rows = tuple(sorted((row for row in rows if window.first <= key(row) <= window.last), key=key))
    return replace(window, rows=rows, held=_held(window.query, rows))


def _trimmed(window: L, *, at_start: bool) -> L:
    """Not more rows than may be held; those that go are fetched again when somebody goes there."""
    excess = len(window.rows) - ROWS_LIMIT_COUNT
    if excess <= 0:
        return window
    if at_start:
        return _cut_off(window, excess)
    rows, fallen = window.rows[:-excess], window.rows[-excess:]
    held = _less(window.held, *(row.id for row in fallen))
    last, asks = window.query.key_of()(rows[-1]), _voided(window.asks, Place.BELOW)
    return replace(window, rows=rows, held=held, last=last, cursor=None, asks=asks)


def _cut_off(window: L, count: int) -> L:
    """The window without so many rows at its start; there is something above it now."""
    fallen, rows = window.rows[:count], window.rows[count:]
    held = _less(window.held, *(row.id for row in fallen))
    first, asks = window.query.key_of()(rows[0]), _voided(window.asks, Place.ABOVE)
    return replace(window, rows=rows, held=held, first=first, cursor_above=None, top=_top(window), asks=asks)


def _voided(asks: Mapping[Place, Ask], *places: Place) -> Mapping[Place, Ask]:
    return {key: replace(ask, void=ask.void or key in places) for key, ask in asks.items()}


def _held(query: Asked, rows: Sequence[Any]) -> Mapping[str, Key]:
    key = query.key_of()
    return {row.id: key(row) for row in rows}


def _with(values: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    return {**values, key: value}


def _less(values: Mapping[K, V], *keys: K) -> Mapping[K, V]:
    left = {**values}
    for key in keys:
        del left[key]
    return left
