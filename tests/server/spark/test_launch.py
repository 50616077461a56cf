from __future__ import annotations

import json
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_server.spark import archive as archives
from jobdeck_server.spark.install import Install, Java, Spark
from jobdeck_server.spark.launch import Launch, heap_bytes, java_command, process_command, write_plan

MIB = 1 << 20


def install(home: Path = Path("/spark")) -> Install:
    jars = tuple(home / "jars" / name for name in ("a.jar", "b.jar"))
    spark = Spark(home=home, version="3.5.9", jars=jars, py4j=home / "py4j.zip")
    return Install(spark=spark, java=Java(path=Path("/jdk/bin/java"), major=17, said="17.0.15"))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512m", 512 * MIB),
        ("1g", 1024 * MIB),
        ("2G", 2048 * MIB),
        ("600", 600 * MIB),
        (" 1t ", MIB * MIB),
        ("1gb", 1024 * MIB),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert heap_bytes(text) == size


@pytest.mark.parametrize("text", ["", "m", "-1g", "1.5g", "1x", "449m", "1 2g", "\u0661g", "9" * 40 + "g"])
def test_texts_that_are_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is"):
        heap_bytes(text)


@given(st.text())
def test_any_text_is_a_size_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert heap_bytes(text) > 0


def test_the_command_line_of_java() -> None:
    launch = Launch(
        heap_bytes=512 * MIB,
        java_options=("-Dmine=1",),
        class_path=("/first.jar",),
        api_jars=("/api.jar",),
        proxy_user="somebody",
    )
    words = java_command(install(), launch, Path("/scratch"))
    assert words[0] == "/jdk/bin/java"
    assert words[-7:] == [
        "-Dmine=1",
        "-cp",
        "/first.jar:/spark/jars/a.jar:/spark/jars/b.jar:/api.jar",
        "org.apache.spark.deploy.SparkSubmit",
        "--proxy-user",
        "somebody",
        "pyspark-shell",
    ]
    assert "--add-opens=java.base/java.nio=ALL-UNNAMED" in words
    assert "-XX:-UsePerfData" in words
    assert "-Dfile.encoding=UTF-8" in words
    assert "-Djava.io.tmpdir=/scratch" in words


def test_a_large_heap_has_the_collector_that_java_thinks_best() -> None:
    small, large = (java_command(install(), Launch(heap_bytes=size), Path("/s")) for size in (1024 * MIB, 8192 * MIB))
    assert "-XX:+UseSerialGC" in small
    assert "-XX:+UseSerialGC" not in large
    own = java_command(install(), Launch(java_options=("-XX:+UseG1GC",)), Path("/s"))
    assert "-XX:+UseSerialGC" not in own  # Java refuses two
    slow = java_command(install(), Launch(fast_start=False), Path("/s"))
    assert not [word for word in slow if "Tier" in word or "Serial" in word]


@pytest.mark.parametrize(
    "other",
    [
        {"heap_bytes": 600 * MIB},
        {"java_options": ("-Da=1",)},
        {"class_path": ("/a.jar",)},
        {"api_jars": ("/a.jar",)},
        {"proxy_user": "somebody"},
        {"bind_address": "10.0.0.1"},
        {"fast_start": False},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_process_serves_those_with_its_launch_alone(other: dict[str, object]) -> None:
    assert Launch() == Launch()
    assert hash(Launch()) == hash(Launch())
    assert Launch() != replace(Launch(), **other)  # type: ignore[arg-type]  # of each field's own type


def test_the_plan(tmp_path: Path) -> None:
    folder = tmp_path / "process"
    write_plan(folder, install(), Launch(bind_address="10.0.0.1"), archive=Path("/a.jsa"), limits={"make_s": 5})
    plan = json.loads((folder / "plan.json").read_text())
    assert plan["archive"] == "/a.jsa"
    assert plan["limits"] == {"make_s": 5}
    assert plan["scratch"] == str(folder / "scratch")
    assert plan["env"] == {"SPARK_HOME": "/spark", "SPARK_LOCAL_IP": "10.0.0.1", "PYSPARK_PIN_THREAD": "true"}
    assert plan["defaults"]["spark.driver.host"] == "10.0.0.1"
    assert plan["defaults"]["spark.ui.enabled"] == "false"
    for path, mode in ((folder, 0o700), (folder / "plan.json", 0o600), (folder / "scratch", 0o700)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    write_plan(folder, install(), Launch())
    assert json.loads((folder / "plan.json").read_text())["archive"] is None
    assert process_command(folder, "python")[:3] == ["python", "-I", "-S"]
    assert process_command(folder)[-1] == str(folder)


def test_an_archive_is_for_one_java_one_spark_and_one_class_path(tmp_path: Path) -> None:
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "a.jar").write_bytes(b"1")
    known = install(tmp_path)
    digest = archives.digest(known, Launch())
    assert archives.digest(known, Launch(heap_bytes=600 * MIB, java_options=("-Da=1",))) == digest
    others = [
        archives.digest(known, Launch(api_jars=("/a.jar",))),
        archives.digest(replace(known, java=replace(known.java, said="17.0.16")), Launch()),
        archives.digest(replace(known, spark=replace(known.spark, version="3.5.8")), Launch()),
    ]
    (tmp_path / "jars" / "a.jar").write_bytes(b"22")
    others.append(archives.digest(known, Launch()))
    assert len({digest, *others}) == 5
