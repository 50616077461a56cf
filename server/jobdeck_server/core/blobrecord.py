"""Records of blobs and the hashes that name them; pure.

A record says of a blob what it is called, how large it is, of which type, and where its bytes are. Its **metadata
hash**, by which everybody refers to a blob, is the SHA-1 of one compact JSON object with seven keys in a fixed order,
as ECMAScript writes it (see ``ecmascript``). Stores made by others name their blobs so, and scripts carry the names
around; so whatever a client sent must be kept as it was sent, wrong types included, and be told from what was not sent.

When it was stored is no part of it: an id does not depend on time.

    content hash    SHA-1 of the bytes
    metadata hash   SHA-1 of ``serialize(record)``, which is also what is kept: ``record_of(parse(kept))`` is the record
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from jobdeck_server.core.ecmascript import JsonError, by_unit, check_depth, index_of, is_falsy, stringify, text_of
from jobdeck_server.core.errors import BadRequestError

HASH: Final = re.compile("[0-9a-f]{40}")  # to be matched in full
_PROTO = "__proto__"  # as a key of an object made by assignment it sets the prototype, and is gone


class Absent(Enum):
    """The one value of what was not sent."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of a blob, in the order in which it is hashed; types as sent, which may be the wrong ones.

    Attributes:
        name: File name; ``ABSENT`` is left out of the text, None is ``null`` in it.
        size: Bytes.
        mime: By the file name, or as sent.
        is_public: Whether it is listed.
        tags: Sorted by UTF-16 code unit, repeats kept.
        content: The content hash of an ``object``, the metadata hash of a ``softLink``, the entries of a ``complex``
            (path -> ``{"content": hash, "contentType": ...}``) in the order in which they are kept.
        content_type: ``object``, ``softLink``, ``complex``, or whatever was sent.
    """

    name: object | Literal[Absent.ABSENT] = ABSENT
    size: object = 0
    mime: object = ""
    is_public: object = False
    tags: tuple[object, ...] = ()
    content: object | Literal[Absent.ABSENT] = ABSENT
    content_type: object = "object"

    @property
    def size_bytes(self) -> int:
        """The size as a number to show; 0 where none was sent. What counts is the content's own length."""
        return self.size if isinstance(self.size, int) and not isinstance(self.size, bool) else 0


def file_record(name: str, size_bytes: int, mime: str, content_hash: str) -> Record:
    """The record that an upload of one file makes. There is no way to give it tags or to make it public."""
    return Record(name=name, size=size_bytes, mime=mime, content=content_hash)


def record_of(value: object) -> Record:
    """The record that a client's JSON means.

    A list has none of the keys and so is an empty record; keys that are not a record's are dropped.

    Args:
        value: As ``ecmascript.parse`` or ``json.loads`` gives it.

    Raises:
        BadRequestError: It is no object, its tags are no list, or an entry of a complex record has no content hash.
    """
    if not isinstance(value, dict | list):
        raise BadRequestError("A record must be an object.")
    try:
        check_depth(value)
    except JsonError as error:
        raise BadRequestError(str(error)) from None
    sent = value if isinstance(value, dict) else {}
    content_type = _or(sent.get("contentType"), "object")
    content = sent.get("content", ABSENT)
    return Record(
        name=sent.get("name", ABSENT),
        size=_or(sent.get("size"), 0),
        mime=_or(sent.get("mime"), ""),
        is_public=_or(sent.get("isPublic"), False),
        tags=_tags(_or(sent.get("tags"), [])),
        content=_entries(content) if content_type == "complex" else content,
        content_type=content_type,
    )


def fields(record: Record) -> dict[str, object]:
    """A record as the object that is hashed, kept and answered."""
    pairs = {
        "name": record.name,
        "size": record.size,
        "mime": record.mime,
        "isPublic": record.is_public,
        "tags": list(record.tags),
        "content": record.content,
        "contentType": record.content_type,
    }
    return {key: value for key, value in pairs.items() if value is not ABSENT}


def serialize(record: Record) -> bytes:
    """The text that is hashed, and kept: one JSON object without blanks."""
    return stringify(fields(record)).encode()


def metadata_hash(record: Record) -> str:
    """The id of a record: 40 hex digits in lower case."""
    return hashlib.sha1(serialize(record), usedforsecurity=False).hexdigest()


def is_hash(value: object) -> bool:
    """Whether a value is a hash as this store writes it."""
    return isinstance(value, str) and HASH.fullmatch(value) is not None


def _or(value: object, default: object) -> object:
    return default if is_falsy(value) else value


def _tags(value: object) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise BadRequestError("tags must be a list.", field="tags")
    return tuple(sorted(value, key=lambda tag: by_unit(text_of(tag))))


def _entries(value: object) -> dict[str, object]:
    """The entries of a complex record in the order in which they are kept: indices first, then by code unit."""
    if isinstance(value, list):  # which is an object there, and its indices are its keys
        value = {str(index): entry for index, entry in enumerate(value)}
    if not isinstance(value, dict):
        raise BadRequestError("The content of a complex record must be an object.", field="content")
    for path, entry in value.items():
        if not isinstance(entry, dict) or not is_hash(entry.get("content")):
            raise BadRequestError(f"The entry {path!r} has no content hash.", field="content")
    return {path: value[path] for path in sorted(value, key=_entry_order) if path != _PROTO}


def _entry_order(path: str) -> tuple[int, int, bytes]:
    index = index_of(path)
    return (1, 0, by_unit(path)) if index is None else (0, index, b"")
