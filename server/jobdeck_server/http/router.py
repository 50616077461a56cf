"""One table of routes, made of all dialects' tables, and the question which dialect a path belongs to.

Rules: a path is matched by its segments, each percent-decoded on its own, so ``%2F`` stays inside one. A literal
segment wins over a ``{name}``, and that over a ``{name*}``, which ends a pattern and takes all that is left of a path.
The first segment decides for good: ``/v1/nonsense`` is never taken for ``/{id}/nonsense``, and a job whose key clashes
with a first segment is reached by its UUID. Deeper down what leads nowhere gives way to what would win less. HEAD is
answered by GET, OPTIONS by the list of methods. A route that two claim is an error when the table is made, not when it
is used. What is found nowhere may be sent on to a path that a dialect knows to be written in other ways, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from jobdeck_server.http.errors import MethodNotAllowedError, NotFoundError, PathError
from jobdeck_server.http.message import Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jobdeck_server.dialects.base import Dialect, Route

BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(\*?)\}")


@dataclass(slots=True, kw_only=True)
class Entry:
    """One route where it hangs in the tree: whose it is, and its names by position; ``rest`` if the last is open."""

    dialect: Dialect
    route: Route
    names: dict[int, str]
    rest: bool

    def params(self, segments: tuple[str, ...]) -> dict[str, str]:
        """What the names stand for in a path that has led here."""
        params = {name: segments[at] for at, name in self.names.items()}
        if self.rest:
            at, name = max(self.names.items())
            params[name] = "/".join(segments[at:])
        return params


@dataclass(slots=True)
class Node:
    """What may come after some segments."""

    literals: dict[str, Node] = field(default_factory=dict)
    named: Node | None = None
    rest: Node | None = None
    entries: dict[str, Entry] = field(default_factory=dict)

    def entry(self, method: str) -> Entry | None:
        """What answers a method."""
        return self.entries.get(method) or (self.entries.get("GET") if method == "HEAD" else None)

    def allow(self) -> tuple[str, ...]:
        """The methods that end here, HEAD and OPTIONS among them."""
        more = {"OPTIONS"} | ({"HEAD"} if "GET" in self.entries else set())
        return tuple(sorted(more | set(self.entries)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a method and a path lead to.

    Attributes:
        dialect: Whose words tell of errors here.
        route: None for what the table answers itself, by ``answer``.
        params: What the ``{name}`` segments matched, decoded.
        allow: The methods of the path, sorted.
        location: Another path, to which the request is to be sent.
    """

    dialect: Dialect
    route: Route | None
    params: Mapping[str, str]
    allow: tuple[str, ...]
    location: str | None = None

    def answer(self) -> Response:
        """What the table answers itself: where to go, or to OPTIONS the methods."""
        if self.location is not None:
            return Response(status=307, headers=(("Location", self.location),))
        return Response(status=204, headers=(("Allow", ", ".join(self.allow)),))


