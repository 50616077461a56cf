"""What is told of a package, in lists, in events and when it is asked for: the one form that both ends share.

A package is a wheel, an egg or a jar that somebody has sent under a name, and whose classes jobs can run. The same name
sent again makes a new version: new jobs run that one, those that have begun keep theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jobdeck_protocol.job import time_text, time_us

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EGG", "JAR", "KINDS", "MIMES", "TYPES", "WHEEL", "PackageInfo", "from_wire", "to_wire"]

JAR: Final = "jar"
EGG: Final = "egg"
WHEEL: Final = "wheel"
KINDS: Final = (WHEEL, EGG, JAR)
MIMES: Final[Mapping[str, str]] = {
    WHEEL: "application/python-wheel",
    EGG: "application/python-egg",
    JAR: "application/java-archive",
}
"""The Content-Type of each kind. Source: Spark JobServer's API, "Binaries"."""
TYPES: Final[Mapping[str, str]] = {**{mime: kind for kind, mime in MIMES.items()}, "application/python-archive": EGG}
"""Which kind a Content-Type says; an egg has an older one, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageInfo:
    """All that is told of one package, or of one of its versions.

    Attributes:
        name: As its sender calls it: any text but an empty one.
        kind: ``WHEEL``, ``EGG`` or ``JAR``, as its sender said.
        size_bytes: Of the newest version, like all that follows.
        hash: Of the blob that holds it: 40 hex digits in lower case.
        content: SHA-1 of its bytes.
        uploaded_us: When it came, microseconds since 1970 UTC.
        versions_count: How many versions of the package are kept.
    """

    name: str
    kind: str = WHEEL
    size_bytes: int = 0
    hash: str = ""
    content: str = ""
    uploaded_us: int = 0
    versions_count: int = 1

    @property
    def id(self) -> str:
        """The name: by which it is known on lists."""
        return self.name


_TEXTS = ("name", "kind", "hash", "content")
_NUMBERS = ("size_bytes", "versions_count")


def to_wire(package: PackageInfo) -> dict[str, Any]:
    """The record as a map of JSON values; the time is RFC 3339 text."""
    wire: dict[str, Any] = {name: getattr(package, name) for name in (*_TEXTS, *_NUMBERS)}
    wire["uploaded"] = time_text(package.uploaded_us)
    return wire


def from_wire(wire: Mapping[str, Any]) -> PackageInfo:
    """The inverse of ``to_wire``; fields that are missing take their defaults, unknown ones are ignored.

    Raises:
        KeyError: ``name`` is missing.
        TypeError: A value is of the wrong type.
        ValueError: The time is none.
    """
    known: dict[str, Any] = {"name": _typed(wire["name"], str)}
    for names, kind in ((_TEXTS, str), (_NUMBERS, int)):
        known.update({name: _typed(wire[name], kind) for name in names if name in wire})
    if "uploaded" in wire:
        known["uploaded_us"] = time_us(_typed(wire["uploaded"], str))
    return PackageInfo(**known)


def _typed(value: object, kind: type) -> Any:  # noqa: ANN401  # what is checked here is anything until it is
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} was expected, not {type(value).__name__}")
    return value
