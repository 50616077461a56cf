"""Which paths of a zip or artifact may be written, and whether two of them would meet on disk.

A path is refused, never mended: what a mended one would overwrite is anybody's guess. Two that differ in case alone, or
in the form of an accent, are refused too, though this disk tells them apart: the one who made the bundle on a disk that
does not, and the one who fetches the results to such a disk, see one file.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_server.core.bundles.errors import UnpackError, shown

if TYPE_CHECKING:
    from jobdeck_server.core.bundles.limits import UnpackLimits

_PART_LIMIT_BYTES = 255  # NAME_MAX
_DRIVE = re.compile("[A-Za-z]:")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


@dataclass(slots=True)
class _Seen:
    """One part of a path as it was first written, and what lies in it; None in a file."""

    part: str
    inside: dict[str, _Seen] | None


class Names:
    """The paths of one bundle, given one by one; memory grows with their parts, however they lie in one another."""

    def __init__(self, limits: UnpackLimits) -> None:
        self._limits = limits
        self._top: dict[str, _Seen] = {}  # by folded part
        self._left_count = limits.entry_count

    def add(self, name: str, *, folder: bool = False) -> tuple[str, ...]:
        """The parts of one more path.

        Args:
            name: As the bundle writes it, without a slash at the end.
            folder: It is one; it may come again, or after what lies in it.

        Raises:
            UnpackError: It must not be written, meets another, or is one too many.
        """
        parts = self._checked(name)
        level = self._top
        for part in parts if folder else parts[:-1]:
            seen = level.get(key := _folded(part))
            if seen is None:
                seen = level[key] = self._fresh(part, {})
            if seen.inside is None or seen.part != part:
                raise UnpackError(f"{shown(name)} meets another entry at {shown(seen.part)}.")
            level = seen.inside
        if not folder:
            key = _folded(parts[-1])
            if key in level:
                raise UnpackError(f"{shown(name)} meets another entry at {shown(level[key].part)}.")
            level[key] = self._fresh(parts[-1], None)
        return parts

    def _fresh(self, part: str, inside: dict[str, _Seen] | None) -> _Seen:
        self._left_count -= 1
        if self._left_count < 0:
            raise UnpackError(f"There are more than {self._limits.entry_count} files and folders.")
        return _Seen(part, inside)

    def _checked(self, name: str) -> tuple[str, ...]:
        limits = self._limits
        if _length_bytes(name) > limits.name_bytes:
            raise UnpackError(f"{shown(name)} is longer than {limits.name_bytes} bytes.")
        if name.startswith("/") or _DRIVE.match(name):
            raise UnpackError(f"{shown(name)} is an absolute path.")
        if "\\" in name:
            raise UnpackError(f"{shown(name)} has a backslash in it.")
        if _CONTROL.search(name):
            raise UnpackError(f"{shown(name)} has control characters in it.")
        parts = tuple(name.split("/"))
        if len(parts) > limits.depth_count:
            raise UnpackError(f"{shown(name)} lies more than {limits.depth_count} folders deep.")
        for part in parts:
            if part in ("", ".", ".."):
                raise UnpackError(f"{shown(name)} has the part {shown(part)} in it.")
            if _length_bytes(part) > _PART_LIMIT_BYTES:
                raise UnpackError(f"{shown(name)} has a part of more than {_PART_LIMIT_BYTES} bytes in it.")
        return parts


def _length_bytes(text: str) -> int:
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise UnpackError(f"{shown(text)} is no text.") from None


def _folded(part: str) -> str:
    if part.isascii():
        return part.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", part).casefold())
