"""Results of Python jobs as JSON, written piece by piece: memory is that of a piece, whatever the size of the result.

    dict, Counter, any mapping       object; keys that are no texts in their string form, true and null as in JSON
    list, tuple, namedtuple, deque   array; and so all else that can be looped over: iterators, ranges, views
    int, float, bool, None, str      as they are, whole numbers of any length; NaN and the infinities are null
    bytes                            text, if it is UTF-8; what is not is told as a backslash, x and two digits
    set, date, anything else         its string form
    a row of Spark                   object, by the names of its fields; without names an array
    values of numpy                  as those of Python that they stand for

An iterator of bytes is no array but a stream, as is ``api.Stream``: its bytes are the result as they are.

What is small is given to the json module whole, which is fast. What it does not take (NaN, keys of other kinds), and
what is large, is taken apart here, without recursion. More than ``DEPTH`` values in one another are an error: nobody
could read them. So is a value that contains itself, and what holds no values but is a way to them: a DataFrame, an RDD,
an object in Java.

Source: the original's rules for results. Of whole numbers beyond 64 bits and bytes it says nothing that fits Python.
"""

# ruff: noqa: ANN401  # values of any kind are what this is about
from __future__ import annotations

from _collections_abc import Mapping
from _operator import index
from itertools import islice

from ._jsontext import encoder
from .api import Stream

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

__all__ = ["DEPTH", "JSON", "NONE", "STREAM", "ResultError", "result_pieces"]

JSON, STREAM, NONE = "json", "stream", "none"
DEPTH = 500

_SMALL = 1024  # values in a batch
_WEIGHT = 16 * _SMALL  # values, or 16 characters of text each, that are written at once
_PIECE_CHARS = 256 * 1024
_PLAIN = (str, int, float, bool, type(None))
_FLAT = frozenset((int, float, bool, type(None)))


class ResultError(Exception):
    """The result cannot be told as JSON; ``str()`` says why."""


def result_pieces(result: Any) -> tuple[str, Iterator[bytes]]:
    """What kind of result this is, and its bytes.

    Returns:
        ``json``, ``stream`` or ``none`` (there is no result); and its pieces. Getting one may raise ResultError, or
        whatever the job's own iterators raise.
    """
    if result is None:
        return NONE, iter(())
    if isinstance(result, Stream):
        return STREAM, _raw(iter(result.pieces))
    if hasattr(type(result), "__next__"):
        first = next(result, _END)
        if isinstance(first, (bytes, bytearray, memoryview)):
            return STREAM, _raw(_chain(first, result))
        result = _Array(() if first is _END else _chain(first, result))
    return JSON, _encoded(result)


_END = object()


