"""HOCON text to a plain tree, and the tree to JSON; also a program, for texts that are not to be read in the server.

What the text may do is what it says: it includes nothing and knows no environment. Its cost is another matter. The
library is pure Python (some 200 KiB a second), holds the interpreter's lock, and a few hundred bytes can keep it busy
for hours: substitutions double (``b=${a}${a}``), and so does the work on each level of a path that is written again. So
``parse_light`` reads in a thread what can be read there; all else is for a process with limits, and that is this file,
run by itself. It then imports nothing of jobdeck::

    python -I -S hoconparse.py FOLDER_OF_THE_LIBRARY DEPTH OUTPUT_BYTES MEMORY_BYTES CPU_SECONDS  <text  >answer

The answer is one line of JSON, ``{"head": {...}}`` or ``{"error": "..."}``; after a head the tree as JSON follows.

JSON is HOCON. What begins like it is tried by the json module first, and only taken where both mean the same: no key
twice in an object (HOCON merges them), no number beyond a double (an error there), no NaN (a text there).
"""

from __future__ import annotations

import json
import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD_KEYS = ("spark", "cp", "mainClass", "dependent-jar-uris")  # what the server itself reads of a job's configuration

_HEAD_LIMIT_BYTES = 256 * 1024
# Each of these takes 20 ms at most, on a busy machine. Of dots and braces there may be fewer the longer a text is: a
# path that is written again costs what all that is below it costs.
_LIGHT_BYTES = 2048
_LIGHT_BRANCH_COUNT = 16
_LIGHT_BRANCH_BYTES = 8 * 2048
_LIGHT_JSON_BYTES = 64 * 1024
_HEAVY = re.compile(rb"\$|\+=|include")
_SHOWN_CHARS = 500
_DOUBLE_DIGITS = 300
_TOO_DEEP = "it is nested too deep, or refers to itself too often"
_RECURSION_LIMIT = 20_000  # of the process: Python's own calls take no stack of C
_MARK = re.compile(
    r'"""(?:[^"]++|"(?!""))*+"{3,}|"(?:[^"\\\n]++|\\.)*+"|(?://|#)[^\n]*|(?P<open>[{\[])|(?P<close>[}\]])'
    r"|(?P<include>(?<![^\s,{}])include(?=[\s\"]))"
)
_LARGE_NUMBER = re.compile(
    r"(?<![0-9])[0-9]{300}|[0-9][eE]\+?[0-9]{3}"
)  # may be; looking at each number takes its time
_SURROGATE = re.compile("[\ud800-\udfff]")

Tree = dict[str, Any]


class HoconError(Exception):
    """The text cannot be used; ``str()`` says why, with the line where it is known."""


class _RefusedError(Exception):
    """Something was to be included."""


class _OtherError(ValueError):
    """As JSON this means something else."""


def parse_light(data: bytes, depth_count: int) -> Tree | None:
    """Read a text if that takes no more than some milliseconds, whatever it says; None if it may take longer.

    Raises:
        HoconError: It cannot be used.
        RecursionError: There is not enough room here.
    """
    if len(data) > _LIGHT_JSON_BYTES:
        return None
    text = _decoded(data)
    tree = _as_json(text)
    if tree is not None:
        _check_tree(tree, depth_count)
        return tree
    branches_count = data.count(b".") + data.count(b"{")
    is_small = len(data) <= _LIGHT_BYTES and branches_count <= _LIGHT_BRANCH_COUNT
    if not is_small or len(data) * branches_count > _LIGHT_BRANCH_BYTES or _HEAVY.search(data):
        return None
    return _as_hocon(text, depth_count)


def parse(data: bytes, depth_count: int, seal: Callable[[], None] | None = None) -> Tree:
    """Read a text.

    Args:
        data: UTF-8; a byte order mark is not minded.
        depth_count: How deep objects and lists may lie in one another.
        seal: Called when all is loaded that is needed, before what the text says is followed.

    Raises:
        HoconError: It cannot be used.
        MemoryError, RecursionError: It is more than this process can do.
    """
    text = _decoded(data)
    tree = _as_json(text)
    if tree is None:
        return _as_hocon(text, depth_count, seal)
    _check_tree(tree, depth_count)
    return tree


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise HoconError(f"line {line}: this is not UTF-8") from None


def _check_depth(text: str, depth_count: int) -> int | None:
    """Look at the brackets alone, before anything goes down into them.

    Returns:
        The line with the first include, None if there is none.
    """
    depth = 0
    include_at = None
    for mark in _MARK.finditer(text):
        kind = mark.lastgroup
        if kind == "open":
            depth += 1
            if depth > depth_count:
                line = text.count("\n", 0, mark.start()) + 1
                raise HoconError(f"line {line}: objects and lists lie more than {depth_count} deep in one another")
        elif kind == "close":
            depth -= 1
        elif kind == "include" and include_at is None:
            include_at = mark.start()
    return None if include_at is None else text.count("\n", 0, include_at) + 1


