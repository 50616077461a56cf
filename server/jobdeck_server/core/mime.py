"""The type of a file by its name, as the clients of the blob store expect it.

The type is part of a blob's hash, so Python's own table, which agrees on a tenth of it and takes more from the machine
it runs on, is of no use. The table and its source are in ``mime.types`` beside this file.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN: Final = "application/octet-stream"
_FOLDER = re.compile(r".*[/\\]", re.DOTALL)


def mime_of(name: str) -> str:
    """The type of a file, without a charset; ``UNKNOWN`` for what is not in the table.

    What follows the last dot of the last part decides, in any case and with its blanks. A last part with no dot, or
    with none but its first character, is looked up as a whole, but only if there is no part before it: ``zip`` and
    ``.txt`` have a type, ``a/zip`` and ``a/.txt`` have none.
    """
    last = _FOLDER.sub("", name, count=1)
    extension = last.rpartition(".")[2].lower()
    if last != name and len(extension) >= len(last) - 1:
        return UNKNOWN
    return table().get(extension, UNKNOWN)


@cache
def table() -> Mapping[str, str]:
    """Type by extension; read once."""
    text = files(__package__).joinpath("mime.types").read_text("ascii")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {extension: mime for mime, *extensions in lines for extension in extensions}
