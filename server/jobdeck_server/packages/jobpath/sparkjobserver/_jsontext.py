"""JSON by the compiled half of the json module alone.

The other half loads ``re`` and all that this needs, which takes longer than everything else between the start of an
interpreter and its job. An interpreter without the compiled half, or with another one, has the whole module.
"""

# ruff: noqa: ANN401  # values of any kind are what this is about
from __future__ import annotations

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["dumps", "encoder", "loads"]


class _Rules:
    """What the scanner asks for."""

    strict = True
    object_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float

    def __init__(self, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None) -> None:
        self.object_pairs_hook = object_pairs_hook
        self.memo: dict[str, str] = {}


def loads(text: str, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """What a text of JSON means, which must begin and end without blanks.

    Raises:
        ValueError: It is none.
    """
    try:
        import _json

        scan: Any = _json.make_scanner  # its stub does not say what it takes
        value, end = scan(_Rules(object_pairs_hook))(text, 0)
        if end == len(text):
            return value
    except Exception:  # noqa: BLE001  # the whole module says what is wrong, if something is
        pass
    import json

    return json.loads(text, object_pairs_hook=object_pairs_hook)


def encoder(default: Callable[[Any], Any], *, ascii_only: bool = False) -> Callable[[Any], str]:
    """What makes a text of a value: compact, and without NaN.

    Args:
        default: What to tell instead of a value that JSON has no words for.
        ascii_only: All other characters are escaped; else they stay as they are.

    Returns:
        It raises ValueError, TypeError or RecursionError for what cannot be told so.
    """
    try:
        import _json

        quote = _json.encode_basestring_ascii if ascii_only else _json.encode_basestring
        encode = _json.make_encoder(None, default, quote, None, ":", ",", False, False, False)
        encode({"": 0.5}, 0)
    except Exception:  # noqa: BLE001  # there is none, or it is called in another way
        import json

        whole = json.JSONEncoder(ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":"), default=default)
        return whole.encode
    return lambda value: "".join(encode(value, 0))


def dumps(value: Any) -> bytes:
    """Plain values as JSON in ASCII, which can tell any text."""
    return _plain(value).encode()


def _no_default(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} is no value of JSON")


_plain = encoder(_no_default, ascii_only=True)
