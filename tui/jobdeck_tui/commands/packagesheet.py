"""Packages as lines for a person: the table of ``jobdeck packages ls``, and all of one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.job import time_text
from jobdeck_tui.commands.lines import fact_lines, table_lines
from jobdeck_tui.terminal import shown
from jobdeck_tui.words import age, bytes_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobdeck_client import PackageDetails
    from jobdeck_protocol.packageinfo import PackageInfo

__all__ = ["sheet", "table"]

_HEAD = ("KIND", "SIZE", "AGE", "VERSIONS", "NAME")


def table(packages: Sequence[PackageInfo], *, now_us: int, limit: int | None) -> list[str]:
    """The table, its head first.

    Args:
        packages: In the order in which they are to stand.
        now_us: The time, for ages.
        limit: The terminal's width: names are cut to the room that is left. None for a pipe: nothing is cut.
    """
    return table_lines([_HEAD, *(_row(package, now_us) for package in packages)], limit=limit)


def sheet(found: PackageDetails, *, now_us: int) -> list[str]:
    """Lines ``name      value``, its classes last. Every value is safe for a terminal.

    Args:
        found: What to show.
        now_us: The time, for ages.
    """
    return fact_lines(_facts(found, now_us))


def _facts(found: PackageDetails, now_us: int) -> Iterator[tuple[str, str]]:
    package = found.package
    yield "name", package.name
    yield "kind", package.kind
    yield "size", f"{bytes_text(package.size_bytes)} ({package.size_bytes} bytes)"
    yield "sent", _moment(package.uploaded_us, now_us)
    yield "blob", package.hash
    yield "content", package.content
    for older in found.versions[1:]:
        yield "before", f"{_moment(older.uploaded_us, now_us)}, {bytes_text(older.size_bytes)}, blob {older.hash}"
    for name in found.classes:
        yield "class", name
    if not found.classes_complete:
        yield "", "the server could not look at all of it: there may be more classes"


def _moment(moment_us: int, now_us: int) -> str:
    return f"{time_text(moment_us)}  ({age(moment_us, now_us)} ago)"


def _row(package: PackageInfo, now_us: int) -> tuple[str, ...]:
    return (
        shown(package.kind),
        bytes_text(package.size_bytes),
        age(package.uploaded_us, now_us),
        str(package.versions_count),
        shown(package.name),
    )
