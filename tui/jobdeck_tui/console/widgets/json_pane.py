"""JSON of any size as a tree: read on as one scrolls, searched, copied.

A piece is read when its rows come near, and scanned a little at a time between the keys; so neither a long text nor a
deep one makes anybody wait. Of a huge one only the beginning is shown, and that is told.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Vertical
from textual.message import Message

from jobdeck_client import ClientError, NotFoundError
from jobdeck_tui.console.bindings import key
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.jsonscan import STRING
from jobdeck_tui.console.jsontree import JsonList, JsonTree
from jobdeck_tui.console.pages import HIGHEST, Ask, Place
from jobdeck_tui.console.settings import (
    COPY_LIMIT_BYTES,
    JSON_LIMIT_BYTES,
    JSON_PIECE_BYTES,
    JSON_STEPS_COUNT,
    JSON_UNFOLDED_LIMIT_COUNT,
    RETRY_S,
)
from jobdeck_tui.console.widgets.json_search import JsonSearch
from jobdeck_tui.console.widgets.json_table import JsonTable
from jobdeck_tui.console.widgets.list_foot import ListFoot, Standing
from jobdeck_tui.console.widgets.search_bar import SearchBar
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType

    Read = Callable[[int, int], Awaitable[bytes]]
    """Bytes from an offset up to another."""

__all__ = ["JsonPane"]

_SOMEWHERE = (0.0, 0.0)  # before the end of the list: there may be rows below
_UNDER_WAY = {place: Ask(sort="created", limit_count=0) for place in (Place.BELOW, Place.END)}


_key = partial(key, "tree")


class JsonPane(Vertical):
    """See the top of this file.

    Attributes:
        json: What came of it.
        table: Its rows.
        bar: Where a pattern is typed.
    """

    DEFAULT_CSS = """
    JsonPane { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        # Keys of the pattern that is typed, before those of the tree.
        key("tree", "enter", "accept_search", "search_accept", "Read on at the hit", "To the hits", priority=True),
        key("tree", "escape", "cancel_search", "search_cancel", "Back to where the search began", "Cancel"),
        _key("escape", "end_search", "end_search", "No more marks of the search"),
        _key("slash", "search", "search", "Search names and values", "Search", show=True),
        _key("n", "next(1)", "next", "The next hit"),
        _key("N", "next(-1)", "previous", "The hit before this one"),
        _key("plus,E", "fold_all(True)", "unfold_all", "Unfold all of it, however deep", "Unfold all"),
        _key("minus,F", "fold_all(False)", "fold_all", "Fold all that is in it"),
        _key("y,ctrl+c", "copy", "copy", "Copy the value as JSON"),
        _key("p", "copy_path", "copy_path", "Copy where it is: $.words[3]"),
    ]

    class Opened(Message):
        """A value that has nothing in it is to be looked at whole."""

        def __init__(self, name: str, data: bytes) -> None:
            super().__init__()
            self.name = name
            self.data = data

    def __init__(self) -> None:
        super().__init__()
        self.json = JsonTree()
        self._read: Read | None = None
        self._size_bytes = 0
        self._reading = False
        self._one_reads = asyncio.Lock()
        self._trouble: str | None = None

    def compose(self) -> ComposeResult:
        """The rows, the search, where one is."""
        self.table = JsonTable()
        self.bar = SearchBar()
        self._foot = ListFoot()
        self.search = JsonSearch(self, self.bar)
        yield self.table
        yield self.bar
        yield self._foot

    def show(self, read: Read, size_bytes: int, *, title: str) -> None:
        """Show this from its start."""
        self.workers.cancel_group(self, "read")
        self.search.end()
        self._reading = False
        self.json, self._read, self._size_bytes, self._trouble = JsonTree(), read, size_bytes, None
        self.table.title = clean_line(title)
        self.show_rows()
        self.read_on()

    # -- reading --

    @property
    def over(self) -> bool:
        """Nothing more will come."""
        scan = self.json.scan
        return scan.over or len(scan.data) >= min(self._size_bytes, JSON_LIMIT_BYTES)

    def read_on(self) -> None:
        """Have the next piece read, if there is one and none is under way."""
        if not self._reading and not self.over and self._read is not None:
            self._reading = True
            self.show_rows()
            start(self, self._read_piece, "read")

    async def _read_piece(self) -> None:
        tree = self.json
        try:
            await self.read_more()
        finally:
            if tree is self.json:
                self._reading = False
        self.show_rows()

    async def read_more(self) -> bool:
        """Read and scan a piece, when nobody else does; whether anything came."""
        async with self._one_reads:
            return not self.over and await self._read_next()

    async def _read_next(self) -> bool:
        tree, scan, read = self.json, self.json.scan, self._read
        assert read is not None
        at = len(scan.data)
        end = min(at + JSON_PIECE_BYTES, self._size_bytes, JSON_LIMIT_BYTES)
        try:
            data = await read(at, end)
        except ClientError as error:
            self._trouble = clean_line(str(error))
            if not isinstance(error, NotFoundError):
                self.set_timer(RETRY_S, self.read_on)
            return False
        except GuestEndedError:
            return False
        if tree is not self.json:
            return False  # something else is shown meanwhile
        self._trouble = None
        scan.feed(data, whole=not data or at + len(data) >= self._size_bytes)
        while scan.scan(JSON_STEPS_COUNT):
            tree.take()
            await asyncio.sleep(0)
            if tree is not self.json:
                return False
        tree.take()
        self._unfold_small()
        return True

    def _unfold_small(self) -> None:
        scan = self.json.scan
        if scan.complete and len(scan) <= JSON_UNFOLDED_LIMIT_COUNT:
            self.json.fold_all(0, on=True)

    # -- what is shown --

    def show_rows(self) -> None:
        """The rows as they are now."""
        last, asks = HIGHEST if self.over else _SOMEWHERE, _UNDER_WAY if self._reading else {}
        self.table.take(JsonList(rows=self.json.rows(), last=last, asks=asks, error=self._trouble))
        self.table.words = () if self.json.row_count else ("…",) if not self.over else ("There is nothing in it.",)
        self.tell()

    def tell(self) -> None:
        """Where one is, and what there is to say."""
        rows = self.json.row_count
        busy = "… reading" if self._reading else ""
        self._foot.standing = Standing(
            at=self.table.cursor_index if rows else None,
            held_count=rows,
            total=rows if self.over else None,
            told=clean_line(self.json.path(self.value)) if rows else "",
            busy=self._short() or busy,
            error=self._trouble,
        )

    def _short(self) -> str:
        """That it is not all of it, and what to do."""
        scan = self.json.scan
        if scan.error is not None:
            return f"no JSON: {clean_line(scan.error)}"
        if scan.full:
            return f"the first {len(scan):,} values: s saves all"
        if self.over and len(scan.data) < self._size_bytes:
            shown, size = bytes_text(len(scan.data)), bytes_text(self._size_bytes)
            return f"the first {shown} of {size}: s saves all"
        return ""

    @property
    def value(self) -> int:
        """What the cursor is on."""
        return int(self.table.cursor.id) if self.table.cursor is not None else 0

    def go_to(self, value: int) -> None:
        """Put the cursor on a value, and unfold what it is in."""
        self.json.reveal(value)
        self.show_rows()
        row = self.json.row_of(value)
        if row is not None:
            self.table.go_to(row)

    @on(JsonTable.Wanted)
    def _wanted(self, event: JsonTable.Wanted) -> None:
        event.stop()
        self.read_on()

    # -- keys --

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done now."""
        del parameters
        match action:
            case "accept_search" | "cancel_search":
                return self.bar.typing
            case "end_search" | "next":
                return self.search.active and not self.bar.typing
            case "search" | "copy" | "copy_path" | "fold_all":
                return not self.bar.typing
        return True

    @on(JsonTable.Folded)
    def _folded(self, event: JsonTable.Folded) -> None:
        event.stop()
        self.json.fold(int(event.row.id), on=event.on)
        self.show_rows()

    @on(JsonTable.Opened)
    def _opened(self, event: JsonTable.Opened) -> None:
        event.stop()
        row = event.row
        value = int(row.id)
        if row.folds:
            self.json.fold(value, on=not row.open)
            self.show_rows()
        elif row.kind not in ("object", "array"):
            string = self.json.scan.kinds[value] == STRING
            self.post_message(self.Opened(self.json.path(value), self.json.whole(value, string=string)))

    def action_fold_all(self, on: bool) -> None:
        """Unfold or fold all that is in what the cursor is on; what has nothing in it stands for its parent."""
        row = self.table.cursor
        if row is not None:
            value = int(row.id) if row.folds or row.up is None else int(row.up)
            self.json.fold_all(value, on=on)
            self.go_to(value if not on else int(row.id))

    def action_copy(self) -> None:
        """The value as it is written."""
        value, scan = self.value, self.json.scan
        if not len(scan):
            return
        if scan.end_of(value) - scan.values[value] > COPY_LIMIT_BYTES:
            self.notify(f"More than {bytes_text(COPY_LIMIT_BYTES)} cannot be copied; s saves it.", markup=False)
            return
        self.app.copy_to_clipboard(self.json.source(value))
        self.notify("Copied" if scan.ends[value] else "Copied as far as it was read", markup=False)

    def action_copy_path(self) -> None:
        """Where it is."""
        if len(self.json.scan):
            path = self.json.path(self.value)
            self.app.copy_to_clipboard(path)
            self.notify(clean_line(f"Copied {path}"), markup=False)

    def action_search(self) -> None:
        """Type a pattern."""
        self.search.open()

    def action_next(self, step: int) -> None:
        """The next hit, or the one before."""
        self.search.step(step)

    def action_accept_search(self) -> None:
        """Read on at the hit."""
        self.bar.flush()
        self.search.accepted()

    def action_cancel_search(self) -> None:
        """Read on where it was."""
        self.search.cancelled()

    def action_end_search(self) -> None:
        """Forget the pattern."""
        self.search.end()

    def on_search_bar_asked(self, event: SearchBar.Asked) -> None:
        """Another pattern."""
        event.stop()
        self.search.asked(event)
