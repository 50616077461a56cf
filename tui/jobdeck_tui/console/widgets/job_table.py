"""The table of jobs: the window with its keys and the mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.message import Message

from jobdeck_tui.console.joblist import Place
from jobdeck_tui.console.widgets.job_window import JobWindow

if TYPE_CHECKING:
    from textual import events
    from textual.binding import BindingType

    from jobdeck_protocol.job import Job

__all__ = ["JobTable"]

_SORTS = {"state": "state", "sign": "state", "age": "created", "ended": "ended"}


def _key(keys: str, action: str, name: str, words: str) -> Binding:
    return Binding(keys, action, words, id=f"jobs.{name}", show=False, tooltip=words)


class JobTable(JobWindow):
    """See the top of this file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        _key("up,k", "move(-1)", "up", "The job above"),
        _key("down,j", "move(1)", "down", "The job below"),
        _key("pageup,ctrl+b", "page(-1)", "page_up", "A page up"),
        _key("pagedown,ctrl+f", "page(1)", "page_down", "A page down"),
        _key("home,g", "first", "first", "The first job of the list"),
        _key("end,G", "last", "last", "The last job of the list, however long it is"),
        _key("space", "mark", "mark", "Mark this job, or not; what is done is done to all that are marked"),
        _key("ctrl+a,asterisk", "mark_all", "mark_all", "Mark all jobs that are held here"),
        _key("u", "unmark", "unmark", "Unmark all"),
        Binding("enter", "open", "Output", id="jobs.open", tooltip="Show its output on the whole screen"),
    ]

    class Opened(Message):
        """A job is to be shown."""

        def __init__(self, job: Job) -> None:
            super().__init__()
            self.job = job

    class Sorted(Message):
        """The head of a column was clicked."""

        def __init__(self, by: str) -> None:
            super().__init__()
            self.by = by

    # -- keys --

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without rows there is nothing to be done; whoever has the table has the bindings looked at again."""
        del parameters
        return bool(self.rows) or action not in ("open", "mark", "mark_all")

    def action_move(self, step: int) -> None:
        """Up or down by rows."""
        self.go_to(self.cursor_index + step)

    def action_page(self, step: int) -> None:
        """Up or down by screens."""
        self.scroll_rows(max(0, min(self.first_seen + step * self.seen_count, int(self.max_scroll_y))))
        self.go_to(self.cursor_index + step * self.seen_count)

    def action_first(self) -> None:
        """To the list's beginning."""
        self.go_to(0)
        if self.jobs.above:
            self.wish_for(Place.START)

    def action_last(self) -> None:
        """To the list's end."""
        self.go_to(len(self.rows) - 1)
        if self.jobs.below:
            self.wish_for(Place.END)

    def action_mark(self) -> None:
        """Turn the mark of this job, and go on to the next one."""
        if self.cursor is not None:
            self.marks ^= {self.cursor.id}
            self.action_move(1)

    def action_mark_all(self) -> None:
        """Mark all."""
        self.mark({job.id for job in self.rows})

    def action_unmark(self) -> None:
        """Mark none."""
        self.mark(set())

    def action_open(self) -> None:
        """Show the job."""
        if self.cursor is not None:
            self.post_message(self.Opened(self.cursor))

    def follow_first(self) -> None:
        """Keep the cursor on the first row from now on."""
        self.action_first()
        self.follow = True
        self.tell_moved()

    # -- mouse --

    def on_click(self, event: events.Click) -> None:
        """A row is gone to, with two clicks opened; a title sorts."""
        event.stop()
        if event.y == 0:
            self._head_clicked(event.x)
            return
        row = self.first_seen + event.y - 1
        if row < len(self.rows):
            self.go_to(row)
            if event.chain == 2:
                self.action_open()

    def _head_clicked(self, x: int) -> None:
        for column in self.columns:
            x -= column.width + (1 if column.name == "mark" else 2)
            if x < 0:
                if column.name in _SORTS:
                    self.post_message(self.Sorted(_SORTS[column.name]))
                return
