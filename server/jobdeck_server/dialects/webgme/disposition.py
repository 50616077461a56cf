"""What a download is to be called: the Content-Disposition header. Source: RFC 6266, RFC 8187."""

from __future__ import annotations

import re
from urllib.parse import quote

_FOLDERS = re.compile(r"[/\\]")
_NOT_LATIN = re.compile(r"[^\x20-\x7e\xa0-\xff]")  # what a header cannot carry, or says in an encoding nobody agrees on
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")  # some readers undo it in the plain form too
_PLAIN = "!-._~"  # beside letters and digits; RFC 8187 lets more stand, and the clients' own writer does not


def attachment(name: str) -> str:
    """The header's value, to be sent as Latin-1.

    The last part of the name (a backslash separates too, as it does for some who save it), always in quotes; ``?``
    stands for what the plain form cannot say, and then the extended form says it too.

    Args:
        name: Of a file, maybe with folders before it; empty for none.
    """
    base = _FOLDERS.split(name.rstrip("/\\"))[-1]
    if not base:
        return "attachment"
    plain = _NOT_LATIN.sub(_unsayable, base)
    quoted = plain.replace('"', r"\"")
    value = f'attachment; filename="{quoted}"'
    if plain != base or _ESCAPE.search(base):
        value += f"; filename*=UTF-8''{quote(base, safe=_PLAIN, errors='replace')}"
    return value


def _unsayable(match: re.Match[str]) -> str:
    return "?" if match[0] <= "\uffff" else "??"  # the original counts in 16-bit units
