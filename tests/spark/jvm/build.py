"""Jars for the tests of JVM jobs, compiled once: stand-ins for the API's traits apart from the jobs that use them.

    build/spark/jvm/<digest>/api.jar      the traits, as an operator would supply them
    build/spark/jvm/<digest>/jobs.jar     jobs in Scala and Java, which stand on them
    build/spark/jvm/<digest>/plain.jar    classes that know nothing of them
    build/spark/jvm/<digest>/fat.jar      jobs with the traits in the same jar
    build/spark/jvm/<digest>/<name>.jar   what ``small`` makes of a source that a test writes

The compilers are those that pyspark and the JDK bring. The digest is of all sources: other sources, another folder.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.spark.places import BUILD, SPARK_HOME, config_jar, java_home

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE = Path(__file__).parent
_LIMIT_S = 240.0
_QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xss4m", "-Xmx512m")
_ENTRY_TIME = (2024, 1, 1, 0, 0, 0)  # the same sources, the same bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Jars:
    """What was compiled; ``api`` is what an operator supplies."""

    folder: Path
    api: tuple[Path, ...]

    def path(self, name: str) -> Path:
        """A jar by its name."""
        return self.folder / f"{name}.jar"


def jars() -> Jars:
    """All jars; compiled if these sources never were."""
    folder = BUILD / "jvm" / _digest()
    made = Jars(folder=folder, api=(folder / "api.jar", config_jar()))
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            _compile_all(Path(scratch))
            try:
                (Path(scratch) / "jars").rename(folder)
            except OSError:  # another process was quicker
                assert folder.is_dir()
    return made


def api_flags() -> tuple[str, ...]:
    """What has a server supply the traits."""
    return tuple(word for jar in jars().api for word in ("--spark-api-jars", str(jar)))


def small(name: str, source: str, class_name: str, *, resources: dict[str, str] | None = None) -> Path:
    """A jar of one Java source, compiled once.

    Args:
        name: For people.
        source: Of a class in the package ``small``, which may use the traits.
        class_name: Its name, without the package.
        resources: Other files in the jar, with their texts.
    """
    made = jars()
    told = hashlib.sha256(repr((source, resources)).encode()).hexdigest()[:12]
    jar = made.folder / f"{name}-{told}.jar"
    if not jar.exists():
        with tempfile.TemporaryDirectory(dir=made.folder) as scratch:
            path = Path(scratch) / f"{class_name}.java"
            path.write_text(source)
            classes = Path(scratch) / "classes"
            _javac([path], classes, made.api)
            for entry, text in (resources or {}).items():
                (classes / entry).write_text(text)
            _pack([classes], Path(scratch) / "jar")
            (Path(scratch) / "jar").rename(jar)
    return jar


def _digest() -> str:
    told = hashlib.sha256()
    for path in (Path(__file__), *sorted(_HERE.glob("*/*.scala")), *sorted(_HERE.glob("*/*.java"))):
        told.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return told.hexdigest()[:16]


def _compile_all(scratch: Path) -> None:
    api, jobs, plain, out = (scratch / name for name in ("api", "jobs", "plain", "jars"))
    out.mkdir()
    config = [config_jar()]
    _scalac(sorted((_HERE / "api").glob("*.scala")), api, config)
    _scalac(sorted((_HERE / "jobs").glob("*.scala")), jobs, [api, *config])
    _javac(sorted((_HERE / "jobs").glob("*.java")), jobs, [api, *config])
    _javac(sorted((_HERE / "plain").glob("*.java")), plain, [])
    for path in plain.rglob("Mains$Missing.class"):
        path.unlink()
    for name, folders in {"api": [api], "jobs": [jobs], "plain": [plain], "fat": [jobs, api]}.items():
        _pack(folders, out / f"{name}.jar")


def _spark_jars() -> list[Path]:
    """All that jobs may be compiled against; a list, for the compiler does not know what a star is."""
    kept = ("spark-", "scala-library", "scala-reflect", "hadoop-client", "jackson-", "slf4j-api")
    return [path for path in sorted((SPARK_HOME / "jars").glob("*.jar")) if path.name.startswith(kept)]


def _java(program: str) -> str:
    home = java_home()
    assert home is not None
    return str(home / "bin" / program)


def _scalac(sources: Sequence[Path], out: Path, beside: Sequence[Path]) -> None:
    compiler = ["scala-compiler", "scala-library", "scala-reflect"]
    own = [path for path in (SPARK_HOME / "jars").glob("scala-*.jar") if path.name.rsplit("-", 1)[0] in compiler]
    path = os.pathsep.join(map(str, [*beside, *_spark_jars()]))
    out.mkdir(exist_ok=True)
    command = [_java("java"), *_QUICK, "-cp", os.pathsep.join(map(str, own)), "scala.tools.nsc.Main", "-nowarn"]
    _run([*command, "-cp", path, "-d", str(out), *map(str, sources)])


def _javac(sources: Sequence[Path], out: Path, beside: Sequence[Path]) -> None:
    path = os.pathsep.join(map(str, [*beside, *_spark_jars(), out]))
    out.mkdir(exist_ok=True)
    flags = [f"-J{flag}" for flag in _QUICK]
    _run([_java("javac"), *flags, "-nowarn", "-proc:none", "-cp", path, "-d", str(out), *map(str, sources)])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _pack(folders: Sequence[Path], jar: Path) -> None:
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF", _ENTRY_TIME), "Manifest-Version: 1.0\r\n\r\n")
        for folder in folders:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                entry = zipfile.ZipInfo(str(path.relative_to(folder)), _ENTRY_TIME)
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
