"""What settings say to Spark: every key, what wins, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_server.core.contextsettings import joined, kind_of, language_of, merged, restarts, takes
from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.core.hocon import EMPTY
from jobdeck_server.core.sparksettings import default_launch, flat, jars_of, master_of, wish_of
from jobdeck_server.settings import Settings
from jobdeck_server.spark.launch import Launch

SERVER = Settings(data_dir=Path("/data"))
JVM = "spark.jobserver.context.SessionContextFactory"
PYTHON = "spark.jobserver.python.PythonSessionContextFactory"


def conf(**settings: Any) -> dict[str, str]:
    return dict(wish_of(settings, SERVER).conf)


def launch(**settings: Any) -> Launch:
    return wish_of(settings, SERVER).launch


def test_every_key_finds_its_place() -> None:
    settings = {
        "num-cpu-cores": 3,
        "memory-per-node": "512m",
        "passthrough": {"spark": {"x": 1}, "other.key": "as it is"},
        "hadoop": {"fs": {"defaultFS": "hdfs://h:1"}, "dfs.replication": 2},
        "spark": {"speculation": True, "executor": {"instances": 2}, "app": {"name": "mine"}, "cleared": None},
        "spark.sql.shuffle.partitions": 8,
        "context-factory": PYTHON,
        "rdd-ttl": "1 day",
    }
    wish = wish_of(settings, SERVER)
    assert wish.name == "mine"
    assert wish.conf == {
        "spark.cores.max": "3",
        "spark.executor.memory": "512m",
        "spark.x": "1",
        "other.key": "as it is",
        "spark.hadoop.fs.defaultFS": "hdfs://h:1",
        "spark.hadoop.dfs.replication": "2",
        "spark.speculation": "true",
        "spark.executor.instances": "2",
        "spark.sql.shuffle.partitions": "8",
        "spark.master": "local[3]",
    }
    assert wish.launch == default_launch(SERVER) == Launch(heap_bytes=SERVER.spark_driver_memory_bytes)


def test_what_the_jvm_starts_with_is_no_configuration() -> None:
    settings = {
        "launcher": {"spark.driver.memory": "2g", "spark": {"driver": {"extraJavaOptions": "-Da='b c' -ea"}}},
        "spark": {
            "driver": {"memory": "1g", "extraClassPath": "/a.jar:/b", "bindAddress": "10.0.0.1"},
            "proxy": {"user": "ann"},
        },
    }
    wish = wish_of(settings, SERVER)
    assert wish.launch == Launch(
        heap_bytes=2 << 30,
        java_options=("-Da=b c", "-ea"),
        class_path=("/a.jar", "/b"),
        proxy_user="ann",
        bind_address="10.0.0.1",
    )
    assert wish.conf == {"spark.driver.bindAddress": "10.0.0.1", "spark.master": "local[*]"}
    assert launch(spark={"driver": {"memory": "600"}}).heap_bytes == 600 << 20
    assert launch(**{"spark.driver.host": "h"}).bind_address == "h"
    assert not launch(launcher={"fast-start": False}).fast_start


def test_what_stands_nearer_to_spark_wins() -> None:
    settings: dict[str, Any] = {"num-cpu-cores": 1, "memory-per-node": "1g"}
    assert conf(**settings)["spark.cores.max"] == "1"
    settings["passthrough"] = {"spark.cores.max": 2, "spark.executor.memory": "2g"}
    assert conf(**settings)["spark.cores.max"] == "2"
    settings["spark"] = {"cores": {"max": 3}}
    assert (conf(**settings)["spark.cores.max"], conf(**settings)["spark.executor.memory"]) == ("3", "2g")


def test_the_master() -> None:
    assert master_of({}, master=None) == "local[*]"
    assert master_of({"num-cpu-cores": "2"}, master=None) == "local[2]"
    assert master_of({"num-cpu-cores": 2}, master="spark://h:1") == "spark://h:1"
    assert master_of({"spark": {"master": "local"}}, master="spark://h:1") == "local"
    assert master_of({"spark.master": "yarn"}, master=None) == "yarn"


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"num-cpu-cores": 0}, "num-cpu-cores"),
        ({"num-cpu-cores": True}, "num-cpu-cores"),
        ({"num-cpu-cores": "two"}, "num-cpu-cores"),
        ({"memory-per-node": "much"}, "memory-per-node"),
        ({"memory-per-node": [1]}, "memory-per-node"),
        ({"spark": "yes"}, "spark"),
        ({"hadoop": 1}, "hadoop"),
        ({"passthrough": []}, "passthrough"),
        ({"spark": {"a": [{}]}}, "spark.a"),
        ({"spark": {"a": float("inf")}}, "spark.a"),
        ({"spark": {"a": "\0"}}, "spark.a"),
        ({"spark": {"a": "\ud800"}}, "spark.a"),
        ({"spark": {"driver": {"memory": "1m"}}}, "spark.driver.memory"),
        ({"launcher": {"spark.driver.memory": "x"}}, "spark.driver.memory"),
        ({"launcher": {"fast-start": "no"}}, "launcher.fast-start"),
        ({"spark": {"driver": {"extraJavaOptions": "-Xmx9g"}}}, "spark.driver.extraJavaOptions"),
        ({"spark": {"driver": {"extraJavaOptions": "'"}}}, "spark.driver.extraJavaOptions"),
        ({"spark": {"proxy": {"user": "a b"}}}, "spark.proxy.user"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        wish_of(settings, SERVER)
    assert caught.value.field == field


def test_what_comes_from_a_query_is_as_good_as_a_body() -> None:
    query = {"spark.executor.cores": "2", "num-cpu-cores": "2", "spark.master": "local[1]"}
    settings = merged({"spark": {"executor": {"cores": 1, "memory": "1g"}}}, query, EMPTY)
    wish = wish_of(settings, SERVER)
    assert (wish.conf["spark.executor.cores"], wish.conf["spark.executor.memory"]) == ("2", "1g")
    assert wish.master == "local[1]"


def test_kinds_and_languages() -> None:
    assert kind_of({}) == kind_of({"context-factory": PYTHON}) == "plain"
    assert kind_of({"context-factory": JVM}) == kind_of({}, jar=True) == kind_of({}, master="local[2]") == "spark"
    assert kind_of({"spark": {"master": "local"}}) == kind_of({"spark.master": "local"}) == "spark"
    assert [language_of({"context-factory": each}) for each in (JVM, PYTHON)] == ["jvm", "python"]
    assert language_of({}) is None
    assert [takes("spark", {}, language=each) for each in ("jvm", "python")] == [True, True]
    assert [takes("plain", {}, language=each) for each in ("jvm", "python")] == [False, True]
    assert [takes("spark", {"context-factory": JVM}, language=each) for each in ("jvm", "python")] == [True, False]
    assert [takes("spark", {"context-factory": PYTHON}, language=each) for each in ("jvm", "python")] == [False, True]


def test_whether_it_is_made_anew() -> None:
    assert [restarts({}, each) for each in ("never", "always")] == [False, True]
    assert restarts({"context-restart": "always"}, "never")
    with pytest.raises(BadRequestError):
        restarts({"context-restart": "sometimes"}, "never")


def test_jars_are_named_once() -> None:
    assert jars_of({"cp": "a, b", "dependent-jar-uris": ["b", "http://h/c.jar"]}) == ("a", "b", "http://h/c.jar")
    with pytest.raises(BadRequestError):
        jars_of({"cp": {"a": 1}})


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers()))
KEYS = st.text("abc.", min_size=1, max_size=3)
TREES = st.recursive(st.dictionaries(KEYS, LEAVES, max_size=3), lambda each: st.dictionaries(KEYS, each, max_size=3))


@given(TREES)
def test_whatever_settings_are_they_are_texts_or_refused(tree: dict[str, Any]) -> None:
    settings = {"spark": tree, "passthrough": tree, "hadoop": tree}
    try:
        wish = wish_of(settings, SERVER)
    except BadRequestError:
        return
    assert all(isinstance(each, str) for pair in wish.conf.items() for each in pair)
    assert wish_of(settings, SERVER) == wish


@given(TREES, TREES)
def test_a_body_wins_over_what_is_below(below: dict[str, Any], above: dict[str, Any]) -> None:
    try:
        won, together = flat(above), flat(joined(below, above))
    except BadRequestError:
        return
    nested = {path: value for path, value in won.items() if not any("." in key for key in (*below, *above))}
    assert all(together.get(path) == value for path, value in nested.items())