def _chain(first: Any, rest: Iterable[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _raw(pieces: Iterator[Any]) -> Iterator[bytes]:
    for piece in pieces:
        if isinstance(piece, str):
            yield piece.encode("utf-8", "backslashreplace")
        elif isinstance(piece, (bytes, bytearray, memoryview)):
            yield bytes(piece)
        else:
            raise ResultError(f"a stream of bytes has {type(piece).__name__} in it")


def _encoded(value: Any) -> Iterator[bytes]:
    """Bytes of at least a piece each, but for the last."""
    texts: list[str] = []
    chars = 0
    for text in _Walk().texts(value):
        texts.append(text)
        chars += len(text)
        if chars >= _PIECE_CHARS:
            yield "".join(texts).encode("utf-8", "backslashreplace")  # half a character becomes its own escape
            texts, chars = [], 0
    yield "".join(texts).encode("utf-8", "backslashreplace")


class _Array:
    """What is to be looped over, once."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)


class _Open:
    """An object or an array that has been begun."""

    def __init__(self, value: Any, close: str, items: Iterator[Any]) -> None:
        self.value = value
        self.close = close
        self.items = items
        self.batch: list[Any] = []
        self.at = 0  # in the batch, while that is gone through one by one
        self.comma = ""

    def next_batch(self) -> list[Any]:
        """Some items: as many as are small together, where looping makes them; one at least, if there is one."""
        if isinstance(self.value, (list, tuple, dict)):
            return list(islice(self.items, _SMALL))
        batch = []
        left = _SMALL
        for item in self.items:
            batch.append(item)
            left -= 1
            if isinstance(item, (str, bytes)):
                left -= len(item) // 16
            elif isinstance(item, (dict, list, tuple)):
                left -= len(item)
            if left <= 0:
                break
        return batch


class _Walk:
    """Goes through one result."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._ids: set[int] = set()

    def texts(self, value: Any) -> Iterator[str]:
        """The text of a value, in parts."""
        yield self._enter(value)
        while self._open:
            top = self._open[-1]
            yield self._one(top) if top.at < len(top.batch) else self._some(top)

    def _some(self, top: _Open) -> str:
        """The next batch; nothing if it is to be gone through one by one; the end if all is told."""
        top.batch, top.at = top.next_batch(), 0
        if not top.batch:
            self._open.pop()
            self._ids.discard(id(top.value))
            return top.close
        whole = self._whole(dict(top.batch) if top.close == "}" else top.batch, levels=1)
        if whole is None:
            return ""
        top.at = len(top.batch)
        comma, top.comma = top.comma, ","
        return comma + whole[1:-1]

    def _one(self, top: _Open) -> str:
        item = top.batch[top.at]
        top.at += 1
        comma, top.comma = top.comma, ","
        if top.close == "]":
            return comma + self._enter(item)
        return f"{comma}{_dumps(_key(item[0]))}:{self._enter(item[1])}"

    def _enter(self, value: Any) -> str:
        """The text of a small value; of a large one the bracket, and then it is open."""
        if type(value) in _FLAT:
            return _scalar(value)
        if isinstance(value, tuple) and hasattr(value, "__fields__"):
            value = value.asDict()  # type: ignore[attr-defined]  # a row of Spark
        whole = self._whole(value)
        if whole is not None:
            return whole
        value = _known(value)
        if isinstance(value, _PLAIN):
            return _scalar(value)
        if len(self._open) >= DEPTH:
            raise ResultError(f"the result has more than {DEPTH} values in one another")
        if id(value) in self._ids:
            raise ResultError("the result contains itself")
        self._ids.add(id(value))
        if isinstance(value, Mapping):
            self._open.append(_Open(value, "}", iter(value.items())))
            return "{"
        self._open.append(_Open(value, "]", iter(value)))
        return "["

    def _whole(self, value: Any, levels: int = 0) -> str | None:
        """The text of a value that is small and that the json module takes; else None.

        Args:
            value: Any.
            levels: 1 if the value is but a part of what is open.
        """
        if not _is_small(value, DEPTH - len(self._open) + levels):
            return None
        try:
            return _dumps(value)
        except (ValueError, TypeError, RecursionError):
            return None


def _is_small(value: Any, depth: int) -> bool:
    """Whether a value has few values in it, none of them too deep; and nothing that can only be looped over once."""
    level = [value]
    left = _WEIGHT
    while level:
        deeper: list[Any] = []
        nested = False
        for each in level:
            if type(each) in _FLAT:
                continue
            if isinstance(each, (str, bytes, bytearray)):
                left -= len(each) >> 4
            elif isinstance(each, (dict, list, tuple)):
                if hasattr(each, "__fields__"):
                    return False
                nested = True
                left -= len(each)
                if left > 0:
                    deeper.extend(each.values() if isinstance(each, dict) else each)
            elif hasattr(each, "__iter__"):
                return False
        depth -= nested
        if left <= 0 or depth < 0:
            return False
        level = deeper
    return True


def _known(value: Any) -> Any:
    """A value of JSON, a mapping, or what can be looped over."""
    if isinstance(value, (str, int, float, type(None), Mapping, list, tuple)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "backslashreplace")
    module = type(value).__module__
    if module.startswith(("pyspark.", "py4j.")):
        _refuse_way(value)
    if module == "numpy" and hasattr(value, "tolist") and not value.shape:
        return _known(value.tolist())  # one value; arrays are looped over
    if hasattr(value, "__iter__"):
        return str(value) if isinstance(value, (set, frozenset)) else value
    try:
        return index(value)  # whole numbers of other libraries
    except TypeError:
        return str(value)


def _refuse_way(value: Any) -> None:
    """Refuse what holds no values itself."""
    kinds = {each.__name__ for each in type(value).__mro__}
    if kinds & {"DataFrame", "RDD"}:
        name = type(value).__name__
        raise ResultError(f"the result has a {name} in it, which is no values: return what its collect() gives")
    if "JavaObject" in kinds and not hasattr(type(value), "__iter__"):
        raise ResultError("the result has an object of Java's in it")


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        return float.__repr__(value) if value - value == 0 else "null"
    try:
        return _dumps(value)
    except ValueError:  # more digits than Python makes in one go
        return _dumps(hex(value))


def _key(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


_dumps = encoder(_known)
