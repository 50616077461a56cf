"""Single values of a job's configuration, or of a context's settings, read as what they are meant to be. Pure.

Source: HOCON.md, "Units format". Of sizes Spark's own words are taken, too: ``kb`` to ``pb`` in lower case are powers
of 1024 there, as the single letters are in both.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from jobdeck_server.core.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json = Any

_UNIT = re.compile(r"\s*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))\s*([A-Za-z]*)\s*", re.ASCII)
_PREFIXES = ("kilo", "mega", "giga", "tera", "peta", "exa")
_BINARY = ("kibi", "mebi", "gibi", "tebi", "pebi", "exbi")
_SECONDS = {
    1e-9: ("ns", "nano", "nanos", "nanosecond", "nanoseconds"),
    1e-6: ("us", "micro", "micros", "microsecond", "microseconds"),
    1e-3: ("", "ms", "milli", "millis", "millisecond", "milliseconds"),
    1.0: ("s", "second", "seconds"),
    60.0: ("m", "minute", "minutes"),
    3600.0: ("h", "hour", "hours"),
    86400.0: ("d", "day", "days"),
}
_DURATIONS = {word: factor for factor, words in _SECONDS.items() for word in words}


def _size_words() -> dict[str, int]:
    words = dict.fromkeys(("", "b", "B", "byte", "bytes"), 1)
    for power, (prefix, binary) in enumerate(zip(_PREFIXES, _BINARY, strict=True), 1):
        letter = prefix[0].upper()
        decimal = "kB" if letter == "K" else f"{letter}B"
        words |= dict.fromkeys((decimal, f"{prefix}byte", f"{prefix}bytes"), 1000**power)
        short = (letter, letter.lower(), f"{letter}i", f"{letter}iB", f"{letter.lower()}b")
        words |= dict.fromkeys((*short, f"{binary}byte", f"{binary}bytes"), 1024**power)
    return words


_SIZES = _size_words()


def pick(tree: Mapping[str, Json], path: str) -> Json:
    """The value at a dotted path, such as ``spark.context-settings``; None if there is none on the way."""
    found: Json = tree
    for key in path.split("."):
        if not isinstance(found, dict) or key not in found:
            return None
        found = found[key]
    return found


def text_list(value: Json, what: str) -> list[str]:
    """A list of texts, or one text with commas in it; none if missing or null. Empty ones are left out.

    Raises:
        BadRequestError: It is something else; ``what`` names it.
    """
    if value is None:
        return []
    found = value.split(",") if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise BadRequestError(f"Cannot parse config: {what} is neither a text nor a list of texts", field=what)
    return [each.strip() for each in found if each.strip()]


def size_bytes(value: Json, what: str) -> int:
    """A size: ``512m``, ``1g``, ``64 KiB``, or a number of bytes. Parts of a byte are left out.

    Raises:
        BadRequestError: It is none.
    """
    return math.floor(_measured(value, what, _SIZES, "size"))


def duration_s(value: Json, what: str) -> float:
    """A duration in seconds: ``5 s``, ``2m`` (minutes), ``100ms``, or a number of milliseconds.

    Raises:
        BadRequestError: It is none.
    """
    return float(_measured(value, what, _DURATIONS, "duration"))


def _measured(value: Json, what: str, units: Mapping[str, float], kind: str) -> float:
    text = value if isinstance(value, str) else str(value) if _is_number(value) else ""
    found = _UNIT.fullmatch(text)
    factor = units.get(found[2]) if found else None
    if found is None or factor is None:
        raise BadRequestError(f"Cannot parse config: {what} is no {kind}", field=what)
    digits = found[1]
    number = int(digits) if "." not in digits and len(digits) < 30 else float(digits)
    measured = number * factor
    if measured < 0 or not math.isfinite(measured):
        raise BadRequestError(f"Cannot parse config: {what} is no {kind}", field=what)
    return measured


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
