from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobdeck_server.spark.install import Finder, Install, InstallError, find_spark


def spark(home: Path, core: str = "spark-core_2.12-3.5.9.jar", *, py4j: bool = True) -> Path:
    """A folder that looks like Spark's."""
    (home / "jars").mkdir(parents=True)
    (home / "python" / "lib").mkdir(parents=True)
    for name in (core, "a.jar"):
        (home / "jars" / name).touch()
    if py4j:
        (home / "python" / "lib" / "py4j-0.10.9.7-src.zip").touch()
    return home


def java(path: Path, version: str = "17.0.15", *, says: str = "", code: int = 0) -> Path:
    """A program that says that it is a Java, and how often it was asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    said = says or f'openjdk version "{version}" 2025-04-15'
    path.write_text(f"#!/bin/sh\necho x >> {path}.asked\necho '{said}' >&2\nexit {code}\n")
    path.chmod(0o755)
    return path


async def find(spark_home: Path, **places: str | Path) -> Install:
    """With nothing of this machine's own."""
    environ = {name: str(value) for name, value in places.items() if name.isupper()}
    wanted = places.get("spark_java")
    finder = Finder(
        spark_home=spark_home,
        spark_java=None if wanted is None else Path(wanted),
        environ={"PATH": "/nowhere", **environ},
        jvms=Path(places.get("jvms", "/nowhere")),
    )
    return await finder.find()


def test_what_spark_is(tmp_path: Path) -> None:
    found = find_spark(spark(tmp_path))
    assert found.version == "3.5.9"
    assert [jar.name for jar in found.jars] == ["a.jar", "spark-core_2.12-3.5.9.jar"]
    assert found.py4j.name == "py4j-0.10.9.7-src.zip"


def test_no_spark(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"is no folder of Spark.*name Spark's folder with --spark-home"):
        find_spark(tmp_path)


@pytest.mark.parametrize(
    ("core", "told"),
    [
        ("spark-core_2.13-3.5.9.jar", "3.5.9 for Scala 2.13"),
        ("spark-core_2.12-3.4.1.jar", "3.4.1 for Scala 2.12"),
        ("spark-core_2.13-4.0.0.jar", "4.0.0 for Scala 2.13"),
        ("spark-core_what.jar", r"for Scala \?"),
    ],
)
def test_a_wrong_spark(tmp_path: Path, core: str, told: str) -> None:
    with pytest.raises(InstallError, match=rf"Spark 3\.5\.x for Scala 2\.12 is wanted.*{told}"):
        find_spark(spark(tmp_path, core))


def test_a_spark_without_its_python_side(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="py4j"):
        find_spark(spark(tmp_path, py4j=False))


async def test_the_option_names_a_java_or_its_folder(tmp_path: Path) -> None:
    home = spark(tmp_path / "spark")
    program = java(tmp_path / "jdk" / "bin" / "java")
    assert (await find(home, spark_java=program)).java.path == program
    found = (await find(home, spark_java=tmp_path / "jdk")).java
    assert (found.path, found.major) == (program, 17)
    assert "17.0.15" in found.said


async def test_the_first_java_of_the_right_version_is_taken(tmp_path: Path) -> None:
    home = spark(tmp_path / "spark")
    java(tmp_path / "old" / "bin" / "java", "1.8.0_402")
    in_path = java(tmp_path / "bin" / "java", "21.0.1")
    first = java(tmp_path / "jvms" / "a17" / "bin" / "java")
    java(tmp_path / "jvms" / "b17" / "bin" / "java")
    found = await find(home, JAVA_HOME=tmp_path / "old", PATH=in_path.parent, jvms=tmp_path / "jvms")
    assert found.java.path == first


async def test_no_java(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"needs Java 17\. None was found\..*--spark-java"):
        await find(spark(tmp_path))


async def test_what_was_found_is_told(tmp_path: Path) -> None:
    home = spark(tmp_path / "spark")
    java(tmp_path / "old" / "bin" / "java", "1.8.0_402")
    java(tmp_path / "jvms" / "a" / "bin" / "java", "25")
    java(tmp_path / "jvms" / "b" / "bin" / "java", says="Segmentation fault")
    java(tmp_path / "jvms" / "c" / "bin" / "java", code=1)
    with pytest.raises(InstallError) as told:
        await find(home, JAVA_HOME=tmp_path / "old", jvms=tmp_path / "jvms")
    text = str(told.value)
    assert "old/bin/java is Java 8" in text
    assert "a/bin/java is Java 25" in text
    assert "b/bin/java is no Java that works" in text
    assert "c/bin/java is no Java that works" in text


@pytest.mark.parametrize("wrong", ["not there", "not one", "wrong"])
async def test_the_option_is_believed(tmp_path: Path, wrong: str) -> None:
    """Another one that would do is not taken in its place."""
    home = spark(tmp_path / "spark")
    java(tmp_path / "jvms" / "a" / "bin" / "java")
    program = tmp_path / "java"
    if wrong == "not one":
        program.write_bytes(b"\x7fELF")
        program.chmod(0o755)
    elif wrong == "wrong":
        java(program, "25")
    with pytest.raises(InstallError, match=r"--spark-java names another\. Found: .*/java"):
        await find(home, spark_java=program, jvms=tmp_path / "jvms")


async def test_java_is_asked_once_as_long_as_it_is_the_same(tmp_path: Path) -> None:
    home, program = spark(tmp_path / "spark"), java(tmp_path / "java", "25")
    finder = Finder(spark_home=home, spark_java=program, environ={})
    for _ in range(2):
        with pytest.raises(InstallError):
            await finder.find()
    assert (tmp_path / "java.asked").read_text() == "x\n"
    java(program, "17")
    os.utime(program, (1, 1))
    assert (await finder.find()).java.major == 17
