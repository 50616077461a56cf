"""How the process of a Spark context is started: what must be known before Java is, its command lines, and its plan.

Java is started directly, as Spark's own scripts would do it at the end of two shells and a second Java. What such a
script would find in ``spark-defaults.conf`` for the start of Java itself (memory, class path, options) is not read;
all else in it holds.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobdeck_server.spark.install import Install

__all__ = ["Launch", "heap_bytes", "java_command", "process_command", "write_plan"]

_PROCESSPATH = Path(__file__).parent / "processpath"
_PROGRAM = _PROCESSPATH / "jobdeck_spark_process.py"
_LOGGING = _PROCESSPATH / "log4j2.properties"
_MIB = 1 << 20
_HEAP_LEAST_BYTES = 471859200  # Spark's own: below that it makes no context
_UNITS = {"": _MIB, "b": 1, "k": 1 << 10, "m": _MIB, "g": 1 << 30, "t": 1 << 40}

# What Spark opens to itself of Java's modules. Source: org.apache.spark.launcher.JavaModuleOptions, 3.5.
_OPENED = (
    *("java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util"),
    *("java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs"),
    *("sun.security.action", "sun.util.calendar"),
)
_MODULES = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
    "--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    "-Djdk.reflect.useDirectMethodHandle=false",
    "-Dio.netty.tryReflectionSetAccessible=true",
)
# The compiler that compiles well but slowly comes in three times later than it would: a start hardly needs it, and
# what runs for long has it soon enough. Without it at all (TieredStopAtLevel=1) a start takes a fifth less of CPU time,
# and queries half as long again for ever. Source: the defaults are in compiler_globals.hpp of Java 17.
_LATER = (
    *("-XX:Tier4InvocationThreshold=15000", "-XX:Tier4MinInvocationThreshold=1800"),
    *("-XX:Tier4CompileThreshold=45000", "-XX:Tier4BackEdgeThreshold=120000"),
)
_SERIAL = "-XX:+UseSerialGC"  # starts no threads, and for a small heap is as good as any
_SERIAL_BYTES = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What must be known before Java starts. A process that was started with the same one serves the same contexts.

    Attributes:
        heap_bytes: The most that Java's heap may have.
        java_options: Words for Java, after ours, so that they win.
        class_path: Jars and folders before Spark's own (``spark.driver.extraClassPath``); with them no archive fits.
        api_jars: Jars behind Spark's own.
        proxy_user: As whom Hadoop is asked, or None.
        bind_address: Where Spark listens, and what it calls itself to others.
        fast_start: Java is told to spend less on its start; else it does all as it thinks best.
    """

    heap_bytes: int = 1 << 30
    java_options: tuple[str, ...] = ()
    class_path: tuple[str, ...] = ()
    api_jars: tuple[str, ...] = ()
    proxy_user: str | None = None
    bind_address: str = "127.0.0.1"
    fast_start: bool = True


def heap_bytes(text: str) -> int:
    """Read a size as Spark writes it: ``512m``, ``2g``; a bare number is MiB.

    Raises:
        ValueError: It is none, or less than Spark can do with.
    """
    match = re.fullmatch(r"\s*(\d{1,12})\s*([bkmgt]?)b?\s*", text, re.ASCII | re.IGNORECASE)
    if match is None:
        raise ValueError(f"{text} is no size: 512m or 2g is wanted.")
    size = int(match[1]) * _UNITS[match[2].lower()]
    if size < _HEAP_LEAST_BYTES:
        raise ValueError(f"{text} is too little memory: Spark needs at least 450m.")
    return size


def java_command(install: Install, launch: Launch, scratch: Path) -> list[str]:
    """The command line of the Java process, which leaves what it leaves behind in ``scratch``."""
    proxy = ["--proxy-user", launch.proxy_user] if launch.proxy_user is not None else []
    return [
        str(install.java.path),
        *java_options(launch, scratch),
        *launch.java_options,
        "-cp",
        class_path(install, launch),
        "org.apache.spark.deploy.SparkSubmit",
        *proxy,
        "pyspark-shell",
    ]


def java_options(launch: Launch, scratch: Path) -> list[str]:
    """Ours."""
    return [
        f"-Xmx{_given_bytes(launch)}",
        *_MODULES,
        *(_LATER if launch.fast_start else ()),
        *([_SERIAL] if _is_serial(launch) else []),
        "-XX:-UsePerfData",  # else it leaves a file in /tmp when it is killed
        "-Dfile.encoding=UTF-8",
        f"-Djava.io.tmpdir={scratch}",
        f"-Dderby.system.home={scratch}",
        f"-Dlog4j2.configurationFile={_LOGGING}",
        "-Dlog4j2.disableJmx=true",
    ]


def _given_bytes(launch: Launch) -> int:
    """What Java is given to have the heap that was asked for: of a serial one it keeps a thirtieth empty."""
    return launch.heap_bytes * 30 // 29 + _MIB if _is_serial(launch) else launch.heap_bytes


def _is_serial(launch: Launch) -> bool:
    """Whether ours is the collector: Java takes no second one beside that of an option."""
    names_one = any(re.fullmatch(r"-XX:\+Use\w*GC", word) for word in launch.java_options)
    return launch.fast_start and launch.heap_bytes <= _SERIAL_BYTES and not names_one


def class_path(install: Install, launch: Launch) -> str:
    """Spark's jars by name, not as ``*``: an archive holds for one order only."""
    return ":".join([*launch.class_path, *map(str, install.spark.jars), *launch.api_jars])


def environment(install: Install, launch: Launch) -> dict[str, str]:
    """What Java's environment has beside that of the process."""
    return {
        "SPARK_HOME": str(install.spark.home),
        "SPARK_LOCAL_IP": launch.bind_address,
        "PYSPARK_PIN_THREAD": "true",
    }


def defaults(launch: Launch, scratch: Path) -> dict[str, str]:
    """Configuration of a context, where neither it nor ``spark-defaults.conf`` says anything."""
    return {
        "spark.master": "local[*]",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.eventLog.enabled": "false",
        "spark.driver.host": launch.bind_address,
        "spark.driver.bindAddress": launch.bind_address,
        "spark.driver.memory": f"{launch.heap_bytes // _MIB}m",
        "spark.sql.warehouse.dir": str(scratch / "spark-warehouse"),
        "spark.python.task.killTimeout": "500ms",  # for a Python worker of a cancelled job to end by itself
    }


def write_plan(
    folder: Path,
    install: Install,
    launch: Launch,
    *,
    archive: Path | None = None,
    limits: Mapping[str, float] | None = None,
) -> None:
    """Put down what the process reads; ``sparkprocess.program`` says what that is. Blocks.

    Args:
        folder: The process's own; it is made if need be, 0700.
        install: What is there.
        launch: What is wanted.
        archive: A class-data archive, or None. Java goes on without one that does not fit.
        limits: Of ``sparkprocess.limits``, those that are to be others.
    """
    folder = folder.absolute()
    scratch = folder / "scratch"
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    plan = {
        "java": java_command(install, launch, scratch),
        "archive": None if archive is None else str(archive),
        "env": environment(install, launch),
        "py4j": str(install.spark.py4j),
        "version": install.spark.version,
        "scratch": str(scratch),
        "defaults": defaults(launch, scratch),
        "limits": dict(limits or {}),
    }
    path = folder / "plan.json"
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(plan, file)


def process_command(folder: Path, python: str = sys.executable) -> list[str]:
    """What runs the process of a folder: isolated, so that nothing of the environment or a user's packages gets in."""
    return [python, "-I", "-S", str(_PROGRAM), str(folder.absolute())]
