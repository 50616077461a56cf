"""What of Spark and Java is on this machine, and whether the two are of use.

Spark is pyspark's folder: the one of the option ``--spark-home``, else the pyspark that this Python could import; it
is not imported for that. Wanted is the line 3.5 for Scala 2.12, for which jars of Spark JobServer are built. Java is
that of ``--spark-java``, else the first of the right version among ``JAVA_HOME``, ``PATH`` and ``/usr/lib/jvm``. Spark
3.5 knows no later Java than 17, so 17 is wanted.

What is missing is told in one text that says what was looked for, what was found, and what to do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import trio

__all__ = ["Finder", "Install", "InstallError", "Java", "Spark", "find_spark"]

_JAVA_MAJOR = 17
_SPARK_LINE = "3.5."
_SCALA = "2.12"
_JVMS = Path("/usr/lib/jvm")
_ASK_S = 30.0
_SAID_BYTES = 4096
_VERSION = re.compile(r'version "(?:1\.)?(\d+)[^"]*"')


class InstallError(Exception):
    """Spark or Java is not there, or not the one that is wanted; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """A Spark that can be used.

    Attributes:
        home: Its folder, SPARK_HOME.
        version: Such as ``3.5.9``.
        jars: All of its own, in the order of their names.
        py4j: The zip with the Python side of py4j.
    """

    home: Path
    version: str
    jars: tuple[Path, ...]
    py4j: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """A Java.

    Attributes:
        path: Of the program.
        major: Such as 17.
        said: All that it says of its version: the same for two that take each other's archives.
    """

    path: Path
    major: int
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """What contexts are made with."""

    spark: Spark
    java: Java


class Finder:
    """Finds them whenever a context is to be made; Java is asked for its version once, as long as it stays the same."""

    def __init__(
        self,
        *,
        spark_home: Path | None = None,
        spark_java: Path | None = None,
        environ: Mapping[str, str] | None = None,
        jvms: Path = _JVMS,
    ) -> None:
        """See the settings of the same names.

        Args:
            spark_home: Where Spark is to be found, or None.
            spark_java: A program, or the folder that has it in ``bin``; or None.
            environ: In place of this process's own.
            jvms: Where systems keep their Javas.
        """
        self._spark_home = spark_home
        self._spark_java = spark_java
        self._environ = os.environ if environ is None else environ
        self._jvms = jvms
        self._known: dict[tuple[Path, int, int], Java | str] = {}

    async def find(self) -> Install:
        """Find both.

        Raises:
            InstallError: One of them is not as it must be.
        """
        spark = await trio.to_thread.run_sync(find_spark, self._spark_home)
        return Install(spark=spark, java=await self._find_java())

    async def _find_java(self) -> Java:
        seen: list[str] = []
        for path in self._candidates():
            java = await self._ask(path)
            if isinstance(java, Java) and java.major == _JAVA_MAJOR:
                return java
            seen.append(f"{path} is Java {java.major}" if isinstance(java, Java) else java)
        raise InstallError(self._no_java(seen))

    def _candidates(self) -> list[Path]:
        """Programs to be asked, those that are one and the same only once."""
        if self._spark_java is not None:
            inside = self._spark_java / "bin" / "java"
            return [inside if self._spark_java.is_dir() else self._spark_java]
        found = [Path(home) / "bin" / "java"] if (home := self._environ.get("JAVA_HOME")) else []
        if in_path := shutil.which("java", path=self._environ.get("PATH", os.defpath)):
            found.append(Path(in_path))
        found += sorted(self._jvms.glob("*/bin/java"))
        several: dict[str, Path] = {}
        for path in found:
            if path.is_file():
                several.setdefault(os.path.realpath(path), path)
        return list(several.values())

    async def _ask(self, path: Path) -> Java | str:
        """What a Java says it is; a text says why it does not."""
        try:
            facts = await trio.to_thread.run_sync(path.stat)
        except OSError as error:
            return f"{path} cannot be used: {error.strerror}"
        key = (path, facts.st_mtime_ns, facts.st_size)
        if key not in self._known:
            answer = await _version(path)
            if answer is None:  # perhaps only now, on a busy machine
                return f"{path} does not say its version"
            self._known[key] = answer
        return self._known[key]

    def _no_java(self, seen: list[str]) -> str:
        found = f"Found: {'; '.join(seen)}." if seen else "None was found."
        if self._spark_java is not None:
            return f"Spark needs Java {_JAVA_MAJOR}, and --spark-java names another. {found}"
        return (
            f"Spark needs Java {_JAVA_MAJOR}. {found} Looked in JAVA_HOME, PATH and {self._jvms}. "
            f"Install one, or name it with --spark-java."
        )


async def _version(path: Path) -> Java | str | None:
    """Ask a Java for its version; None if it does not answer in time."""
    with trio.move_on_after(_ASK_S):
        try:
            done = await trio.run_process(
                [path, "-XX:-UsePerfData", "-version"],
                check=False,
                stdin=subprocess.DEVNULL,
                capture_stdout=True,
                stderr=subprocess.STDOUT,
                env={"LANG": "C.UTF-8", "PATH": os.defpath},
            )
        except OSError as error:
            return f"{path} cannot be started: {error.strerror}"
        said = done.stdout[:_SAID_BYTES].decode(errors="replace").strip()
        match = _VERSION.search(said)
        if done.returncode != 0 or match is None:
            return f"{path} is no Java that works"
        return Java(path=path, major=int(match[1]), said=said)
    return None


def find_spark(spark_home: Path | None) -> Spark:
    """Find Spark. Blocks, for as long as a folder takes to be listed.

    Args:
        spark_home: Where it is to be found, or None for the pyspark that this Python could import.

    Raises:
        InstallError: There is none, or not the one that is wanted.
    """
    home = _own_pyspark() if spark_home is None else spark_home
    wish = "Please install jobdeck[spark], or name Spark's folder with --spark-home."
    if home is None:
        raise InstallError(f"pyspark is not installed. {wish}")
    jars = tuple(sorted((home / "jars").glob("*.jar")))
    cores = [jar.name for jar in jars if jar.name.startswith("spark-core_")]
    if not cores:
        raise InstallError(f"{home} is no folder of Spark: it has no jars/spark-core_*.jar. {wish}")
    match = re.fullmatch(r"spark-core_([\d.]+)-(.+)\.jar", cores[0])
    scala, version = match.groups() if match is not None else ("", cores[0])
    if scala != _SCALA or not version.startswith(_SPARK_LINE):
        raise InstallError(
            f"Spark {_SPARK_LINE}x for Scala {_SCALA} is wanted, and {home} is Spark {version} for Scala "
            f"{scala or '?'}. {wish}"
        )
    py4j = sorted((home / "python" / "lib").glob("py4j-*-src.zip"))
    if not py4j:
        raise InstallError(f"{home} has no python/lib/py4j-*-src.zip, without which Java cannot be reached. {wish}")
    return Spark(
        home=home.absolute(), version=version, jars=tuple(jar.absolute() for jar in jars), py4j=py4j[0].absolute()
    )


def _own_pyspark() -> Path | None:
    try:
        spec = find_spec("pyspark")
    except (ImportError, ValueError):
        return None
    return None if spec is None or spec.origin is None else Path(spec.origin).parent
