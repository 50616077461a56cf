"""Jobs of the executor as they stand at its desk, and wait there (``waiting``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobdeck_server.core.executorrows import Row
    from jobdeck_server.core.live import Live


class Entry:
    """A job that has not ended, as the executor knows it.

    Attributes:
        live: The core's.
        row: What the API knows beyond the record.
        number: Its place in the order of all that came.
        labels: That its worker must have.
        admitted: The built-in executor may take it, too.
        missing_s: Since when its worker has not named it, on trio's clock; None while it does.
        tail_bytes: Where its last noted segment of output ends; None before that was looked up.
    """

    __slots__ = ("admitted", "labels", "live", "missing_s", "number", "row", "tail_bytes")

    def __init__(self, live: Live, row: Row, number: int) -> None:
        self.live = live
        self.row = row
        self.number = number
        self.labels = frozenset(live.job.labels)
        self.admitted = False
        self.missing_s: float | None = None
        self.tail_bytes: int | None = None

    @property
    def key(self) -> str:
        """The API's name for the job."""
        return self.live.job.key or ""
