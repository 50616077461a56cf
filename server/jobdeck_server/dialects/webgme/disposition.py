"""What a download is to be called: the Content-Disposition header. Source: RFC 6266, RFC 8187."""

from __future__ import annotations

import re
from urllib.parse import quote

_NOT_LATIN = re.compile(r"[^\x20-\x7e\xa0-\xff]")  # what a header cannot carry, or says in an encoding nobody agrees on
_QUOTED = re.compile(r'[\\"]')
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")  # some readers undo it in the plain form too
_PLAIN = "!-._~"  # beside letters and digits; RFC 8187 lets more stand, and the clients' own writer does not


def attachment(name: str) -> str:
    """The header's value, to be sent as Latin-1.

    The last part of the name, always in quotes; where the plain form cannot say it, ``?`` stands for what it cannot,
    and the extended form says it too.

    Args:
        name: Of a file, maybe with folders before it; empty for none.
    """
    base = name.rstrip("/").rpartition("/")[2]
    if not base:
        return "attachment"
    plain = _NOT_LATIN.sub("?", base)
    value = f'attachment; filename="{_QUOTED.sub(_backslash, plain)}"'
    if plain != base or _ESCAPE.search(base):
        value += f"; filename*=UTF-8''{quote(base, safe=_PLAIN, errors='replace')}"
    return value


def _backslash(match: re.Match[str]) -> str:
    return "\\" + match[0]
