"""Classes that jobs can run are found in any package, and a hostile one costs no more than it may."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_server.core.binaryrows import Binary
from jobdeck_server.core.packageclasses import Classes, ClassFinder
from jobdeck_server.core.packagescan import classes_of, module_of, scan, scan_jar
from tests.server.core.blobbench import blobbench

JOB = "class {0}:\n    def run_job(self, context, runtime, data):\n        pass\n"
LIMIT_S = 25.0


def zipped(files: dict[str, str | bytes], **how: Any) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", **how) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


@asynccontextmanager
async def finder(folder: Path, **changes: object) -> AsyncIterator[Any]:
    """What finds the classes of some bytes."""
    async with blobbench(folder, **changes) as b:
        found = ClassFinder(b.blobs.settings, blobs=b.blobs)

        async def find(data: bytes, kind: str = "wheel") -> Classes:
            content = (await b.send(data)).hash
            binary = Binary(
                name="x", kind=kind, size_bytes=0, content=content, blob="", uploaded_us=0, versions_count=1
            )
            with trio.fail_after(LIMIT_S):
                return await found.find(binary)

        yield find


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("a.py", "a"),
        ("a/b/c.py", "a.b.c"),
        ("a/__init__.py", "a"),
        ("ä/b.py", "ä.b"),
        ("__init__.py", None),
        ("a/b.pyc", None),
        ("a-1.0.data/scripts/b.py", None),
        ("/a.py", None),
        ("../a.py", None),
        ("a" * 600 + ".py", None),
        (".py", None),
    ],
)
def test_modules(path: str, module: str | None) -> None:
    assert module_of(path) == module


def test_classes_of_a_file() -> None:
    source = """
from x import Far
class One:
    async def run_job(self): ...
class Two(One): ...
class Three(Far): ...
class Four:
    run_job = 5
    class Five:
        def run_job(self): ...
def run_job(): ...
if True:
    class Six:
        def run_job(self): ...
class Seven(Two):
    pass
