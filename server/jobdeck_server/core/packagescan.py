"""Finds the classes of a package that can be run as jobs; a program of its own that imports nothing of jobdeck.

    python -I -S -B packagescan.py KIND MEMORY_BYTES CPU_SECONDS SOURCE_BYTES CLASS_COUNT  <package  >answer

A package is foreign: a zip may be a bomb, and a few kilobytes of source can keep Python's parser busy or break it. So
it is looked at in a process with limits, and what it has found stands in the answer at once: a line of JSON for each
name, and ``true`` as the last line if all was looked at. Nothing of the package is run.

In Python a class counts if it has ``run_job``, itself or by a class in the same file. What has no syntax of this
Python, and what cannot be read, is passed over.

In a jar it counts if it has a trait of Spark JobServer, itself or by what it extends there, or a public static
``main``. An object of Scala is named as jobs name it, without the dollar sign at the end of its class. The traits
themselves, what is abstract, and what the compiler has made for closures are passed over.

Source of the class file's form: The Java Virtual Machine Specification, chapter 4.
"""

from __future__ import annotations

import ast
import json
import re
import struct
import sys
import zipfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
    for path, source in _files(package, lambda name: module_of(name) is not None, source_bytes):
        try:
            names = classes_of(source)
        except (SyntaxError, ValueError, RecursionError):
            continue
        yield from (f"{module_of(path)}.{name}" for name in names)


