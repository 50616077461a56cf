"""All blobs: the list with its filter. What is done to blobs is in ``blobacts``, what is seen in the widgets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Vertical

from jobdeck_protocol.blob import ARTIFACT
from jobdeck_tui.console.bindings import key, panes
from jobdeck_tui.console.bloblist import BlobQuery
from jobdeck_tui.console.pages import Place
from jobdeck_tui.console.peek import Target
from jobdeck_tui.console.screens.artifact import ArtifactScreen
from jobdeck_tui.console.screens.blobacts import BlobActs
from jobdeck_tui.console.screens.peek import PeekScreen
from jobdeck_tui.console.standing import blob_standing, blob_words
from jobdeck_tui.console.widgets.blob_table import BlobTable
from jobdeck_tui.console.widgets.filter_bar import BlobFilterBar, FilterBar
from jobdeck_tui.console.widgets.list_foot import ListFoot

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from jobdeck_protocol.blob import Blob
    from jobdeck_tui.console.state import State

__all__ = ["BlobsScreen"]

_FILTER_WORDS = "Filter: text, type:artifact, tag:nightly, name:a.txt, is:pinned"


_key = partial(key, "blobs")


class BlobsScreen(BlobActs):
    """See the top of this file. There is one of it, which is shown again as it was left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # Before all other keys: what is typed in haste after it must not be taken for keys of the list.
        _key("slash", "filter", "filter", _FILTER_WORDS, "Filter", show=True, priority=True),
        _key("f", "follow", "follow", "Follow the newest", "Follow"),
        _key("A", "sort('created')", "sort_age", "Sort by age; again for the other way round"),
        _key("S", "sort('size')", "sort_size", "Sort by size; again for the other way round"),
        _key("ctrl+r", "reload", "reload", "Read the list anew"),
        _key("escape", "clear", "clear", "No filter; no marks", "Clear"),
        # Last, since what stands last falls away first where there is no room.
        _key("p", "pin", "pin", "Pin: keep it from being removed; again to unpin", "Pin", show=True),
        *panes("blobs"),
    ]

    def body(self) -> ComposeResult:
        """The list with its filter and foot."""
        self.filter = BlobFilterBar()
        self.table = BlobTable()
        self._foot = ListFoot()
        with Vertical():
            yield self.filter
            yield self.table
            yield self._foot

    def on_mount(self) -> None:
        """Keys go to the list; it is read for the first time."""
        self.set_focus(self.table)
        self.deck_app.load_blobs(Place.START)

    # -- what is shown --

    def draw(self, state: State) -> None:
        """The list."""
        self.changeable = state.may_change
        self.table.take(state.blobs)
        self.table.words = blob_words(state)
        self._tell_standing()

    def _tell_standing(self) -> None:
        table = self.table
        self.any_chosen = table.cursor is not None
        blobs = self.deck_app.state.blobs
        self._foot.standing = blob_standing(blobs, table.cursor_index, len(table.marks), follow=table.follow)

    # -- what the widgets tell --

    @on(BlobTable.Moved)
    def _moved(self) -> None:
        self._tell_standing()

    @on(BlobTable.Wanted)
    def _wanted(self, event: BlobTable.Wanted) -> None:
        self.deck_app.load_blobs(event.place)

    @on(BlobTable.Opened)
    def _opened(self, event: BlobTable.Opened) -> None:
        blob: Blob = event.row
        if blob.type == ARTIFACT:
            self.app.push_screen(ArtifactScreen(blob))
        else:
            self.app.push_screen(PeekScreen(Target(hash=blob.hash, name=blob.name)))

    @on(BlobTable.Sorted)
    def _sorted(self, event: BlobTable.Sorted) -> None:
        self.action_sort(event.by)

    @on(FilterBar.Asked)
    def _asked(self, event: FilterBar.Asked) -> None:
        self.deck_app.list_blobs(event.query)

    @on(FilterBar.Left)
    def _left(self) -> None:
        self.set_focus(self.table)

    # -- keys --

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done now."""
        if action == "filter":
            return not self.filter.typing
        return super().check_action(action, parameters)

    def chosen(self) -> list[Blob]:
        """What is done is done to these."""
        return self.table.chosen

    def told_new(self, blob: Blob) -> None:
        """Go to a blob that was uploaded from here."""
        self.table.await_row(blob.hash)

    def done_with(self) -> None:
        """What was marked was done."""
        self.table.action_unmark()

    def action_filter(self) -> None:
        """Type a filter."""
        self.filter.open()

    def action_clear(self) -> None:
        """First no marks, then no filter."""
        if self.table.marks:
            self.table.action_unmark()
        else:
            self.filter.action_clear()

    def action_sort(self, by: str) -> None:
        """Sort by this, the greatest first; the other way round if it is so already."""
        sort = f"-{by}"
        self.filter.sorted_by(by if self.deck_app.state.blobs.query.sort == sort else sort)

    def action_follow(self) -> None:
        """The newest first, the cursor on it; again to stay where it is."""
        if self.table.follow:
            self.table.follow = False
        else:
            self.filter.sorted_by(BlobQuery().sort)
            self.table.follow_first()
        self._tell_standing()

    def action_reload(self) -> None:
        """Read anew what is shown."""
        self.deck_app.load_blobs(Place.AGAIN)
