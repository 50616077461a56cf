"""How a list stands, in numbers for the line below it and in words for where there are no rows. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.job import ENDED
from jobdeck_tui.console.pages import Place
from jobdeck_tui.console.widgets.list_foot import Standing
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from jobdeck_tui.console.bloblist import BlobList
    from jobdeck_tui.console.contextlist import ContextList, ContextQuery
    from jobdeck_tui.console.packagelist import PackageList, PackageQuery
    from jobdeck_tui.console.rowlist import RowList
    from jobdeck_tui.console.state import State
    from jobdeck_tui.console.workerlist import WorkerList, WorkerQuery

__all__ = [
    "blob_standing",
    "blob_words",
    "context_standing",
    "context_words",
    "empty_words",
    "package_standing",
    "package_words",
    "standing_of",
    "worker_standing",
    "worker_words",
]

_NOTHING_MATCHES = ("No package matches.", "esc shows all of them.")


def standing_of(state: State, at: int, marked_count: int, *, follow: bool) -> Standing:
    """For the line below the list; ``at`` is the cursor's row among those held."""
    return _standing(state.list, at, marked_count, total=_total(state), follow=follow)


def blob_standing(blobs: BlobList, at: int, marked_count: int, *, follow: bool) -> Standing:
    """The same for the list of blobs, of which nobody counts those that are not held."""
    total = len(blobs.rows) if _whole(blobs) else None
    return _standing(blobs, at, marked_count, total=total, follow=follow)


def worker_standing(state: State, shown: WorkerList, at: int, marked_count: int) -> Standing:
    """The same for the list of workers, all of which are held."""
    slots = sum(worker.slots_count for worker in shown.rows)
    used = sum(worker.running_count for worker in shown.rows)
    return Standing(
        at=at if shown.rows else None,
        held_count=len(shown.rows),
        total=len(shown.rows),
        marked_count=marked_count,
        busy="" if shown.known else "… loading",
        error=state.workers.error,
        told=f"{used:,} of {slots:,} slots in use" if shown.rows else "",
    )


def package_standing(state: State, shown: PackageList, at: int, marked_count: int) -> Standing:
    """The same for the list of packages, all of which are held."""
    size_bytes = sum(package.size_bytes for package in shown.rows)
    return Standing(
        at=at if shown.rows else None,
        held_count=len(shown.rows),
        total=len(shown.rows),
        marked_count=marked_count,
        busy="" if shown.known or state.packages.error is not None else "… loading",
        error=state.packages.error,
        told=f"{bytes_text(size_bytes)} in all" if shown.rows else "",
    )


def context_standing(state: State, shown: ContextList, at: int, marked_count: int) -> Standing:
    """The same for the list of contexts, all of which are held."""
    live = [context for context in shown.rows if not context.ended]
    slots = sum(context.slots_count for context in live)
    used = sum(context.running_count for context in live)
    return Standing(
        at=at if shown.rows else None,
        held_count=len(shown.rows),
        total=len(shown.rows),
        marked_count=marked_count,
        busy="" if shown.known else "… loading",
        error=state.contexts.error,
        told=f"{used:,} of {slots:,} slots in use" if live else "",
    )


def _standing(rows: RowList, at: int, marked_count: int, *, total: int | None, follow: bool) -> Standing:
    whole_at: int | None = None
    if not rows.above:
        whole_at = at
    elif not rows.below and total is not None:
        whole_at = max(0, total - len(rows.rows) + at)
    return Standing(
        at=whole_at if rows.rows else None,
        held_count=len(rows.rows),
        total=total,
        marked_count=marked_count,
        unseen_count=rows.unseen_count,
        follow=follow,
        busy=_busy(rows),
        error=rows.error,
    )


def _whole(rows: RowList) -> bool:
    """All of it is held."""
    return rows.known and not rows.above and not rows.below


def _total(state: State) -> int | None:
    """How long the list is: as counted here if all of it is held, else as the server counts by state."""
    jobs, query = state.list, state.list.query
    if _whole(jobs):
        return len(jobs.rows)
    narrower = (query.text, query.dialect, query.label, query.worker, query.context)
    if any(each is not None for each in narrower) or not state.counts:
        return None
    states = query.states or set(state.counts)
    if query.by == "ended":
        states = states & ENDED
    return max(len(jobs.rows), sum(state.counts.get(each, 0) for each in states))


