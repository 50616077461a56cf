"""Finds the classes of a wheel or egg that can be run as jobs; a program of its own that imports nothing of jobdeck.

    python -I -S -B packagescan.py MEMORY_BYTES CPU_SECONDS SOURCE_BYTES CLASS_COUNT  <package  >answer

A package is foreign: a zip may be a bomb, and a few kilobytes of source can keep Python's parser busy or break it. So
it is looked at in a process with limits, and what it has found stands in the answer at once: a line of JSON for each
name, and ``true`` as the last line if all was looked at. Nothing of the package is run.

A class counts if it has ``run_job``, itself or by a class in the same file. What has no syntax of this Python, and what
cannot be read, is passed over.
"""

from __future__ import annotations

import ast
import json
import sys
import zipfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_METHOD = "run_job"
_NAME_LIMIT_COUNT = 512
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError)


def module_of(path: str) -> str | None:
    """The module that a file of a package is; None if it cannot be imported by name."""
    if not path.endswith(".py"):
        return None
    parts = path.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        parts.pop()
    name = ".".join(parts)
    return name if parts and all(part.isidentifier() for part in parts) and len(name) <= _NAME_LIMIT_COUNT else None


def classes_of(source: bytes) -> list[str]:
    """The classes of a file that have ``run_job``, in its order.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: It cannot be read.
    """
    if _METHOD.encode() not in source:  # most files: parsing takes long
        return []
    found: dict[str, bool] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            inherits = any(isinstance(base, ast.Name) and found.get(base.id, False) for base in node.bases)
            found[node.name] = inherits or any(_is_method(each) for each in node.body)
    return [name for name, has in found.items() if has and len(name) <= _NAME_LIMIT_COUNT]


def _is_method(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == _METHOD


def scan(package: BinaryIO, *, source_bytes: int) -> Iterator[str]:
    """Names of classes, in the order of the package's files.

    Args:
        package: A zip.
        source_bytes: Of all sources together, unpacked, that are looked at.

    Raises:
        LookupError: There is more than was looked at.
        zipfile.BadZipFile: It is none.
    """
    left_bytes = source_bytes
    with zipfile.ZipFile(package) as archive:
        for entry in archive.infolist():
            module = module_of(entry.filename)
            if module is None:
                continue
            try:
                with archive.open(entry) as file:
                    source = file.read(left_bytes + 1)  # whatever it says of its size
            except _BROKEN:
                continue
            left_bytes -= len(source)
            if left_bytes < 0:
                raise LookupError
            try:
                names = classes_of(source)
            except (SyntaxError, ValueError, RecursionError):
                continue
            yield from (f"{module}.{name}" for name in names)


def main(argv: list[str]) -> None:
    """Look at standard input, a file, under limits; see the top of this file."""
    import resource
    import warnings

    memory_bytes, cpu_s, source_bytes, class_count = map(int, argv)
    warnings.simplefilter("ignore")

    def limit(what: int, value: int) -> None:
        hard = resource.getrlimit(what)[1]  # whoever started the server may have set a lower one
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))

    limit(resource.RLIMIT_CPU, cpu_s)
    limit(resource.RLIMIT_AS, memory_bytes)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, 0)
    count = 0
    try:
        for name in scan(sys.stdin.buffer, source_bytes=source_bytes):
            if count == class_count:
                return
            print(json.dumps(name), flush=True)  # noqa: T201  # its answer
            count += 1
    except (LookupError, MemoryError, *_BROKEN):
        return
    print("true", flush=True)  # noqa: T201  # its answer


if __name__ == "__main__":
    main(sys.argv[1:])
