"""How the list of jobs stands, in numbers for the line below it and in words for where there are no rows. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.job import ENDED
from jobdeck_tui.console.pages import Place
from jobdeck_tui.console.widgets.list_foot import Standing
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from jobdeck_tui.console.joblist import JobList
    from jobdeck_tui.console.state import State

__all__ = ["empty_words", "standing_of"]


def standing_of(state: State, at: int, marked_count: int, *, follow: bool) -> Standing:
    """For the line below the list; ``at`` is the cursor's row among those held."""
    jobs = state.list
    total = _total(state)
    whole_at: int | None = None
    if not jobs.above:
        whole_at = at
    elif not jobs.below and total is not None:
        whole_at = max(0, total - len(jobs.rows) + at)
    return Standing(
        at=whole_at if jobs.rows else None,
        held_count=len(jobs.rows),
        total=total,
        marked_count=marked_count,
        unseen_count=jobs.unseen_count,
        follow=follow,
        busy=_busy(jobs),
        error=jobs.error,
    )


def _total(state: State) -> int | None:
    """How long the list is: as counted here if all of it is held, else as the server counts by state."""
    jobs, query = state.list, state.list.query
    if jobs.known and not jobs.above and not jobs.below:
        return len(jobs.rows)
    if query.text is not None or query.dialect is not None or query.label is not None or not state.counts:
        return None
    states = query.states or set(state.counts)
    if query.by == "ended":
        states = states & ENDED
    return max(len(jobs.rows), sum(state.counts.get(each, 0) for each in states))


def _busy(jobs: JobList) -> str:
    searching = jobs.query.text is not None
    if searching and jobs.loading:
        return "… searching"
    if not jobs.known or Place.START in jobs.asks or Place.END in jobs.asks:
        return "… loading"
    if searching and jobs.cursor is not None:
        return "not all searched: scroll on"
    return ""


def empty_words(state: State) -> tuple[str, ...]:
    """What stands where there are no rows."""
    jobs = state.list
    if jobs.rows:
        return ()
    if jobs.error is not None:
        return ("The list cannot be had:", clean_line(jobs.error))
    if not jobs.known:
        return ("Loading…",)
    if jobs.query.text is not None and (jobs.below or jobs.loading):
        return ("Nothing found so far." if not jobs.loading else "Searching…",)
    if jobs.query.narrow or jobs.query.by == "ended":
        return ("No job matches.", "esc shows all of them." if jobs.query.narrow else "Nothing has ended yet.")
    words = ["No jobs yet.", ""]
    if state.may_change:
        words.append("n starts one; so does")
    url = clean_line(state.url)
    words += [f"""  curl {url}/v1/jobs -d '{{"command": "date"}}'""", "  jobdeck run -- date"]
    return tuple(words)
