"""All that is known of a job, beside or above its log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.reactive import Reactive

from jobdeck_tui.commands.sheet import facts
from jobdeck_tui.console.settings import TICK_S
from jobdeck_tui.console.shell import attach_command
from jobdeck_tui.console.widgets.facts import Facts
from jobdeck_tui.console.workerbook import NOBODY, Book
from jobdeck_tui.console.workerfacts import place_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult

    from jobdeck_protocol.job import Job

__all__ = ["Details"]

_NAMES_LIMIT_COUNT = 200


class Details(VerticalScroll, can_focus=True):
    """Names and values; hidden until it is asked for.

    Attributes:
        job: None while it is not known.
        url: Of the server, for the command that attaches.
        book: The workers that are known.
    """

    DEFAULT_CSS = """
    Details {
        display: none; background: $surface; padding: 0 1; height: auto; max-height: 50%;
        border-bottom: solid $panel; scrollbar-size-vertical: 1;
        &.-open { display: block; }
        &:focus { border-bottom: solid $primary; }
    }
    """

    job: Reactive[Job | None] = Reactive(None, init=False)
    url: Reactive[str] = Reactive("", init=False)
    book: Reactive[Book] = Reactive(NOBODY, init=False)

    def compose(self) -> ComposeResult:
        """One text, so that it wraps and scrolls as one."""
        self._text = Facts()
        yield self._text

    def on_mount(self) -> None:
        """Ages grow."""
        self.set_interval(TICK_S, self._tell)

    def watch_job(self) -> None:
        """Tell it."""
        self._tell()

    @property
    def open(self) -> bool:
        """It is seen."""
        return self.has_class("-open")

    def turn(self) -> None:
        """Show or hide it."""
        self.toggle_class("-open")
        self._tell()

    def _tell(self) -> None:
        if self.open and self.job is not None:
            self._text.tell(self._facts(self.job))

    def _facts(self, job: Job) -> Iterator[tuple[str, str]]:
        for name, value in facts(job, time.time_ns() // 1000, names_limit=_NAMES_LIMIT_COUNT):
            if name == "runs on":
                yield name, place_words(job, self.book, time.time_ns() // 1000)
            elif name != "output" or not value.startswith("jobdeck "):  # told whole below
                yield name, value
        yield "attach", attach_command(job, self.url)
