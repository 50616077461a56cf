"""One message is one CBOR item (RFC 8949), and that item is a map with text keys.

What is taken is less than CBOR allows, on purpose (section 10 of the RFC): a limit on size and on depth, no tags (they
make cycles, regular expressions and numbers of any size), no indefinite lengths, no key twice, nothing after the item.
Whatever a peer sends, ``decode`` returns a map or raises ``RemoteWireError``; it never raises anything else.

``encode`` mends texts that UTF-8 cannot say: half a surrogate pair becomes U+FFFD. ``mended`` does that and turns
integers beyond 64 bits, which would need a tag, into floats. Job records hold such things when a client sent them.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any, NoReturn

import cbor2

from jobdeck_protocol.errors import CLOSE_TOO_BIG, LocalWireError, RemoteWireError

__all__ = ["DEPTH_LIMIT", "MESSAGE_LIMIT_BYTES", "bytes_head", "decode", "encode", "mended"]

MESSAGE_LIMIT_BYTES = 1024 * 1024
"""The longest message, encoded. A full ``output`` (256 KiB in 512 runs) has 273 KB."""

DEPTH_LIMIT = 32
"""Containers within containers; a job record needs 5, and a result of its own may be nested further."""

_INT_FLOOR, _INT_CEILING = -(1 << 64), (1 << 64) - 1
_HALVES = re.compile("[\ud800-\udfff]")


class _NoTags(Mapping[int, Callable[[Any, bool], Any]]):
    """A table of tag decoders in which every tag is found and refused."""

    def __getitem__(self, tag: int) -> Callable[[Any, bool], Any]:
        return _refuse_tag

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _refuse_tag(_value: object, _immutable: bool) -> NoReturn:
    raise ValueError("tags are not allowed")


_NO_TAGS = _NoTags()


def decode(data: bytes | bytearray, *, limit_bytes: int = MESSAGE_LIMIT_BYTES) -> dict[str, Any]:
    """The map that one binary message holds.

    Args:
        data: One whole message.
        limit_bytes: A longer one is refused unread.

    Raises:
        RemoteWireError: It is not one map with text keys within the limits; close code 1007, or 1009 for its size.
    """
    if len(data) > limit_bytes:
        raise RemoteWireError(f"a message may have {limit_bytes} bytes", close_code=CLOSE_TOO_BIG)
    source = BytesIO(data)
    decoder = cbor2.CBORDecoder(
        source,
        semantic_decoders=_NO_TAGS,
        max_depth=DEPTH_LIMIT,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    try:
        item = decoder.decode()
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise RemoteWireError("not one CBOR item of the allowed kind") from error
    if not _at_end(decoder):
        raise RemoteWireError("bytes after the CBOR item")
    if not isinstance(item, dict) or not all(isinstance(key, str) for key in item):
        raise RemoteWireError("a message is a map with text keys")
    return item


def _at_end(decoder: cbor2.CBORDecoder) -> bool:
    """Whether nothing follows the item; the decoder reads ahead, so the position of its source does not tell."""
    try:
        decoder.read(1)
    except cbor2.CBORDecodeError:
        return True
    return False


def encode(item: Mapping[str, Any], *, limit_bytes: int = MESSAGE_LIMIT_BYTES) -> bytes:
    """A map as one message; the keys keep their order.

    Raises:
        LocalWireError: It holds what CBOR cannot tell here, or is longer than ``limit_bytes``.
    """
    try:
        try:
            data = cbor2.dumps(item)
        except UnicodeEncodeError:
            data = cbor2.dumps(mended(item))
    except (cbor2.CBOREncodeError, ValueError, TypeError, RecursionError) as error:
        raise LocalWireError(f"cannot be told in CBOR: {error}") from error
    if len(data) > limit_bytes:
        raise LocalWireError(f"a message of {len(data)} bytes is over the limit of {limit_bytes}")
    return data


def mended(value: object) -> object:
    """A JSON-like value without half surrogate pairs and without integers beyond 64 bits."""
    if isinstance(value, str):
        return value if value.isascii() else _HALVES.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {mended(key): mended(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mended(item) for item in value]
    if isinstance(value, int) and not _INT_FLOOR <= value <= _INT_CEILING:
        return float(value) if abs(value) < 1 << 1000 else math.copysign(math.inf, value)
    return value


def bytes_head(length: int) -> bytes:
    """What stands in CBOR before a byte string of ``length`` bytes (major type 2, shortest form)."""
    if length < 24:
        return bytes((0x40 | length,))
    if length < 1 << 8:
        return struct.pack(">BB", 0x58, length)
    if length < 1 << 16:
        return struct.pack(">BH", 0x59, length)
    if length < 1 << 32:
        return struct.pack(">BI", 0x5A, length)
    return struct.pack(">BQ", 0x5B, length)