"""
    assert classes_of(source.encode()) == ["One", "Two", "Seven"]
    assert classes_of("# coding: latin-1\nx = 'ü'\n".encode("latin-1") + JOB.format("One").encode()) == ["One"]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_no_source_breaks_it(source: bytes) -> None:
    try:
        found = classes_of(source + b"\n# run_job")
    except (SyntaxError, ValueError):
        return
    assert isinstance(found, list)


async def test_a_wheel_an_egg_and_a_jar(tmp_path: Path) -> None:
    package = zipped(
        {
            "b/mod.py": JOB.format("B") + JOB.format("A"),
            "a/__init__.py": JOB.format("C"),
            "a/old.py": "print 'run_job'",
            "a/text.txt": JOB.format("D"),
            "a-1.0.dist-info/METADATA": "Name: a",
        },
        compression=zipfile.ZIP_DEFLATED,
    )
    async with finder(tmp_path) as find:
        wanted = Classes(names=("b.mod.B", "b.mod.A", "a.C"))
        for kind in ("wheel", "egg", "wheel"):
            assert await find(package, kind) == wanted
        assert await find(package, "jar") == Classes()
        jar = zipped({"a/Job.class": class_file("a/Job", above=("spark/jobserver/api/SparkJob",))})
        assert await find(jar, "jar") == Classes(names=("a.Job",))
        assert await find(jar) == Classes()  # what it was taken for counts


async def test_a_broken_file_hides_no_other(tmp_path: Path) -> None:
    package = bytearray(zipped({"a.py": JOB.format("A"), "b.py": JOB.format("B"), "c.py": JOB.format("C")}))
    at = package.index(JOB.format("B").encode())
    package[at + 3] ^= 1  # its checksum does not fit any more
    async with finder(tmp_path) as find:
        assert await find(bytes(package)) == Classes(names=("a.A", "c.C"))


def _lying(size: int) -> bytes:
    """A zip whose directory says another size than there is."""
    package = bytearray(zipped({"a.py": JOB.format("A")}))
    at = package.index(b"PK\x01\x02")
    package[at + 20 : at + 28] = struct.pack("<2L", size, size)
    return bytes(package)


def _encrypted() -> bytes:
    package = bytearray(zipped({"a.py": JOB.format("A")}))
    for at in (6, package.index(b"PK\x01\x02") + 8):
        package[at] |= 1
    return bytes(package)


HOSTILE: dict[str, tuple[bytes, tuple[str, ...], bool]] = {
    "no zip": (b"PK\x03\x04" + bytes(1000), (), False),
    "cut off": (zipped({"a.py": JOB.format("A")})[:-30], (), False),
    "larger than it says": (_lying(10), (), True),
    "smaller than it says": (_lying(10_000_000), (), True),
    "encrypted": (_encrypted(), (), True),
    "a bomb": (
        zipped({"a.py": JOB.format("A"), "b.py": bytes(3 << 20)}, compression=zipfile.ZIP_DEFLATED),
        ("a.A",),
        False,
    ),
    "brackets": (zipped({"a.py": "run_job = " + "(" * 100_000, "b.py": JOB.format("B")}), ("b.B",), True),
    "minus": (zipped({"a.py": "run_job = " + "-" * 300_000 + "1", "b.py": JOB.format("B")}), ("b.B",), False),
    "dots": (zipped({"a.py": "run_job" + ".a" * 200_000, "b.py": JOB.format("B")}), ("b.B",), False),
    "many": (zipped({f"m{n}.py": JOB.format("A") for n in range(8)}), tuple(f"m{n}.A" for n in range(5)), False),
}


async def test_hostile(tmp_path: Path) -> None:
    """Where Python's parser gives up, or dies, is its own affair: what was found before counts."""
    limits = {"package_scan_source_bytes": 2 << 20, "package_class_limit_count": 5}
    async with finder(tmp_path, **limits) as find:
        for name, (package, names, complete) in HOSTILE.items():
            found = await find(package)
            assert found.complete >= complete, name
            assert set(found.names) <= set(names), name
            if complete or name in ("a bomb", "many"):
                assert (found.names, found.complete) == (names, complete), name


async def test_time_over(tmp_path: Path) -> None:
    package = zipped({"a.py": JOB.format("A")})
    async with finder(tmp_path, package_scan_deadline_s=0.0) as find:
        assert await find(package) == Classes(complete=False)


@pytest.mark.slow
async def test_time_of_a_processor_and_memory_over(tmp_path: Path) -> None:
    """Names that were found before it are told all the same."""
    slow = "run_job = [" + "1," * 3_000_000 + "]"
    package = zipped({"a.py": JOB.format("A"), **{f"s{n}.py": slow for n in range(8)}})
    for limits in ({"package_scan_cpu_s": 1}, {"package_scan_memory_bytes": 96 << 20}):
        (tmp_path / str(limits)).mkdir()
        async with finder(tmp_path / str(limits), **limits) as find:
            assert await find(package) == Classes(names=("a.A",), complete=False)


def test_more_source_than_is_looked_at() -> None:
    package = io.BytesIO(zipped({"a.py": JOB.format("A"), "b.py": JOB.format("B")}))
    found = scan(package, source_bytes=len(JOB) + 10)
    assert next(found) == "a.A"
    with pytest.raises(LookupError):
        next(found)


# -- jars --

PUBLIC, STATIC, SUPER, INTERFACE, ABSTRACT, SYNTHETIC = 0x1, 0x8, 0x20, 0x200, 0x400, 0x1000
MAIN = (PUBLIC | STATIC, "main", "([Ljava/lang/String;)V")


