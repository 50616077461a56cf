"""Names for files of this machine, made of what somebody else has chosen. Pure."""

from __future__ import annotations

import re

__all__ = ["safe_name"]

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FILE_NAME_LIMIT_BYTES = 200


def safe_name(name: str) -> str:
    """A name for a new file in this folder, made of one that anybody may have chosen; empty if nothing is left."""
    last = re.split(r"[/\\]", name)[-1]
    last = _UNSAFE.sub("_", last.encode(errors="replace").decode())
    last = "_" + last.lstrip(".") if last.startswith(".") else last
    last = last.encode()[:_FILE_NAME_LIMIT_BYTES].decode(errors="ignore")
    return "" if last in ("", "_") else last