def _files(package: BinaryIO, is_wanted: Callable[[str], bool], left_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the files of a zip that are wanted and can be read, in its order.

    Raises:
        LookupError: There are more bytes than were to be looked at.
    """
    with zipfile.ZipFile(package) as archive:
        for entry in archive.infolist():
            if not is_wanted(entry.filename):
                continue
            try:
                with archive.open(entry) as file:
                    data = file.read(left_bytes + 1)  # whatever it says of its size
            except _BROKEN:
                continue
            left_bytes -= len(data)
            if left_bytes < 0:
                raise LookupError
            yield entry.filename, data


# -- jars --

_TRAITS = frozenset(
    f"spark/jobserver/{name}"
    for name in (
        *("SparkJobBase", "SparkJob", "SparkSessionJob", "SparkSqlJob", "SparkHiveJob", "api/SparkJobBase"),
        *("api/SparkJob", "japi/BaseJavaJob", "japi/JSparkJob", "japi/JSessionJob", "japi/JSqlJob"),
    )
)
_MAIN = ("main", "([Ljava/lang/String;)V")
_MENTIONED = (b"spark/jobserver/", _MAIN[1].encode())  # else it is none, and is not looked at any further
_PUBLIC, _STATIC, _INTERFACE, _ABSTRACT, _SYNTHETIC = 0x1, 0x8, 0x200, 0x400, 0x1000
_UTF8, _CLASS = 1, 7
_FIXED_BYTES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}
_TWO_PLACES = (5, 6)  # long and double
_MADE = re.compile(r"\$\$|\$anon|\$\d|/package-info$")


class ClassFile:
    """What a compiled class says of itself.

    Attributes:
        name: With slashes.
        flags: Its access flags.
        above: What it extends and implements.
        has_main: It has the ``main`` that Java starts a program with.

    Raises:
        struct.error, IndexError, KeyError, ValueError: It is none.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 8
        if data[:4] != b"\xca\xfe\xba\xbe":
            raise ValueError
        self._texts: dict[int, bytes] = {}
        self._classes: dict[int, int] = {}
        self._read_constants()
        self.flags, this, parent, count = self._numbers("HHHH")
        self.name = self._class(this)
        implemented = self._numbers(f"{count}H")
        self.above = [self._class(number) for number in (parent, *implemented) if number]
        self._members()  # fields
        self.has_main = any(
            flags & _PUBLIC and flags & _STATIC and (name, kind) == _MAIN for flags, name, kind in self._members()
        )

    def _numbers(self, form: str) -> tuple[int, ...]:
        found = struct.unpack_from(f">{form}", self._data, self._at)
        self._at += struct.calcsize(f">{form}")
        return found

    def _read_constants(self) -> None:
        (count,) = self._numbers("H")
        number = 1
        while number < count:
            (tag,) = self._numbers("B")
            if tag == _UTF8:
                (size,) = self._numbers("H")
                self._texts[number] = self._data[self._at : self._at + size]
                self._at += size
            else:
                if tag == _CLASS:
                    (self._classes[number],) = struct.unpack_from(">H", self._data, self._at)
                self._at += _FIXED_BYTES[tag]
            number += 2 if tag in _TWO_PLACES else 1

    def _text(self, number: int) -> str:
        return self._texts[number].decode()

    def _class(self, number: int) -> str:
        return self._text(self._classes[number])

    def _members(self) -> list[tuple[int, str, str]]:
        """Flags, name and type of each field, or of each method: they stand one after the other."""
        (count,) = self._numbers("H")
        found = []
        for _ in range(count):
            flags, name, kind, attributes = self._numbers("HHHH")
            found.append((flags, self._text(name), self._text(kind)))
            for _ in range(attributes):
                _, size = self._numbers("HI")
                self._at += size
        return found

    @property
    def can_be_made(self) -> bool:
        """Whether it is a public class that people have written, and no trait."""
        is_plain = not self.flags & (_INTERFACE | _ABSTRACT | _SYNTHETIC)
        return bool(self.flags & _PUBLIC) and is_plain and _MADE.search(self.name) is None


def job_name(name: str) -> str:
    """A class as jobs name it: ``a/b/Name$`` of a Scala object is ``a.b.Name``."""
    return name.replace("/", ".").removesuffix("$")


def scan_jar(package: BinaryIO, *, source_bytes: int) -> Iterator[str]:
    """Names of classes, in the order of the jar's files; last those that are jobs by what they extend.

    Args:
        package: A zip.
        source_bytes: Of all classes together, unpacked, that are looked at.

    Raises:
        LookupError: There is more than was looked at.
        zipfile.BadZipFile: It is none.
    """
    told: set[str] = set()
    above: dict[str, list[str]] = {}
    waiting: list[str] = []
    for each in _class_files(package, source_bytes):
        above[each.name] = each.above
        if not each.can_be_made:
            continue
        name = job_name(each.name)
        if len(name) > _NAME_LIMIT_COUNT or name in told:
            continue
        if each.has_main or not _TRAITS.isdisjoint(each.above):
            told.add(name)
            yield name
        else:
            waiting.append(each.name)
    for found in waiting:
        name = job_name(found)
        if name not in told and _is_job(found, above):
            told.add(name)
            yield name


def _class_files(package: BinaryIO, left_bytes: int) -> Iterator[ClassFile]:
    for _, data in _files(package, _is_class_file, left_bytes):
        if not any(text in data for text in _MENTIONED):
            continue
        try:
            found = ClassFile(data)
        except (struct.error, LookupError, ValueError):
            continue
        yield found


def _is_class_file(path: str) -> bool:
    return path.endswith(".class") and not path.startswith("META-INF/")


def _is_job(name: str, above: dict[str, list[str]]) -> bool:
    """Whether one of the traits is somewhere above a class."""
    seen: set[str] = set()
    level = [name]
    while level:
        each = level.pop()
        if each in _TRAITS:
            return True
        if each not in seen:
            seen.add(each)
            level.extend(above.get(each, ()))
    return False


SCANS: dict[str, Callable[..., Iterator[str]]] = {"jar": scan_jar}


def main(argv: list[str]) -> None:
    """Look at standard input, a file, under limits; see the top of this file."""
    import resource
    import warnings

    scan_it = SCANS.get(argv[0], scan)
    memory_bytes, cpu_s, source_bytes, class_count = map(int, argv[1:])
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
        for name in scan_it(sys.stdin.buffer, source_bytes=source_bytes):
            if count == class_count:
                return
            print(json.dumps(name), flush=True)  # noqa: T201  # its answer
            count += 1
    except (LookupError, MemoryError, *_BROKEN):
        return
    print("true", flush=True)  # noqa: T201  # its answer


if __name__ == "__main__":
    main(sys.argv[1:])
