"""What is told of a blob, in lists, in events and when it is asked for: the one form that both ends share.

A blob is a record and the bytes that it names. Its hash depends on all that stands in the record (``name``, ``size``,
``mime``, ``public``, the record's own tags, what it is made of); what is given to it later (``own_tags``, ``pinned``)
is kept beside it and changes no hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobdeck_protocol.job import time_text, time_us

__all__ = ["ARTIFACT", "FILE", "LINK", "Blob", "from_wire", "to_wire"]

FILE = "object"
ARTIFACT = "complex"
LINK = "softLink"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """All that a list tells of one blob.

    Attributes:
        hash: Of its record: 40 hex digits in lower case.
        name: File name, without what no text can hold; empty if it has none.
        size_bytes: As the record says, which for a file is what it has.
        mime: As the record says.
        type: ``FILE``, ``ARTIFACT``, ``LINK``, or whatever a client wrote.
        content: Hash of the bytes (of a link: of the record) that it names; None for an artifact.
        entry_count: Files of an artifact, else None.
        public: As the record says.
        tags: The record's and its own, each once, sorted; of very many the first.
        own_tags: Those that were given to it here and can be taken away.
        pinned: Never removed until unpinned.
        uploaded: A client sent it; else it is there for jobs or a package alone, and goes when they go.
        created_us: When it came first, microseconds since 1970 UTC.
        modified_us: When it came last.
    """

    hash: str
    name: str = ""
    size_bytes: int = 0
    mime: str = ""
    type: str = FILE
    content: str | None = None
    entry_count: int | None = None
    public: bool = False
    tags: tuple[str, ...] = ()
    own_tags: tuple[str, ...] = ()
    pinned: bool = False
    uploaded: bool = True
    created_us: int = 0
    modified_us: int = 0

    @property
    def id(self) -> str:
        """The hash: by which it is known on lists."""
        return self.hash


_TEXTS = ("name", "mime", "type")
_FLAGS = ("public", "pinned", "uploaded")


def to_wire(blob: Blob) -> dict[str, Any]:
    """The record as a map of JSON values."""
    return {
        "hash": blob.hash,
        "name": blob.name,
        "size_bytes": blob.size_bytes,
        "mime": blob.mime,
        "type": blob.type,
        "content": blob.content,
        "entry_count": blob.entry_count,
        "public": blob.public,
        "tags": list(blob.tags),
        "own_tags": list(blob.own_tags),
        "pinned": blob.pinned,
        "uploaded": blob.uploaded,
        "created": time_text(blob.created_us),
        "modified": time_text(blob.modified_us),
    }


def from_wire(wire: Mapping[str, Any]) -> Blob:
    """The inverse of ``to_wire``; fields that are missing take their defaults, unknown ones are ignored.

    Raises:
        KeyError: ``hash`` is missing.
        TypeError: A value is of the wrong type.
        ValueError: A time is not one.
    """
    known: dict[str, Any] = {"hash": _typed(wire["hash"], str)}
    for names, kind in ((_TEXTS, str), (_FLAGS, bool), (("size_bytes",), int)):
        known.update({name: _typed(wire[name], kind) for name in names if name in wire})
    for name, kind in (("content", str), ("entry_count", int)):
        if wire.get(name) is not None:
            known[name] = _typed(wire[name], kind)
    for name in ("tags", "own_tags"):
        known[name] = tuple(_typed(tag, str) for tag in _typed(wire.get(name, []), list))
    for name in ("created", "modified"):
        if name in wire:
            known[name + "_us"] = time_us(_typed(wire[name], str))
    return Blob(**known)


def _typed(value: object, kind: type) -> Any:  # noqa: ANN401  # what is checked here is anything until it is
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} was expected, not {type(value).__name__}")
    return value