class Router:
    """The table of all routes.

    Args:
        dialects: The one that has the segment "" tells of unknown paths; if there is none, the first.

    Raises:
        ValueError: Two claim the same route or the same first segment, or a pattern is not one.
    """

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        self._root = Node()
        self._owners: dict[str, Dialect] = {}
        self._forgiven: dict[str, Dialect] = {}
        self._dialects = tuple(dialects)
        for dialect in dialects:
            for segment in dialect.segments:
                if segment in self._owners:
                    raise ValueError(f"/{segment} belongs to {self._owners[segment].name} and {dialect.name}")
                self._owners[segment] = dialect
            for route in dialect.routes:
                self._add(dialect, route)
            self._forgiven |= dict.fromkeys(dialect.forgiven, dialect)
        self._default = self._owners.get("") or self._dialects[0]

    def routes(self) -> Iterator[tuple[Dialect, Route]]:
        """Every route, in the order of the dialects' own tables."""
        for dialect in self._dialects:
            for route in dialect.routes:
                yield dialect, route

    def dialect_of(self, path: str) -> Dialect:
        """Whose words tell of errors at a path, whether or not it has a route. Never raises.

        Args:
            path: As sent, percent-encoded.
        """
        first = path.removeprefix("/").partition("/")[0]
        return self._owners.get(unquote_to_bytes(first).decode("utf-8", "replace"), self._default)

    def match(self, method: str, path: str) -> Match:
        """Find what answers a request.

        Args:
            method: Upper case.
            path: As sent, percent-encoded, without the query; ``*`` for OPTIONS of the whole server.

        Raises:
            NotFoundError: No route has this path.
            MethodNotAllowedError: None of its routes has this method.
            PathError: The path is not percent-encoded UTF-8.
        """
        if path == "*":
            return Match(dialect=self._default, route=None, params={}, allow=self._all_methods())
        segments = split(path)
        found = self._find(self._root, segments, 0)
        entry = None if found is None else found.entry(method)
        if found is not None and entry is not None:
            params, allow = entry.params(segments), found.allow()
            return Match(dialect=entry.dialect, route=entry.route, params=params, allow=allow)
        sent_on = self._sent_on(method, segments)
        if sent_on is not None:
            return sent_on
        if found is None:
            raise NotFoundError(path)
        if method != "OPTIONS":
            raise MethodNotAllowedError(path, found.allow())
        return Match(dialect=next(iter(found.entries.values())).dialect, route=None, params={}, allow=found.allow())

    def _add(self, dialect: Dialect, route: Route) -> None:
        node = self._root
        names: dict[int, str] = {}
        rest = False
        for at, segment in enumerate(_pattern_segments(route.pattern)):
            named = NAME.fullmatch(segment)
            if rest:
                raise ValueError(f"{route.pattern} goes on after the rest of a path")
            if named is None:
                node = node.literals.setdefault(segment, Node())
                continue
            names[at], rest = named[1], bool(named[2])
            if rest:
                node.rest = node.rest or Node()
                node = node.rest
            else:
                node.named = node.named or Node()
                node = node.named
        if route.method in node.entries:
            other = node.entries[route.method].dialect.name
            raise ValueError(f"{route.method} {route.pattern} belongs to {other} and {dialect.name}")
        if len(set(names.values())) != len(names):
            raise ValueError(f"{route.pattern} has a name twice")
        node.entries[route.method] = Entry(dialect=dialect, route=route, names=names, rest=rest)

    def _find(self, node: Node, segments: tuple[str, ...], at: int) -> Node | None:
        if at == len(segments):
            return node if node.entries else None
        literal = node.literals.get(segments[at])
        if literal is not None:
            found = self._find(literal, segments, at + 1)
            if found is not None or at == 0:
                return found
        if node.named is not None and segments[at]:
            found = self._find(node.named, segments, at + 1)
            if found is not None:
                return found
        return node.rest

    def _sent_on(self, method: str, segments: tuple[str, ...]) -> Match | None:
        """Where a request that leads nowhere may have been meant to go."""
        plain = tuple(segment.lower() for segment in segments if segment)
        location = "/" + "/".join(plain)
        dialect = self._forgiven.get(location)
        found = None if dialect is None or method == "OPTIONS" else self._find(self._root, plain, 0)
        if dialect is None or found is None or method not in found.entries:
            return None
        return Match(dialect=dialect, route=None, params={}, allow=found.allow(), location=location)

    def _all_methods(self) -> tuple[str, ...]:
        return tuple(sorted({"HEAD", "OPTIONS"} | {route.method for _, route in self.routes()}))


def split(path: str) -> tuple[str, ...]:
    """The decoded segments of a path, none for ``/``; a slash at the end makes an empty last one.

    Raises:
        PathError: It is not percent-encoded UTF-8.
    """
    if BROKEN_ESCAPE.search(path):
        raise PathError("The path has a broken percent escape.")
    if path == "/":
        return ()
    try:
        return tuple(unquote_to_bytes(part).decode("utf-8") for part in path.removeprefix("/").split("/"))
    except UnicodeDecodeError as error:
        raise PathError("The path is not UTF-8.") from error


def _pattern_segments(pattern: str) -> list[str]:
    if not pattern.startswith("/"):
        raise ValueError(f"{pattern} does not start with /")
    return [] if pattern == "/" else pattern[1:].split("/")
