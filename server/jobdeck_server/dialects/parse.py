"""Parsing that dialects share: JSON bodies, query arguments. Faults are ``BadRequestError`` with a sentence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.core.output import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_server.http.message import Request

STREAMS: Mapping[str, Kind] = {"stdout": Kind.STDOUT, "stderr": Kind.STDERR}
_OFFSET_LIMIT = 1 << 62


def json_value(data: bytes, *, rest_allowed: bool = False) -> object:
    """The JSON value that a body holds.

    Bytes that are not UTF-8 are kept (as lone surrogates), since a command line may be any bytes.

    Args:
        data: The body.
        rest_allowed: Ignore what follows the first value, as Go's decoder does.

    Raises:
        BadRequestError: It is none.
    """
    text = data.decode("utf-8", "surrogateescape")
    stripped = text.lstrip(" \t\r\n")
    if not stripped:
        raise BadRequestError("EOF")
    try:
        value, end = _decoder.raw_decode(stripped)
    except json.JSONDecodeError as error:
        where = len(text) - len(stripped) + error.pos
        raise BadRequestError(f"invalid JSON at character {where}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"invalid JSON: {error}") from error
    if not rest_allowed and stripped[end:].strip(" \t\r\n"):
        raise BadRequestError("invalid JSON: something follows the value")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_decoder = json.JSONDecoder(parse_constant=_no_constant)


def arguments(request: Request) -> dict[str, str]:
    """The query as a map.

    Raises:
        BadRequestError: It has too many fields.
    """
    try:
        return request.arguments()
    except ValueError as error:
        raise BadRequestError("The query has too many fields.") from error


def offset_argument(query: Mapping[str, str]) -> int:
    """``offset`` of a query: 0 if it is missing; negative counts from the end.

    Raises:
        BadRequestError: It is no number.
    """
    return signed_argument(query, "offset", of="bytes") or 0


def signed_argument(query: Mapping[str, str], name: str, *, of: str = "") -> int | None:
    """A whole number of a query, which may be negative; None if it is missing.

    Args:
        query: See there.
        name: Of the field.
        of: What it counts, for the sentence of a refusal.

    Raises:
        BadRequestError: It is no number, or one beyond all offsets.
    """
    text = query.get(name)
    if text is None:
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19) or int(digits) > _OFFSET_LIMIT:
        raise BadRequestError(f"{name} must be a number{of and ' of ' + of}, not {text!r}.", field=name)
    return int(text)


def stream_argument(query: Mapping[str, str]) -> Kind | None:
    """``stream`` of a query, None for both.

    Raises:
        BadRequestError: It is neither stdout nor stderr.
    """
    text = query.get("stream")
    if not text:
        return None
    try:
        return STREAMS[text]
    except KeyError:
        raise BadRequestError(f"stream must be stdout or stderr, not {text!r}.", field="stream") from None


def flag_argument(query: Mapping[str, str], name: str, *, default: bool) -> bool:
    """A yes or no of a query: ``true``, ``false``, ``1``, ``0``.

    Raises:
        BadRequestError: It is something else.
    """
    text = query.get(name)
    if text is None:
        return default
    if text not in ("true", "false", "1", "0"):
        raise BadRequestError(f"{name} must be true or false, not {text!r}.", field=name)
    return text in ("true", "1")


def number_argument(query: Mapping[str, str], name: str, *, default: int, limit: int) -> int:
    """A whole number of a query from 1 to ``limit``.

    Raises:
        BadRequestError: It is something else.
    """
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9) or not 1 <= int(text) <= limit:
        raise BadRequestError(f"{name} must be from 1 to {limit}, not {text!r}.", field=name)
    return int(text)
