"""The workers that the server knows, and how people call them; ``few`` keeps them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_protocol.workerinfo import WorkerInfo
from jobdeck_tui.console.few import Few

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LOCAL", "NOBODY", "Book"]

LOCAL = "local"
"""The engine of the server's own machine."""
_SHORT_ID_LENGTH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Book(Few[WorkerInfo]):
    """See the top of this file."""

    @property
    def workers(self) -> Mapping[str, WorkerInfo]:
        """By id, in the server's order."""
        return self.items

    @property
    def several(self) -> bool:
        """There are others than the server's own machine."""
        return len(self.workers) > 1

    @property
    def own(self) -> WorkerInfo | None:
        """The server's own machine."""
        return next((each for each in self.workers.values() if each.engine == LOCAL), None)

    def of(self, place: str | None) -> WorkerInfo | None:
        """The worker that a job's ``place`` means; None if it has none, or one that is not known."""
        return None if place is None else self.own if place == "" else self.workers.get(place)

    def places(self, worker_id: str) -> frozenset[str]:
        """How jobs of a worker tell their ``place``: most of those of the server's own machine do not name it."""
        own = self.own
        return frozenset({worker_id, ""} if own is not None and own.id == worker_id else {worker_id})

    def called(self, text: str) -> list[WorkerInfo]:
        """Those that a word means: the one with this id, those of this name, or whose id or name begins with it."""
        everyone, word = list(self.workers.values()), text.casefold()
        short = len(text) >= _SHORT_ID_LENGTH
        return (
            [each for each in everyone if each.id == text]
            or [each for each in everyone if each.name == text]
            or [each for each in everyone if short and each.id.startswith(text)]
            or [each for each in everyone if each.name.casefold().startswith(word)]
        )

    def word_for(self, worker: WorkerInfo) -> str:
        """A word that means this worker alone: its name, or where others are called the same its id."""
        return worker.name if worker.name and self.called(worker.name) == [worker] else worker.id


NOBODY = Book()
"""Nothing is known of workers."""