def _as_json(text: str) -> Tree | None:
    """The tree if this is JSON and means the same as JSON; else None."""
    if not text[:64].lstrip(" \t\r\n").startswith("{"):
        return None
    numbers: Any = {"parse_int": _int, "parse_float": _float} if _LARGE_NUMBER.search(text) else {}
    try:
        tree = json.loads(text, object_pairs_hook=_no_twice, parse_constant=_no_constant, **numbers)
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) else None


def _no_twice(pairs: list[tuple[str, Any]]) -> Tree:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _OtherError
    return found


def _no_constant(_: str) -> NoReturn:
    raise _OtherError


def _int(digits: str) -> int:
    if len(digits) > _DOUBLE_DIGITS:
        raise _OtherError
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise _OtherError
    return number


def _as_hocon(text: str, depth_count: int, seal: Callable[[], None] | None = None) -> Tree:
    include_line = _check_depth(text, depth_count)
    import hocon  # not for JSON: loading it takes longer than reading most texts

    if seal is not None:
        seal()
    try:
        found: Tree = hocon.parse(
            text, env={}, read_file=_no_file, package_resolver=_no_package, base_dir="/"
        ).to_object()
    except (hocon.ParseError, hocon.ResolveError) as error:
        if error.line <= 0 and include_line is not None:  # what is wrong is what would have been included
            raise HoconError(_no_include(include_line)) from None
        where = f"line {error.line}, column {error.col}: " if error.line > 0 else ""
        why = _TOO_DEEP if str(error).startswith("input is nested too deeply") else _clipped(str(error))
        raise HoconError(where + why) from None
    except hocon.ConfigError as error:
        raise HoconError(_clipped(str(error))) from None
    except _RefusedError:
        raise HoconError(_no_include(include_line)) from None
    _check_tree(found, depth_count)
    return dict(_whole(found)) if "\\u" in text else found


def _no_include(line: int | None) -> str:
    return ("" if line is None else f"line {line}: ") + "include is not allowed here"


def _no_file(_: str) -> NoReturn:
    raise _RefusedError


def _no_package(*_: object) -> NoReturn:
    raise _RefusedError


def _clipped(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else f"{line[:_SHOWN_CHARS]}..."


def _whole(value: Any) -> Any:  # noqa: ANN401  # a value of a tree
    """With the halves of characters joined, as two escapes of one character leave them."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") if _halves(value) else value
    if isinstance(value, dict):
        return {_whole(key): _whole(inner) for key, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value


def _halves(text: str) -> bool:
    return _SURROGATE.search(text) is not None


def _check_tree(tree: Tree, depth_count: int) -> None:
    """Paths and substitutions make depth that no bracket tells; and what is shared counts each time."""
    level: list[Any] = [tree]
    for _ in range(depth_count):
        level = [inner for value in level for inner in _inner(value) if isinstance(inner, dict | list)]
        if not level:
            return
    raise HoconError(f"objects and lists lie more than {depth_count} deep in one another")


def _inner(value: Any) -> Any:  # noqa: ANN401  # a value of a tree
    return value.values() if isinstance(value, dict) else value


def to_json(tree: Tree) -> bytes:
    """As JSON in UTF-8; in ASCII if a text has half a character in it, which UTF-8 cannot tell."""
    try:
        return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(tree, separators=(",", ":")).encode()


def head_of(tree: Tree) -> Tree:
    """What the server itself reads.

    Raises:
        HoconError: It is too much.
    """
    head = {key: tree[key] for key in HEAD_KEYS if key in tree}
    if len(json.dumps(head)) > _HEAD_LIMIT_BYTES:
        raise HoconError(f"{', '.join(HEAD_KEYS)} have more than {_HEAD_LIMIT_BYTES} bytes")
    return head


def _answer(data: bytes, depth_count: int, output_bytes: int, seal: Callable[[], None]) -> tuple[Tree, bytes]:
    try:
        tree = parse(data, depth_count, seal)
        text = to_json(tree)
        if len(text) > output_bytes:
            raise HoconError(f"it comes to more than {output_bytes} bytes")
        return {"head": head_of(tree)}, text
    except HoconError as error:
        return {"error": str(error)}, b""
    except MemoryError:
        return {"error": "it needs more memory than it is given"}, b""
    except RecursionError:
        return {"error": _TOO_DEEP}, b""


class _NoMetadata(ModuleType):
    PackageNotFoundError = LookupError

    @staticmethod
    def version(_: str) -> str:
        return "0"


def main(argv: list[str]) -> None:
    """Read standard input under limits; see the top of this file."""
    import resource

    library, depth_count, output_bytes, memory_bytes, cpu_s = argv[0], *map(int, argv[1:])
    sys.path.append(library)
    # The library asks for its own version alone, and loading what could tell takes as long as all of the rest.
    sys.modules["importlib.metadata"] = _NoMetadata("importlib.metadata")

    def limit(what: int, value: int) -> None:
        hard = resource.getrlimit(what)[1]  # whoever started the server may have set a lower one
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))

    limit(resource.RLIMIT_CPU, cpu_s)
    limit(resource.RLIMIT_AS, memory_bytes)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, 0)

    def seal() -> None:
        limit(resource.RLIMIT_NOFILE, 0)
        sys.setrecursionlimit(_RECURSION_LIMIT)

    said, text = _answer(sys.stdin.buffer.read(), depth_count, output_bytes, seal)
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
