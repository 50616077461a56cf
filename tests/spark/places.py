"""Where the tests of Spark find what ``prepare`` has brought, and a Java that Spark can run on."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

BUILD = Path(__file__).parent.parent.parent / "build" / "spark"
SITE = BUILD / "site"
SPARK_HOME = SITE / "pyspark"
JAVA_VERSION = 17
WRONG_JAVA_HOMES = "/usr/lib/jvm/*25*"

# As Spark's own launcher has it for Java 17: what its code opens by reflection. Source: JavaModuleOptions of Spark 3.5
OPENS = tuple(
    f"--add-opens=java.base/{name}=ALL-UNNAMED"
    for name in (
        *("java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util"),
        *("java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs"),
        *("sun.security.action", "sun.util.calendar"),
    )
)


@functools.cache
def java_home() -> Path | None:
    """The home of a Java 17 with its compiler, as ``prepare`` looks for it; None if there is none."""
    found = [Path(os.environ["JAVA_HOME"])] if "JAVA_HOME" in os.environ else []
    javac = shutil.which("javac")
    if javac is not None:
        found.append(Path(javac).resolve().parent.parent)
    for home in [*found, *Path("/usr/lib/jvm").glob(f"*{JAVA_VERSION}*")]:
        if (home / "bin/javac").exists() and is_version(home, JAVA_VERSION):
            return home
    return None


def is_version(home: Path, version: int) -> bool:
    """Whether a Java says of itself that it is of a version."""
    release = home / "release"
    return release.exists() and f'JAVA_VERSION="{version}' in release.read_text()


def config_jar() -> Path:
    """The library that jars for Spark JobServer expect, and that Spark does not have."""
    return next((BUILD / "jars").glob("typesafe-config*.jar"))


def missing() -> str | None:
    """What is not there; None if all is."""
    if not (SPARK_HOME / "jars").is_dir():
        return "pyspark"
    return "Java 17" if java_home() is None else None


def java_command(main_class: str, *arguments: str, heap: str = "256m") -> list[str]:
    """A command line for a program of Spark's that is quick to start and small."""
    home = java_home()
    assert home is not None
    quick = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xshare:auto")
    path = f"{SPARK_HOME}/jars/*"
    return [str(home / "bin/java"), f"-Xmx{heap}", *quick, *OPENS, "-cp", path, main_class, *arguments]


def version_of(java: Path) -> str:
    """What a Java says when it is asked for its version."""
    return subprocess.run([java, "-version"], capture_output=True, text=True, check=True, timeout=30).stderr
