"""The line above the list in which it is filtered while one types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.reactive import Reactive
from textual.widgets import Input, Label, Static

from jobdeck_tui.console import bloblist, contextlist, packagelist, query, workerlist
from jobdeck_tui.console.bloblist import BlobQuery
from jobdeck_tui.console.contextlist import ContextQuery
from jobdeck_tui.console.packagelist import PackageQuery
from jobdeck_tui.console.query import Query, Words
from jobdeck_tui.console.settings import FILTER_LIMIT_LENGTH, FILTER_WAIT_S
from jobdeck_tui.console.workerbook import NOBODY, Book
from jobdeck_tui.console.workerlist import WorkerQuery
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.timer import Timer

__all__ = ["BlobFilterBar", "ContextFilterBar", "FilterBar", "JobFilterBar", "PackageFilterBar", "WorkerFilterBar"]


def _keys(area: str, nouns: str) -> list[BindingType]:
    return [
        Binding("tab,down", "leave", "List", id=f"{area}.filter_leave", key_display="⏎", tooltip="Back to the list"),
        Binding("escape", "clear", "Clear", id=f"{area}.filter_clear", tooltip=f"Show all {nouns} again"),
    ]


class FilterBar(Horizontal):
    """Hidden while it is empty and not typed in. Subclasses know the words of their list.

    Attributes:
        sort: How the list is sorted; part of each query that it asks for.
    """

    DEFAULT_CSS = """
    FilterBar { height: 1; padding: 0 1; background: $panel; display: none; }
    FilterBar.-shown { display: block; layout: horizontal; }
    FilterBar Label { color: $text-accent; text-style: bold; width: 2; }
    FilterBar Input { width: 1fr; background: $panel; }
    FilterBar Input:focus { background: $panel; }
    FilterBar Static { width: auto; max-width: 50%; color: $text-error; text-wrap: nowrap; text-overflow: ellipsis; }
    """
    PLACEHOLDER = ""

    class Asked(Message):
        """Other rows are wanted."""

        def __init__(self, query: Any) -> None:  # noqa: ANN401  # each list has queries of its own
            super().__init__()
            self.query = query

    class Left(Message):
        """Typing is over; the list is to be gone on with."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = self.usual()
        self.sort = self._asked.sort
        self._waiting: Timer | None = None

    def usual(self) -> Query | BlobQuery | WorkerQuery | PackageQuery | ContextQuery:
        """What is shown before anything was typed."""
        raise NotImplementedError

    def parse(self, line: str, sort: str) -> Words[Any]:
        """What a line asks for."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """The line, and what is wrong with it."""
        self.input = Input(placeholder=self.PLACEHOLDER, max_length=FILTER_LIMIT_LENGTH, compact=True)
        self._wrong = Static()
        yield Label("/")
        yield self.input
        yield self._wrong

    @property
    def typing(self) -> bool:
        """Whether keys go to it."""
        return self.input.has_focus

    def open(self) -> None:
        """Type in it."""
        self.add_class("-shown")
        self.screen.set_focus(self.input)  # at once: what is typed next is typed here, and is no key of the list

    def sorted_by(self, sort: str) -> None:
        """The same rows in another order, at once."""
        self.sort = sort
        self._ask()

    def action_clear(self) -> None:
        """All rows again."""
        self.input.value = ""
        self._ask()
        self.action_leave()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_leave()

    def action_leave(self) -> None:
        """Go on with the list; what is typed holds."""
        self._ask()
        self.set_class(bool(self.input.value), "-shown")
        self.post_message(self.Left())

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        clean = clean_line(event.value)
        if clean != event.value:  # pasted; what a terminal would obey must not be drawn
            self.input.value = clean
        if self._waiting is not None:
            self._waiting.stop()
        self._waiting = self.set_timer(FILTER_WAIT_S, self._ask)

    def _ask(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None
        words = self.parse(self.input.value, self.sort)
        self._wrong.update(Content(clean_line(words.error or "")))
        if words.error is None and words.query != self._asked:
            self._asked = words.query
            self.post_message(self.Asked(words.query))


class JobFilterBar(FilterBar):
    """For the list of jobs."""

    BINDINGS: ClassVar[list[BindingType]] = _keys("jobs", "jobs")
    PLACEHOLDER = "text  state:failed,running  dialect:v1  label:nightly  context:main  worker:far"

    book: Reactive[Book] = Reactive(NOBODY, init=False, repaint=False)
    """The workers that are known."""

    def watch_book(self, former: Book, book: Book) -> None:
        """A word that meant no worker may mean one now."""
        if former.workers.keys() != book.workers.keys() and "worker:" in self.input.value:
            self._ask()

    def show_worker(self, word: str) -> None:
        """The jobs of one worker."""
        self._show("worker", word)

    def show_context(self, name: str) -> None:
        """The jobs in one context."""
        self._show("context", name)

    def _show(self, what: str, word: str) -> None:
        self.input.value = f'{what}:"{word}"' if " " in word else f"{what}:{word}"
        self.action_leave()

    def usual(self) -> Query:
        """All jobs, the newest first."""
        return Query()

    def parse(self, line: str, sort: str) -> Words[Query]:
        """See ``query``."""
        return query.parse(line, sort, self.book)


class BlobFilterBar(FilterBar):
    """For the list of blobs."""

    BINDINGS: ClassVar[list[BindingType]] = _keys("blobs", "blobs")
    PLACEHOLDER = "text  type:artifact  tag:nightly  name:a.txt  is:pinned"

    def usual(self) -> BlobQuery:
        """All blobs, the newest first."""
        return BlobQuery()

    def parse(self, line: str, sort: str) -> Words[BlobQuery]:
        """See ``bloblist``."""
        return bloblist.parse(line, sort)


class PackageFilterBar(FilterBar):
    """For the list of packages."""

    BINDINGS: ClassVar[list[BindingType]] = _keys("packages", "packages")
    PLACEHOLDER = "text  kind:wheel,egg  name:words"

    def usual(self) -> PackageQuery:
        """All packages, by name."""
        return PackageQuery()

    def parse(self, line: str, sort: str) -> Words[PackageQuery]:
        """See ``packagelist``."""
        return packagelist.parse(line, sort)


class WorkerFilterBar(FilterBar):
    """For the list of workers."""

    BINDINGS: ClassVar[list[BindingType]] = _keys("workers", "workers")
    PLACEHOLDER = "text  state:online,draining  label:gpu  name:far"

    def usual(self) -> WorkerQuery:
        """All workers, by name."""
        return WorkerQuery()

    def parse(self, line: str, sort: str) -> Words[WorkerQuery]:
        """See ``workerlist``."""
        return workerlist.parse(line, sort)


class ContextFilterBar(FilterBar):
    """For the list of contexts."""

    BINDINGS: ClassVar[list[BindingType]] = _keys("contexts", "contexts")
    PLACEHOLDER = "text  state:running  kind:spark  is:adhoc  is:made"

    def usual(self) -> ContextQuery:
        """All contexts, by name."""
        return ContextQuery()

    def parse(self, line: str, sort: str) -> Words[ContextQuery]:
        """See ``contextlist``."""
        return contextlist.parse(line, sort)
