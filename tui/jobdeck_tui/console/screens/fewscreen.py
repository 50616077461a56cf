"""A pane of few things, all of which are held: the list with its filter, and beside or below it all of one of them.

While such a screen is seen, its list is read again and again (``watch``). Subclasses say what stands on it and, between
this and themselves (``workeracts``, ``packageacts``), what is done to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual import on
from textual.containers import Container, Vertical
from textual.screen import ModalScreen

from jobdeck_tui.console.bindings import key
from jobdeck_tui.console.screens.listacts import ListActs
from jobdeck_tui.console.widgets.filter_bar import FilterBar
from jobdeck_tui.console.widgets.list_foot import ListFoot
from jobdeck_tui.console.widgets.row_table import RowTable

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import Binding
    from textual.widget import Widget

    from jobdeck_tui.console.few import Few, Kind, Thing
    from jobdeck_tui.console.rowlist import RowList
    from jobdeck_tui.console.state import State
    from jobdeck_tui.console.widgets.list_foot import Standing

__all__ = ["FewScreen", "few_keys"]

T = TypeVar("T", bound="Thing")


def few_keys(area: str, noun: str, filter_words: str) -> list[Binding]:
    """The keys that all such panes have; ids begin with ``area``, ``noun`` is one of the things."""
    return [
        # Before all other keys: what is typed in haste after it must not be taken for keys of the list.
        key(area, "slash", "filter", "filter", filter_words, "Filter", show=True, priority=True),
        key(area, "p", "details", "details", f"Show or hide all that is known of the {noun}"),
        key(area, "ctrl+r", "reload", "reload", "Read the list anew"),
        key(area, "escape", "clear", "clear", "No filter; no marks", "Clear"),
    ]


class FewScreen(ListActs[T]):
    """See the top of this file. There is one of each, which is shown again as it was left.

    Attributes:
        KIND: Of the things.
        RISING: Orders in which the least is wanted first.
        filter: The line above the list.
        table: The list.
        details: All that is known of the one under the cursor.
        wanted: What the list shows, as the filter says it.
    """

    KIND: ClassVar[Kind]
    RISING: ClassVar[frozenset[str]] = frozenset({"name", "state"})

    def __init__(self, bar: FilterBar, table: RowTable, details: Widget) -> None:
        super().__init__()
        self.filter = bar
        self.table = table
        self.details = details
        self.wanted: Any = bar.usual()
        self._foot = ListFoot()
        self._drawn: tuple[Few[Any], Any] | None = None

    # -- what subclasses say --

    def known(self, state: State) -> Few[T]:
        """The things, as far as they are known."""
        raise NotImplementedError

    def listed(self, known: Few[T]) -> RowList:
        """The list that ``wanted`` makes of them."""
        raise NotImplementedError

    def may_change(self, state: State) -> bool:
        """Whether they may be changed from here."""
        return state.may_change

    def words(self, state: State) -> tuple[str, ...]:
        """What stands below them, or where there are none."""
        raise NotImplementedError

    def standing(self, state: State) -> Standing:
        """How the list stands."""
        raise NotImplementedError

    def show_details(self) -> None:
        """Show the one under the cursor in ``details``, or none."""
        raise NotImplementedError

    # -- what is shown --

    def body(self) -> ComposeResult:
        """The list with its filter and foot, and what is known of one."""
        self.details.add_class("few-details")
        with Container(id="few-body"):
            with Vertical(id="few-list"):
                yield self.filter
                yield self.table
                yield self._foot
            yield self.details

    def on_mount(self) -> None:
        """Keys go to the list."""
        self.set_focus(self.table)

    def draw(self, state: State) -> None:
        """The list, and the thing under the cursor."""
        self.changeable = self.may_change(state)
        now = (self.known(state), self.wanted)
        if self._drawn != now:
            self._drawn = now
            self.table.take(self.listed(now[0]))
        # With a filter, words say that nothing matches.
        self.table.words = () if self.wanted.narrow and self.table.rows else self.words(state)
        self._tell_standing()
        self._show_details()

    def _tell_standing(self) -> None:
        self.any_chosen = self.table.cursor is not None
        self._foot.standing = self.standing(self.deck_app.state)

    def _show_details(self) -> None:
        """The thing under the cursor; what belongs to it is asked for if it is seen."""
        self.show_details()
        cursor = self.table.cursor
        seen = self.is_current or isinstance(self.app.screen, ModalScreen)
        item_id: str | None = cursor.id if cursor is not None and self.details.display else None
        self.deck_app.look_at(self.KIND, item_id, seen=seen)

    def on_resize(self) -> None:
        """The details may have come or gone."""
        self.call_after_refresh(self._show_details)

    def on_screen_resume(self) -> None:
        """Read it again and again."""
        super().on_screen_resume()
        self._show_details()

    def on_screen_suspend(self) -> None:
        """Nobody looks, unless it is past a dialog."""
        self._show_details()

    # -- what the widgets tell --

    @on(RowTable.Moved)
    def _moved(self) -> None:
        self._tell_standing()
        self._show_details()

    @on(RowTable.Sorted)
    def _sorted(self, event: RowTable.Sorted) -> None:
        self.action_sort(event.by)

    @on(FilterBar.Asked)
    def _asked(self, event: FilterBar.Asked) -> None:
        self.wanted = event.query
        self.draw(self.deck_app.state)

    @on(FilterBar.Left)
    def _left(self) -> None:
        self.set_focus(self.table)

    # -- keys --

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done now."""
        if action == "filter":
            return not self.filter.typing
        return super().check_action(action, parameters)

    def chosen(self) -> list[T]:
        """What is done is done to these."""
        return self.table.chosen

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
        """Sort by this, first the way that is wanted most; the other way round if it is so already."""
        usual = by if by in self.RISING else f"-{by}"
        other = by if usual.startswith("-") else f"-{by}"
        self.filter.sorted_by(other if self.filter.sort == usual else usual)

    def action_details(self) -> None:
        """Show or hide it."""
        self.toggle_class("-turned")
        self.call_after_refresh(self._show_details)

    def action_reload(self) -> None:
        """Read anew what is shown."""
        self.deck_app.read_few(self.KIND)
