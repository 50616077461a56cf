r"""JSON values as ECMAScript sees them: its order of keys, its text of numbers, its idea of what is false.

The hash of a blob's record is that of a text which the original makes with ``JSON.stringify``. Python's ``json`` writes
nearly the same, and a hash knows no nearly. The differences, all of them here:

- keys that are array indices (``0``, ``9``, ``10``; not ``01``) come first, in numeric order, in every object;
- numbers are doubles: ``12.0`` is ``12``, ``1e21`` is ``1e+21``, ``0.00001`` is not ``1e-05``, and what is beyond all
  doubles is ``null``;
- half a surrogate pair is written as ``\udxxx``;
- strings are compared by UTF-16 code unit.

Source: ECMA-262, 6.1.6.1.20 (Number::toString), 10.1.11 (order of keys), 25.5.2 (JSON.stringify).
"""

from __future__ import annotations

import json
import math
import re
from json.encoder import encode_basestring
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DEPTH_LIMIT_COUNT = 64
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_LAST_INDEX = 2**32 - 2
_SURROGATE = re.compile("[\ud800-\udfff]")
_EXACT = 2**53
_NO_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity"})
_WORDS = {None: "null", True: "true", False: "false"}


class JsonError(ValueError):
    """What was sent is no JSON, or nested too deep; a sentence for a person."""


def parse(data: bytes) -> object:
    """A JSON value, as ``JSON.parse`` reads it; bytes that are no UTF-8 count as U+FFFD, as in the original.

    Raises:
        JsonError: It is none, or nested deeper than ``DEPTH_LIMIT_COUNT``.
    """
    try:
        value = json.loads(data.decode("utf-8", "replace"), parse_int=_number, parse_constant=_no_constant)
    except RecursionError:
        raise JsonError("The JSON is nested too deep.") from None
    except ValueError as error:
        raise JsonError(f"This is not JSON: {error}.") from None
    check_depth(value)
    return value


def check_depth(value: object) -> None:
    """Refuse what is nested so deep that to write it could break the writer.

    Raises:
        JsonError: It is.
    """
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEPTH_LIMIT_COUNT):
        if not level:
            return
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
    if level:
        raise JsonError(f"The JSON is nested deeper than {DEPTH_LIMIT_COUNT} levels.")


def stringify(value: object, indent_count: int = 0) -> str:
    """A JSON value as ``JSON.stringify(value, null, indent_count)`` writes it; it can always be encoded as UTF-8."""
    parts: list[str] = []
    _write(value, parts, "\n" if indent_count else "", " " * indent_count)
    text = "".join(parts)
    if _SURROGATE.search(text) is None:
        return text
    # Two halves that stand together are one character there, since a string there is a row of 16-bit units
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", joined)


def is_falsy(value: object) -> bool:
    """Whether a JSON value counts as false: null, false, 0, and the empty string, but no list and no object."""
    return value in (None, 0, "")


def text_of(value: object) -> str:
    """A JSON value turned into a string, as ``String(value)`` does it."""
    match value:
        case str():
            return value
        case list():
            return ",".join("" if each is None else text_of(each) for each in value)
        case dict():
            return "[object Object]"
        case bool() | None:
            return _WORDS[value]
        case int() | float():
            return number_text(value)
    raise TypeError(f"no JSON value: {type(value).__name__}")


def by_unit(text: str) -> bytes:
    """What to compare in place of a string, so that it is compared by UTF-16 code unit."""
    return text.encode("utf-16-be", "surrogatepass")


def index_of(key: str) -> int | None:
    """The number that a key is as an array index, None if it is none."""
    if not "0" <= key[:1] <= "9" or _INDEX.fullmatch(key) is None:
        return None
    number = int(key)
    return number if number <= _LAST_INDEX else None


def in_order(value: dict[str, object]) -> Iterable[tuple[str, object]]:
    """The items of an object, indices first."""
    for key in value:
        if "0" <= key[:1] <= "9":
            break
    else:
        return value.items()
    indices = {key: number for key in value if (number := index_of(key)) is not None}
    first = [(key, value[key]) for key in sorted(indices, key=indices.__getitem__)]
    return first + [item for item in value.items() if item[0] not in indices]


def number_text(number: float) -> str:
    """A number as ECMAScript prints it: the fewest digits that lead back to the same double."""
    if isinstance(number, int) and abs(number) <= _EXACT:
        return str(number)
    double = _double(number)
    if math.isinf(double) or math.isnan(double):
        return "NaN" if math.isnan(double) else "Infinity" if double > 0 else "-Infinity"
    if double == 0:
        return "0"
    sign = "-" if double < 0 else ""
    # The digits of both languages are the same, the shortest that read back exactly; only their layout differs.
    mantissa, _, exponent = f"{abs(double)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    return sign + _layout(digits.rstrip("0"), point)


def _layout(digits: str, point: int) -> str:
    """Digits with the decimal point after the first ``point`` of them, which may be none or more than there are."""
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def _write(value: object, parts: list[str], line: str, indent: str) -> None:
    """Add a value's text to ``parts``; ``line`` begins a new one at its depth, and is empty without an indent."""
    if isinstance(value, str):
        parts.append(encode_basestring(value))
    elif isinstance(value, dict):
        _write_object(value, parts, line, indent)
    elif isinstance(value, list):
        before = "[" + line + indent
        for each in value:
            parts.append(before)
            _write(each, parts, line + indent, indent)
            before = "," + line + indent
        parts.append(line + "]" if value else "[]")
    else:
        text = text_of(value)
        parts.append("null" if text in _NO_NUMBERS else text)


def _write_object(value: dict[str, object], parts: list[str], line: str, indent: str) -> None:
    inner = line + indent
    colon = ": " if indent else ":"
    before = "{" + inner
    for key, each in in_order(value):
        if isinstance(each, str):  # nearly all there is in a record: worth a way of its own
            parts.append(f"{before}{encode_basestring(key)}{colon}{encode_basestring(each)}")
        else:
            parts.append(f"{before}{encode_basestring(key)}{colon}")
            _write(each, parts, inner, indent)
        before = "," + inner
    parts.append(line + "}" if value else "{}")


def _number(text: str) -> int | float:
    """A number without point and exponent: exact while a double is."""
    return int(text) if len(text) <= 15 else _double(text)


def _double(value: str | float) -> float:
    try:
        return float(value)
    except OverflowError:  # a Python integer beyond all doubles
        return math.inf if isinstance(value, int) and value > 0 else -math.inf


def _no_constant(word: str) -> object:
    raise ValueError(f"{word} is no JSON value")
