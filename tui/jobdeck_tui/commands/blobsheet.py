"""Blobs as lines for a person: the table of ``jobdeck blobs ls``, all of one, what a collection did. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.blob import LINK
from jobdeck_protocol.job import time_text
from jobdeck_tui.commands.lines import fact_lines, table_lines
from jobdeck_tui.terminal import shown
from jobdeck_tui.words import KINDS, age, bytes_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobdeck_client import BlobEntry, Collected
    from jobdeck_protocol.blob import Blob

__all__ = ["collected_text", "sheet", "table"]

_WORDS = {kind: word for word, kind in KINDS.items()}
_GAP = "  "
_HASH_LENGTH = 40
_HASH_LEAST = 8  # what the server takes as the beginning of one


def table(blobs: Sequence[Blob], *, now_us: int, limit: int | None) -> list[str]:
    """The table, its head first.

    Args:
        blobs: In the order in which they are to stand.
        now_us: The time, for ages.
        limit: The terminal's width: the last column is cut to the room that is left. None for a pipe: nothing is cut.
    """
    hashes = _short(blobs)
    rows: list[tuple[str, ...]] = [("HASH", "TYPE", "SIZE", "AGE", "TAGS", "NAME")]
    rows += [_row(blob, short, now_us) for blob, short in zip(blobs, hashes, strict=True)]
    if not any(row[4] for row in rows[1:]):
        rows = [row[:4] + row[5:] for row in rows]
    return table_lines(rows, limit=limit)


def sheet(blob: Blob, entries: Sequence[BlobEntry], *, now_us: int) -> list[str]:
    """Lines ``name      value``, then the files of an artifact. Every value is safe for a terminal.

    Args:
        blob: What to show.
        entries: The first files of an artifact.
        now_us: The time, for ages.
    """
    lines = fact_lines(_facts(blob, now_us))
    if blob.entry_count:
        lines.append("")
        sizes = ["-" if entry.size_bytes is None else bytes_text(entry.size_bytes) for entry in entries]
        wide = max(map(len, sizes), default=0)
        lines += [f"{size:>{wide}}{_GAP}{shown(entry.path)}" for size, entry in zip(sizes, entries, strict=True)]
        if blob.entry_count > len(entries):
            lines.append(f"and {blob.entry_count - len(entries)} more; all of them with --json")
    return lines


def collected_text(found: Collected) -> list[str]:
    """What went, or would go, and what stays."""
    went = f"{_many(found.record_count, 'blob')} that nobody needs, {bytes_text(found.content_bytes)}"
    lines = [
        f"{'would go' if found.dry_run else 'gone'}: {went} in {_many(found.content_count, 'file')}",
        f"kept: {bytes_text(found.kept_bytes)} in {_many(found.kept_count, 'file')}",
    ]
    if found.young_count:
        lines.append(f"of these, {_many(found.young_count, 'file')} that nobody needs came too short a time ago to go")
    return lines


def _facts(blob: Blob, now_us: int) -> Iterator[tuple[str, str]]:
    yield "hash", blob.hash
    if blob.name:
        yield "name", blob.name
    yield (
        "type",
        _WORDS.get(blob.type, blob.type) + (f" of {_many(blob.entry_count, 'file')}" if blob.entry_count else ""),
    )
    yield "size", f"{bytes_text(blob.size_bytes)} ({blob.size_bytes} bytes)"
    if blob.mime:
        yield "mime", blob.mime
    if blob.content is not None:
        yield "links to" if blob.type == LINK else "content", blob.content
    if blob.tags:
        yield "tags", ", ".join(blob.tags)
    for name, moment in (("created", blob.created_us), ("sent last", blob.modified_us)):
        yield name, f"{time_text(moment)}  ({age(moment, now_us)} ago)"
    marks = [
        word
        for word, on in (("public", blob.public), ("pinned", blob.pinned), ("goes by itself", not blob.uploaded))
        if on
    ]
    if marks:
        yield "is", ", ".join(marks)


def _row(blob: Blob, short: str, now_us: int) -> tuple[str, ...]:
    kind = _WORDS.get(blob.type, shown(blob.type)) + ("*" if blob.pinned else "")
    tags = ",".join(shown(tag) for tag in blob.tags)
    return short, kind, bytes_text(blob.size_bytes), age(blob.modified_us, now_us), tags, shown(blob.name)


def _short(blobs: Sequence[Blob]) -> list[str]:
    """The beginning of each hash, long enough to tell these blobs apart."""
    lengths = range(_HASH_LEAST, _HASH_LENGTH + 1)
    length = next((n for n in lengths if len({blob.hash[:n] for blob in blobs}) == len(blobs)), _HASH_LENGTH)
    return [shown(blob.hash[:length]) for blob in blobs]


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
