"""JSON objects as Go's decoder reads them into a struct, and its words for what does not fit.

Keys match in any case, unknown ones are ignored, null changes nothing. Of what does not fit the first is told.
Source: encoding/json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_server.core.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (str, "string"),
    (int, "number"),
    (float, "number"),
    (list, "array"),
    (dict, "object"),
)


def fields_of(value: object, struct: str) -> dict[str, object]:
    """The fields of an object, their names in lower case; of two that differ in case alone the later counts.

    Args:
        value: A JSON value; null has no fields.
        struct: What Go calls the struct, for the words.

    Raises:
        BadRequestError: It is no object.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequestError(f"json: cannot unmarshal {kind_of(value)} into Go value of type main.{struct}")
    fields: dict[str, object] = {}
    for name, each in value.items():
        plain = name.casefold()  # takes the long s and the sign for Kelvin for what they look like, as Go does
        if each is not None or plain not in fields:
            fields[plain] = each
    return fields


def string(fields: Mapping[str, object], name: str, struct: str) -> str:
    """A field that is text; empty if it is missing or null.

    Args:
        fields: See ``fields_of``.
        name: As the struct has it.
        struct: See there.

    Raises:
        BadRequestError: It is something else.
    """
    value = fields.get(name.lower())
    if value is None:
        return ""
    if not isinstance(value, str):
        raise mismatch(value, f"{struct}.{name}", "string")
    return value


def mismatch(value: object, where: str, wanted: str) -> BadRequestError:
    """What is said of a field that does not fit."""
    return BadRequestError(f"json: cannot unmarshal {kind_of(value)} into Go struct field {where} of type {wanted}")


def kind_of(value: object) -> str:
    """What Go calls a JSON value."""
    return next((name for kind, name in _NAMES if isinstance(value, kind)), "null")
