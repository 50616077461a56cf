"""Readers of single configuration values: each takes text or a TOML value and returns the checked value.

All raise ``BadValueError`` with a sentence that says what was found and what is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from jobdeck_server.core.outbound.rules import PatternError, parse_rule

__all__ = [
    "BadValueError",
    "a_flag",
    "a_list",
    "a_word",
    "address",
    "amount",
    "count",
    "named_file",
    "pattern",
    "seconds",
    "some_or_none",
    "text",
]

_SIZES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_TIMES = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


class BadValueError(ValueError):
    """A configuration value that is not one."""


def text(value: object) -> str:
    """Text that is not empty and holds no NUL."""
    if isinstance(value, str) and value and "\0" not in value:
        return value
    raise BadValueError(f"{value!r} is no text")


def a_flag(value: object) -> bool:
    """True or false, also as 1/0, yes/no, on/off."""
    if isinstance(value, bool):
        return value
    found = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    word = str(value).lower()
    if word not in found:
        raise BadValueError(f"{value!r} is neither true nor false")
    return found[word]


def not_a_flag(value: object) -> bool:
    """The opposite of a flag that says no."""
    return not a_flag(value)


def a_word(*words: str) -> Callable[[object], str]:
    """One of ``words``."""

    def parse(value: object) -> str:
        if value in words:
            return str(value)
        raise BadValueError(f"{value!r} is none of {', '.join(words)}")

    return parse


def a_list(item: Callable[[object], Any]) -> Callable[[object], tuple[Any, ...]]:
    """Several of ``item``: text with commas, texts with commas from the command line (a tuple), or a list of a file."""

    def parse(value: object) -> tuple[Any, ...]:
        parts: object = value
        if isinstance(value, str | tuple):
            texts = (value,) if isinstance(value, str) else value
            parts = [part.strip() for each in texts for part in each.split(",")]
        if not isinstance(parts, list) or not parts:
            raise BadValueError(f"{value!r} is no list")
        return tuple(item(part) for part in parts)

    return parse


def some_or_none(item: Callable[[object], Any]) -> Callable[[object], tuple[Any, ...]]:
    """As ``a_list``, or the word ``none`` for an empty one."""
    some = a_list(item)

    def parse(value: object) -> tuple[Any, ...]:
        return () if value in ("none", ("none",), []) else some(value)

    return parse


def pattern(*schemes: str) -> Callable[[object], str]:
    """What may be called, such as ``https://*.example.org:443`` (``core/outbound/rules``), by one of ``schemes``."""

    def parse(value: object) -> str:
        shown = text(value)
        try:
            rule = parse_rule(shown)
        except PatternError as error:
            raise BadValueError(str(error)) from error
        if rule.scheme not in schemes:
            raise BadValueError(f"{shown!r}: it must be one of {', '.join(schemes)}")
        return shown

    return parse


def named_file(value: object) -> tuple[str, str]:
    """``NAME=FILE``: what stands before the first ``=``, and all that stands behind it."""
    name, equals, path = text(value).partition("=")
    if not name or not equals or not path:
        raise BadValueError(f"{value!r} is no NAME=FILE")
    return name, path


def count(least: int, most: int) -> Callable[[object], int]:
    """A whole number from ``least`` to ``most``."""

    def parse(value: object) -> int:
        number = _whole(value)
        if number is None or not least <= number <= most:
            raise BadValueError(f"{value!r} is no whole number from {least} to {most}")
        return number

    return parse


def amount(value: object) -> int:
    """Bytes: a number, or text like ``500M`` or ``4GiB`` (powers of 1024)."""
    number = _whole(value)
    if number is not None:
        return number
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgt]?)(?:i?b)?", str(value).strip().lower())
    if found is None or isinstance(value, bool):
        raise BadValueError(f"{value!r} is no size such as 500M or 4GiB")
    return int(float(found[1]) * _SIZES[found[2]])


def seconds(value: object) -> float:
    """A time: seconds as a number, or text like ``90s``, ``12h`` or ``30d``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([smhdw]?)", str(value).strip().lower())
    if found is None or isinstance(value, bool):
        raise BadValueError(f"{value!r} is no time such as 90s, 12h or 30d")
    return float(found[1]) * _TIMES[found[2]]


def address(value: object) -> tuple[str, int]:
    """``HOST:PORT``, ``[IPv6]:PORT``, ``:PORT`` or ``PORT``; without a host, loopback."""
    shown = str(value)
    host, colon, port = shown.rpartition(":")
    if not colon:
        host, port = "", shown
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise BadValueError(f"{shown!r} is no address; an IPv6 address stands in brackets: [::1]:8080")
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise BadValueError(f"{shown!r} is no HOST:PORT with a port from 0 to 65535")
    if not re.fullmatch(r"[A-Za-z0-9_.:%-]*", host):
        raise BadValueError(f"{shown!r} has no proper host")
    return host or "127.0.0.1", int(port)


def _whole(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value) else None
