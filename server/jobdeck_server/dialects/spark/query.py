"""The query of a request, read as the original's library reads it: flags in many spellings, numbers of 32 bits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.dialects.parse import arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_server.http.message import Request

METHOD = "_method"
"""The argument that names another method than the request's own, for clients that can only GET and POST."""

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_NUMBER = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
_LEAST, _GREATEST = -(1 << 31), (1 << 31) - 1


class MalformedError(BadRequestError):
    """An argument is not of its kind; told in a way of its own."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The query parameter '{name}' was malformed:\n{reason}", field=name)


class MissingError(BadRequestError):
    """An argument without which the path leads nowhere; told as if there were no such path."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Request is missing required query parameter '{name}'", field=name)


class Query:
    """The arguments of one request, those of all routes left out.

    Raises:
        BadRequestError: There are too many.
    """

    def __init__(self, request: Request) -> None:
        self._fields = arguments(request)
        self._fields.pop(METHOD, None)

    def all(self) -> Mapping[str, str]:
        """All there are."""
        return dict(self._fields)

    def text(self, name: str) -> str | None:
        """A text; None if it is missing or empty."""
        return self._fields.get(name) or None

    def needed(self, name: str) -> str:
        """A text, which may be empty.

        Raises:
            MissingError: It is missing.
        """
        if name not in self._fields:
            raise MissingError(name)
        return self._fields[name]

    def flag(self, name: str, *, default: bool) -> bool:
        """A yes or no, in any case.

        Raises:
            MalformedError: It is neither.
        """
        text = self._fields.get(name)
        if text is None:
            return default
        if text.lower() in _TRUE:
            return True
        if text.lower() in _FALSE:
            return False
        raise MalformedError(name, f"'{text}' is not a valid Boolean value")

    def number(self, name: str, *, default: int) -> int:
        """A whole number of 32 bits, which may be negative.

        Raises:
            MalformedError: It is none.
        """
        text = self._fields.get(name)
        if text is None:
            return default
        if _NUMBER.fullmatch(text) is None or not _LEAST <= int(text) <= _GREATEST:
            raise MalformedError(name, f"'{text}' is not a valid 32-bit signed integer value")
        return int(text)