def _busy(rows: RowList) -> str:
    searching = rows.query.text is not None
    if searching and rows.loading:
        return "… searching"
    if not rows.known or Place.START in rows.asks or Place.END in rows.asks:
        return "… loading"
    if searching and rows.cursor is not None:
        return "not all searched: scroll on"
    return ""


def empty_words(state: State) -> tuple[str, ...]:
    """What stands where there are no jobs."""
    jobs = state.list
    waiting = _waiting_words(jobs)
    if waiting is not None:
        return waiting
    if jobs.query.narrow or jobs.query.by == "ended":
        return ("No job matches.", "esc shows all of them." if jobs.query.narrow else "Nothing has ended yet.")
    words = ["No jobs yet.", ""]
    if state.may_change:
        words.append("n starts one; so does")
    url = clean_line(state.url)
    words += [f"""  curl {url}/v1/jobs -d '{{"command": "date"}}'""", "  jobdeck run -- date"]
    return tuple(words)


def blob_words(state: State) -> tuple[str, ...]:
    """What stands where there are no blobs."""
    waiting = _waiting_words(state.blobs)
    if waiting is not None:
        return waiting
    if state.blobs.query.narrow:
        return ("No blob matches.", "esc shows all of them.")
    words = ["No blobs yet.", ""]
    if state.may_change:
        words.append("n uploads a file; so does")
    url = clean_line(state.url)
    words += [f"  curl -T data.bin '{url}/v1/blobs?name=data.bin'", "  jobdeck blobs put data.bin"]
    return tuple(words)


def worker_words(state: State, query: WorkerQuery) -> tuple[str, ...]:
    """What stands below the workers, or where there are none."""
    book, url = state.workers, clean_line(state.url)
    if not book.known and not book.workers:
        return ("The list cannot be had:", clean_line(book.error)) if book.error is not None else ("Loading…",)
    if query.narrow:
        return ("No worker matches.", "esc shows all of them.")
    if book.several:
        return ()
    return (
        "Only this machine runs jobs. For another one:",
        "",
        "  here   jobdeck token create --role worker --output FILE",
        f"  there  jobdeck worker --server {url} \\",
        "           --token-file FILE",
    )


def package_words(state: State, query: PackageQuery) -> tuple[str, ...]:
    """What stands where there are no packages."""
    packages = state.packages
    if not packages.known and not packages.items:
        return ("The list cannot be had:", clean_line(packages.error)) if packages.error is not None else ("Loading…",)
    if packages.items:
        return () if any(query.matches(each) for each in packages.items.values()) else _NOTHING_MATCHES
    words = ["No packages yet.", "Classes out of wheels, eggs and jars run as jobs.", ""]
    if state.may_change:
        words.append("u uploads one; so does")
    url = clean_line(state.url)
    words += [
        "  jobdeck packages put jobs.whl",
        "  curl -H 'Content-Type: application/python-wheel' \\",
        "    --data-binary @jobs.whl \\",
        f"    {url}/binaries/jobs",
    ]
    return tuple(words)


def context_words(state: State, query: ContextQuery) -> tuple[str, ...]:
    """What stands where there are no contexts."""
    contexts = state.contexts
    if not contexts.known and not contexts.items:
        return ("The list cannot be had:", clean_line(contexts.error)) if contexts.error is not None else ("Loading…",)
    if query.narrow:
        return ("No context matches.", "esc shows all of them.")
    if contexts.items:
        return ()
    words = ["No contexts: each class has one of its own.", ""]
    if state.may_change:
        words.append("n makes one that stays; so do")
    return (*words, "  jobdeck contexts create NAME", f"  curl -X POST {clean_line(state.url)}/contexts/NAME")


def _waiting_words(rows: RowList) -> tuple[str, ...] | None:
    """Words for a list that has rows (none), or of which not all is known; None for one that is empty."""
    if rows.rows:
        return ()
    if rows.error is not None:
        return ("The list cannot be had:", clean_line(rows.error))
    if not rows.known:
        return ("Loading…",)
    if rows.query.text is not None and (rows.below or rows.loading):
        return ("Nothing found so far." if not rows.loading else "Searching…",)
    return None
