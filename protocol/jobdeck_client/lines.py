"""Lines of a log and what a search finds in it: values, and how they come over the wire.

A page comes as one CBOR map, what a search finds as lines of JSON, while it is found. What a newer server adds to
either is ignored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from jobdeck_client.errors import ServerFaultError
from jobdeck_protocol import codec
from jobdeck_protocol.errors import RemoteWireError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

CBOR = "application/cbor"
T = TypeVar("T")
_PAGE_LIMIT_BYTES = 16 * 1024 * 1024
_FOUND_LIMIT_BYTES = 64 * 1024  # of one line; they have a hundred bytes


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log.

    Attributes:
        n: Its number, from 0.
        offset: Of its first byte.
        length: Of the whole line in bytes, without its newline; more than ``data`` has if it was cut.
        newline: It has one; only the last line may be without.
        time_us: When its first byte was written, microseconds UTC; 0 if that is not known.
        runs: What of ``data`` was written by whom: length, stream (``stdout``, ``stderr``, ...) and time of each piece.
        data: Its first bytes.
    """

    n: int
    offset: int
    length: int
    newline: bool
    time_us: int
    runs: tuple[tuple[int, str, int], ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class LinePage:
    """Some lines of a log.

    Attributes:
        start: Number of the first one, or of the one that would be.
        total: Lines in the first ``indexed_bytes``.
        size_bytes: Of the log now.
        indexed_bytes: So much of it was looked through for newlines.
        ended: Nothing will be added to it.
        lines: Maybe fewer than wanted.
    """

    start: int
    total: int
    size_bytes: int
    indexed_bytes: int
    ended: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A match of ``length`` bytes at an offset, which is the byte ``column`` of its line."""

    line: int
    offset: int
    column: int
    length: int


@dataclass(frozen=True, slots=True)
class Progress:
    """A search has come so far."""

    line: int
    offset: int


@dataclass(frozen=True, slots=True)
class Done:
    """A search is over.

    Attributes:
        hits: How many there were.
        more: It stopped since there were as many as wanted.
        line: Where it stopped: the line of the last hit if there may be more, else the one that would come next.
    """

    hits: int
    more: bool
    line: int


Found = Hit | Progress | Done


def page_arguments(
    start: int | None, offset: int | None, count: int, cap_bytes: int, stream: str | None
) -> dict[str, str]:
    """The query of a page."""
    given = {"from": start, "offset": offset, "count": count, "cap": cap_bytes, "stream": stream}
    return {name: str(value) for name, value in given.items() if value is not None}


def find_arguments(
    pattern: str, *, regex: bool, case: bool, start: int | None, backward: bool, limit: int, stream: str | None
) -> dict[str, str]:
    """The query of a search."""
    given = {
        "pattern": pattern,
        "regex": "true" if regex else "false",
        "case": "true" if case else "false",
        "from": start,
        "direction": "backward" if backward else "forward",
        "limit": limit,
        "stream": stream,
    }
    return {name: str(value) for name, value in given.items() if value is not None}


def page_of(body: bytes) -> LinePage:
    """The page that an answer in CBOR holds.

    Raises:
        ServerFaultError: It holds none.
    """
    try:
        wire = codec.decode(body, limit_bytes=_PAGE_LIMIT_BYTES)
        return LinePage(
            start=_number(wire["from"]),
            total=_number(wire["total"]),
            size_bytes=_number(wire["size"]),
            indexed_bytes=_number(wire["indexed"]),
            ended=_typed(wire["ended"], bool),
            lines=tuple(_line(line) for line in _typed(wire["lines"], list)),
        )
    except (RemoteWireError, LookupError, TypeError, ValueError) as error:
        raise ServerFaultError("The server's answer is no page of lines.") from error


def _line(wire: Any) -> Line:  # noqa: ANN401  # what came over the wire is anything
    return Line(
        n=_number(wire["n"]),
        offset=_number(wire["offset"]),
        length=_number(wire["length"]),
        newline=_typed(wire["newline"], bool),
        time_us=_typed(wire["time"], int),
        runs=tuple((_number(run[0]), _typed(run[1], str), _typed(run[2], int)) for run in _typed(wire["runs"], list)),
        data=_typed(wire["data"], bytes),
    )


async def found_in(pieces: AsyncIterator[bytes]) -> AsyncGenerator[Found, None]:
    """What a search tells, as it comes, up to ``Done``.

    Raises:
        ServerFaultError: It tells something else, or ends before it is done.
    """
    rest, found = b"", None
    async for piece in pieces:
        *texts, rest = (rest + piece).split(b"\n")
        if len(rest) > _FOUND_LIMIT_BYTES:
            raise ServerFaultError("The server's answer is nothing that a search finds.")
        for text in texts:
            found = _found(text)
            if found is not None:
                yield found
    if not isinstance(found, Done):
        raise ServerFaultError("The search was broken off.")


async def leave(pieces: AsyncIterator[bytes]) -> None:
    """End an answer that may not have been read to its end.

    httpx makes it of generators within generators, and those within stay open when the outermost is closed. A read that
    is cancelled unwinds all of them; one at its end does nothing.
    """
    with trio.CancelScope() as scope:
        scope.cancel()
        async for _ in pieces:
            pass


def _found(text: bytes) -> Found | None:
    """What one line tells; None if it is something of which we have not heard."""
    try:
        wire = json.loads(text)
        if "hit" in wire:
            hit = wire["hit"]
            return Hit(*(_number(hit[name]) for name in ("line", "offset", "column", "length")))
        if "at" in wire:
            return Progress(_number(wire["at"]), _number(wire["offset"]))
        if "done" in wire:
            return Done(_number(wire["hits"]), _typed(wire["more"], bool), _number(wire["line"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ServerFaultError("The server's answer is nothing that a search finds.") from error
    return None


def _typed(value: object, kind: type[T]) -> T:
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} was expected, not {type(value).__name__}")
    return value


def _number(value: object) -> int:
    number = _typed(value, int)
    if number < 0:
        raise ValueError("a number is negative")
    return number
