"""The list of jobs as far as the console holds it; see ``rowlist``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobdeck_tui.console.query import Query
from jobdeck_tui.console.rowlist import RowList

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job

__all__ = ["JobList"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobList(RowList):
    """A window whose rows are jobs."""

    query: Query = field(default_factory=Query)
    rows: tuple[Job, ...] = ()
