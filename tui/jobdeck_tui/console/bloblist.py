"""Which blobs the list shows, in which order, by the server's own rules; and the words of the filter line. Pure.

As for jobs (``query``, ``joblist``): the console decides for each blob that is told whether it belongs on the list, and
where, as the server does (``core/bloblist.py``). A record never changes; tags and pins do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobdeck_protocol.blob import Blob
from jobdeck_tui.console.filterline import split
from jobdeck_tui.console.pages import Sorted
from jobdeck_tui.console.query import Words
from jobdeck_tui.console.rowlist import RowList
from jobdeck_tui.words import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_tui.console.pages import Key

__all__ = ["BlobList", "BlobQuery", "parse"]

_PINNED = {"pinned": True, "unpinned": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobQuery(Sorted):
    """Which blobs, in which order; as ``Client.blobs.page`` takes it."""

    name: str | None = None
    tag: str | None = None
    text: str | None = None
    kind: str | None = None
    pinned: bool | None = None
    sort: str = "-created"

    @property
    def narrow(self) -> bool:
        """Whether it leaves any blob out."""
        return bool(self.name or self.tag or self.text or self.kind or self.pinned is not None)

    def matches(self, blob: Blob) -> bool:
        """Whether a blob belongs on the list."""
        return (
            (self.name is None or blob.name == self.name)
            and (self.tag is None or self.tag in blob.tags)
            and (self.kind is None or blob.type == self.kind)
            and (self.pinned is None or blob.pinned == self.pinned)
            and (self.text is None or self.text.casefold() in _searched(blob))
        )

    def still_matches(self, blob: Blob) -> bool:
        """The same for one that did before."""
        return self.matches(blob)

    def key_of(self) -> Callable[[Blob], Key]:
        """The function that tells where a blob stands in this order."""
        sign = -1 if self.descending else 1
        if self.by == "size":
            return lambda blob: (sign * blob.size_bytes, sign * blob.created_us)
        return lambda blob: (sign * blob.created_us, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobList(RowList):
    """A window whose rows are blobs."""

    query: BlobQuery = field(default_factory=BlobQuery)
    rows: tuple[Blob, ...] = ()


def _searched(blob: Blob) -> str:
    return "\n".join((blob.hash, blob.name, blob.mime, *blob.tags)).casefold()


def parse(line: str, sort: str) -> Words[BlobQuery]:
    """The query that a filter line asks for.

    ``type:artifact``, ``tag:nightly``, ``name:"a b.txt"`` and ``is:pinned`` stand anywhere in it; what is left is
    searched as it is. A type may be shortened; a word that is not finished yet (``tag:``) asks for nothing.
    """
    found, text = split(line, "type", "tag", "name", "is")
    kinds = [kind for word, kind in KINDS.items() if word.startswith(found.get("type", "").lower())]
    pins = [on for word, on in _PINNED.items() if word.startswith(found.get("is", "").lower())]
    query = BlobQuery(
        name=found.get("name") or None,
        tag=found.get("tag") or None,
        text=text,
        kind=kinds[0] if kinds and found.get("type") else None,
        pinned=pins[0] if pins and found.get("is") else None,
        sort=sort,
    )
    error = None
    if not kinds:
        error = f"no type begins with {found['type']!r}: {', '.join(KINDS)}"
    elif not pins:
        error = f"is: takes {' or '.join(_PINNED)}"
    return Words(query=query, error=error)
