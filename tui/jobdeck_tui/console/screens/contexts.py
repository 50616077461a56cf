"""All contexts: the list with its filter, and the context under the cursor where there is room; see ``fewscreen``.

What is done to contexts is in ``contextacts``, what is seen in the widgets.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on

from jobdeck_protocol.job import Job
from jobdeck_tui.console.bindings import key, panes
from jobdeck_tui.console.contextlist import listed
from jobdeck_tui.console.screens.contextacts import ContextActs
from jobdeck_tui.console.screens.fewscreen import few_keys
from jobdeck_tui.console.screens.output import OutputScreen
from jobdeck_tui.console.standing import context_standing, context_words
from jobdeck_tui.console.widgets.context_pane import ContextPane
from jobdeck_tui.console.widgets.context_table import ContextTable
from jobdeck_tui.console.widgets.filter_bar import ContextFilterBar

if TYPE_CHECKING:
    from textual.binding import BindingType

    from jobdeck_protocol.contextinfo import ContextInfo
    from jobdeck_tui.console.contextlist import ContextList
    from jobdeck_tui.console.few import Few
    from jobdeck_tui.console.state import State
    from jobdeck_tui.console.widgets.list_foot import Standing

__all__ = ["ContextsScreen"]

_FILTER_WORDS = "Filter: text, state:running, kind:spark, is:adhoc, is:made"


_key = partial(key, "contexts")


class ContextsScreen(ContextActs):
    """See the top of this file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *few_keys("contexts", "context", _FILTER_WORDS),
        _key("N", "sort('name')", "sort_name", "Sort by name; again for the other way round"),
        _key("S", "sort('state')", "sort_state", "Sort by state, what needs care first"),
        _key("U", "sort('used')", "sort_used", "Sort by the part of the slots that is in use"),
        _key("M", "sort('memory')", "sort_memory", "Sort by memory"),
        _key("A", "sort('created')", "sort_age", "Sort by age"),
        *panes("contexts"),
    ]

    table: ContextTable
    details: ContextPane

    def __init__(self) -> None:
        super().__init__(ContextFilterBar(), ContextTable(), ContextPane())

    # -- what is shown --

    def known(self, state: State) -> Few[ContextInfo]:
        """The contexts."""
        return state.contexts

    def listed(self, known: Few[ContextInfo]) -> ContextList:
        """See ``contextlist``."""
        return listed(known, self.wanted)

    def words(self, state: State) -> tuple[str, ...]:
        """How to have one."""
        return context_words(state, self.wanted)

    def standing(self, state: State) -> Standing:
        """How many there are, and how much of them is in use."""
        table = self.table
        return context_standing(state, table.shown, table.cursor_index, marked_count=len(table.marks))

    def show_details(self) -> None:
        """The context under the cursor, and its jobs."""
        self.details.item = self.table.cursor
        self.details.jobs = self.deck_app.state.contexts.jobs

    def go_to(self, name: str) -> None:
        """Put the cursor on the context of this name that lives, or came last; a filter must not hide it."""
        found = [context for context in self.deck_app.state.contexts.items.values() if context.name == name]
        found.sort(key=lambda context: (not context.ended, context.created_us))
        if found:
            if not self.wanted.matches(found[-1]):
                self.filter.action_clear()
            self.table.await_row(found[-1].id)

    @on(ContextTable.Opened)
    def _opened(self, event: ContextTable.Opened) -> None:
        if isinstance(event.row, Job):
            self.app.push_screen(OutputScreen(event.row.id))
        else:
            self.deck_app.show_jobs_in(event.row)