def class_file(
    name: str,
    *,
    flags: int = PUBLIC | SUPER,
    parent: str = "java/lang/Object",
    above: Sequence[str] = (),
    methods: Sequence[tuple[int, str, str]] = (),
    mentions: str = "spark/jobserver/",
) -> bytes:
    """A compiled class, with constants of each size and an attribute."""
    constants: list[bytes] = [b"\x05" + b"\0" * 8, b"", b"\x0c" + b"\0" * 4, b"\x0f" + b"\0" * 3]

    def text(words: str) -> int:
        data = words.encode()
        constants.append(b"\x01" + struct.pack(">H", len(data)) + data)
        return len(constants)

    def named(words: str) -> int:
        constants.append(b"\x07" + struct.pack(">H", text(words)))
        return len(constants)

    text(mentions)
    head = struct.pack(">HHH", flags, named(name), named(parent))
    head += struct.pack(f">H{len(above)}H", len(above), *map(named, above))
    attribute = struct.pack(">HI", text("Code"), 3) + b"abc"
    field = struct.pack(">HHHH", STATIC, text("MODULE$"), text("La/B;"), 1) + attribute
    body = struct.pack(">H", 1) + field + struct.pack(">H", len(methods))
    for method_flags, method, kind in methods:
        body += struct.pack(">HHHH", method_flags, text(method), text(kind), 1) + attribute
    begin = b"\xca\xfe\xba\xbe" + struct.pack(">HHH", 0, 52, len(constants) + 1)
    return begin + b"".join(constants) + head + body + struct.pack(">H", 0)


def jobs_of(*classes: bytes) -> list[str]:
    """What is found among some classes, in their order."""
    jar = zipped({f"{number}.class": data for number, data in enumerate(classes)})
    return list(scan_jar(io.BytesIO(jar), source_bytes=1 << 20))


TRAIT = ("spark/jobserver/SparkJob",)


def test_classes_of_a_jar() -> None:
    found = jobs_of(
        class_file("a/Inherits", parent="a/Base"),
        class_file("a/Base", flags=PUBLIC | ABSTRACT, above=["a/Middle"]),
        class_file("a/Middle", flags=PUBLIC | INTERFACE | ABSTRACT, above=TRAIT),
        class_file("a/Object$", above=TRAIT),
        class_file("a/Outer$Inner", above=("spark/jobserver/japi/JSparkJob",)),
        class_file("Plain", methods=[MAIN], mentions="nothing"),
        class_file("a/Other", parent="b/Unknown"),
        class_file("a/Round", parent="a/Round"),
    )
    assert found == ["a.Object", "a.Outer$Inner", "Plain", "a.Inherits"]


def test_what_is_no_job_in_a_jar() -> None:
    assert not jobs_of(
        class_file("a/Hidden", flags=SUPER, above=TRAIT),
        class_file("a/Made", flags=PUBLIC | SYNTHETIC, above=TRAIT),
        class_file("a/Job$$anonfun$1", above=TRAIT),
        class_file("a/Job$$anon$1", above=TRAIT),
        class_file("a/Job$1", above=TRAIT),
        class_file("a/NotStatic", methods=[(PUBLIC, *MAIN[1:])]),
        class_file("a/NotPublic", methods=[(STATIC, *MAIN[1:])]),
        class_file("a/OtherMain", methods=[(PUBLIC | STATIC, "main", "()V")]),
        class_file("a/" + "x" * 600, above=TRAIT),
    )


def test_a_class_with_its_object_is_one() -> None:
    assert jobs_of(class_file("a/Job", methods=[MAIN]), class_file("a/Job$", above=TRAIT)) == ["a.Job"]


@given(st.data())
def test_what_is_no_class_file_is_passed_over(data: st.DataObject) -> None:
    whole = class_file("a/Job", above=TRAIT, methods=[MAIN])
    cut = data.draw(st.integers(0, len(whole) - 1))
    place, byte = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 255))
    spoilt = whole[:place] + bytes([byte]) + whole[place + 1 :]
    assert jobs_of(whole[:cut], b"spark/jobserver/", spoilt, class_file("b/Job", above=TRAIT))[-1] == "b.Job"


def test_more_classes_than_are_looked_at() -> None:
    first = class_file("a/A", above=TRAIT)
    jar = zipped({"a.class": first, "b.class": class_file("a/B", above=TRAIT)})
    found = scan_jar(io.BytesIO(jar), source_bytes=len(first))
    assert next(found) == "a.A"
    with pytest.raises(LookupError):
        next(found)
