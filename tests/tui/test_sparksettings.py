"""Settings of a context on Spark, as words and as lines of HOCON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_tui.sparksettings import FIELDS, edited, fields_of, value_of, with_value


def settings(**words: str) -> str:
    text = ""
    for field, value in words.items():
        text = edited(text, field, value)
    return text


def test_words_become_lines() -> None:
    local = settings(master="local[*]", cores="4", memory="2g", jobs="3", restart="always")
    assert local.splitlines() == [
        'spark.master = "local[4]"',
        "launcher.spark.driver.memory = 2g",
        "max-jobs-per-context = 3",
        "context-restart = always",
    ]
    assert fields_of(local) == {"master": "local[4]", "cores": "4", "memory": "2g", "jobs": "3", "restart": "always"}
    far = settings(master="spark://far:7077", cores="8", memory="512m")
    assert far.splitlines() == ['spark.master = "spark://far:7077"', "num-cpu-cores = 8", "memory-per-node = 512m"]
    assert fields_of(far)["memory"] == "512m"


def test_what_only_the_server_knows() -> None:
    assert settings(cores="2", memory="1g").splitlines() == [
        "num-cpu-cores = 2",
        "launcher.spark.driver.memory = 1g",
        "memory-per-node = 1g",
    ]


def test_memory_goes_with_the_master() -> None:
    text = edited(settings(master="local[2]", memory="2g"), "master", "spark://far:7077")
    assert text.splitlines() == ['spark.master = "spark://far:7077"', "memory-per-node = 2g"]
    assert edited(text, "master", "local").splitlines() == ["spark.master = local", "launcher.spark.driver.memory = 2g"]
    assert fields_of("spark.master = local")["cores"] == "1"
    both = "spark.master = yarn\nlauncher.spark.driver.memory = 1g\nmemory-per-node = 4g\n"
    assert value_of(edited(both, "master", "spark://h:1"), "launcher.spark.driver.memory") == "1g"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b = 1 # why", "1"),
        ("a.b: x,", "x"),
        ('a.b = "x // y" // z', "x // y"),
        ("a.b = 1\na.b = 2", "2"),
        ('a.b = "not yet', "not yet"),
        ("  a.b = 1", ""),
        ("a.bc = 1\n#a.b = 1", ""),
        ("a.b =", ""),
    ],
)
def test_lines_are_read_as_people_write_them(text: str, value: str) -> None:
    assert value_of(text, "a.b") == value


def test_what_else_is_written_stays() -> None:
    text = "# mine\na.b = 1\nc { d = 2 }\na.b = 3"
    assert with_value(text, "a.b", "4") == "# mine\nc { d = 2 }\na.b = 4\n"
    assert with_value(text, "a.b", "") == "# mine\nc { d = 2 }\n"
    assert with_value(text, "a.b", "3") == text
    assert with_value("a.b = 1", "a.b", "") == ""


@given(st.text(alphabet='ab=:"\\n #/[]{}', max_size=40), st.sampled_from(FIELDS), st.text(max_size=12))
def test_what_is_put_is_read(text: str, field: str, value: str) -> None:
    value = " ".join(value.split())
    if field == "cores":
        value = "".join(each for each in value if each in "123456789")
    assert fields_of(edited(text, field, value))[field] == value
