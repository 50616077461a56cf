"""Configurations of jobs: what they mean, what they may not do, and what they may cost."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobdeck_server.core import hoconparse
from jobdeck_server.core.errors import BadRequestError, TooLargeError
from jobdeck_server.core.hocon import EMPTY, ConfigReader, HoconLimits
from jobdeck_server.core.hoconvalues import duration_s, pick, size_bytes, text_list
from jobdeck_server.settings import Settings

PREFIX = "Cannot parse config: "


async def tree_of(text: str | bytes, **limits: Any) -> dict[str, Any]:
    body = text if isinstance(text, bytes) else text.encode()
    return (await ConfigReader(HoconLimits(**limits)).read(body)).tree()


async def refusal(text: str | bytes, **limits: Any) -> str:
    with pytest.raises(BadRequestError) as caught:
        await tree_of(text, **limits)
    told = str(caught.value)
    assert told.startswith(PREFIX)
    assert len(told) < 1000
    return told[len(PREFIX) :]


def test_the_limits_are_the_servers(tmp_path: Path) -> None:
    assert HoconLimits.of(Settings(data_dir=tmp_path)) == HoconLimits()
    changed = Settings(data_dir=tmp_path, config_limit_bytes=1, config_depth_limit_count=2, config_cpu_s=3)
    assert HoconLimits.of(changed) == HoconLimits(body_bytes=1, depth_count=2, cpu_s=3)
    changed = replace(changed, config_output_limit_bytes=4, config_memory_limit_bytes=5, config_time_s=6.5)
    changed = replace(changed, config_process_limit_count=7)
    assert HoconLimits.of(changed) == HoconLimits(
        body_bytes=1, depth_count=2, cpu_s=3, output_bytes=4, memory_bytes=5, deadline_s=6.5, process_count=7
    )


# -- what it means --


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("  \n", {}),
        ("# only a comment", {}),
        ("input.string = a b c a b see", {"input": {"string": "a b c a b see"}}),
        ("input.strings = ['a', 'b', 'a', 'b']", {"input": {"strings": ["'a'", "'b'", "'a'", "'b'"]}}),
        ("memory = 512m, wait = 5 s", {"memory": "512m", "wait": "5 s"}),
        (r'a = "x\u00e9", b = "\ud83d\ude00"', {"a": "x\u00e9", "b": "\U0001f600"}),
        ('a = """raw " \\n"""', {"a": 'raw " \\n'}),
        ("a { b: 1 }\na.c = 2 // so", {"a": {"b": 1, "c": 2}}),
        ("a = 1, a = 2", {"a": 2}),
        ('{"a": {"x": 1}, "a": {"y": 2}}', {"a": {"x": 1, "y": 2}}),
        ("a = [1]\na += 2", {"a": [1, 2]}),
        ("path = /x\npath = ${path}:/y", {"path": "/x:/y"}),
        ("a = 1\nb = ${a}\nc = ${?gone}", {"a": 1, "b": 1}),
        ("a = 123456789012345678901234567890", {"a": 123456789012345678901234567890}),
        (
            "a = -0, b = 1.50, c = 1e3, d = NaN, e = Infinity",
            {"a": 0, "b": 1.5, "c": 1000.0, "d": "NaN", "e": "Infinity"},
        ),
        ("a = true, b = no, c = null", {"a": True, "b": "no", "c": None}),
        ('"a.b" = 1\n"" = 2', {"a.b": 1, "": 2}),
        ("\ufeffa = 1", {"a": 1}),
        ('\ufeff {"a": 1}', {"a": 1}),
        ('{"a": "tab\there"}', {"a": "tab\there"}),
        ("conf=a%3Db", {"conf": "a%3Db"}),
        ('{"a": NaN, "b": 1}', {"a": "NaN", "b": 1}),
        ("env = ${?HOME}", {}),
        ("list = ${?PATH[]}", {}),
    ],
)
async def test_reads(text: str, expected: Mapping[str, Any]) -> None:
    assert await tree_of(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Not parseable jobConfig!!", "line 1, column"),
        ("a=b&c=d", "line 1, column 4"),
        ("[1, 2]", "array"),
        ("a = 1\n\nb = ${gone}", "line 3, column"),
        ("home = ${HOME}", "could not resolve substitution: ${HOME}"),
        ("home = ${HOME[]}", "could not resolve substitution"),
        ("a = ${a}", "${a}"),
        ("a = ${b}\nb = ${a}", "circular"),
        ("a = 1e999", "1e999"),
        ('{"a": 1e999}', "1e999"),
        ('{"a": ' + "9" * 400 + "}", "invalid float"),
        ("a = {", "line 1"),
        ('a = "open', "unterminated"),
        ("\n" + "[" * 10_000, "line 2: objects and lists lie more than 100 deep"),
        ("a = " + "[" * 10_000 + "]" * 10_000, "line 1: objects and lists lie more than 100 deep"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "line 1: objects and lists lie more than 100 deep"),
        ('{"a":' * 101 + "1" + "}" * 101, "more than 100 deep"),
        (".".join("a" * 101) + " = 1", "more than 100 deep"),
    ],
)
async def test_refuses(text: str, reason: str) -> None:
    assert reason in await refusal(text)


async def test_refuses_what_is_no_utf_8() -> None:
    assert await refusal(b"a = 1\nb = \xff") == "line 2: this is not UTF-8"
    assert "UTF-8" in await refusal("a = 1".encode("utf-16"))


async def test_brackets_in_texts_and_comments_are_no_depth() -> None:
    text = 'a = "' + "[" * 500 + '"\n# ' + "{" * 500 + "\n// " + "{" * 500 + '\nb = """' + "[" * 500 + '"""'
    assert await tree_of(text) == {"a": "[" * 500, "b": "[" * 500}
    assert await tree_of('{"a":' * 99 + "[]" + "}" * 99)


# -- what it may not do --


@pytest.mark.parametrize(
    "include",
    [
        'include "PLACE"',
        'include file("PLACE")',
        'include required("PLACE")',
        'include required(file("PLACE"))',
        'include required( file( "PLACE" ) )',
        'include package("a", "PLACE")',
        'include required(package("FOLDER", "b"))',
        'include url("file://PLACE")',
        'include classpath("PLACE")',
        'include required(url("http://localhost/"))',
        'a { include "PLACE" }',
        'a = [{ include "PLACE" }]',
        '{include "PLACE"}',
    ],
)
def test_includes_nothing(tmp_path: Path, include: str) -> None:
    (tmp_path / "b.conf").write_text("stolen = 1")
    place = str(tmp_path / "b.conf")
    text = "\n\n" + include.replace("PLACE", place).replace("FOLDER", str(tmp_path))
    with pytest.raises(hoconparse.HoconError, match=r"^line 3.*include") as told:
        hoconparse.parse(text.encode(), 100)
    assert str(tmp_path) not in str(told.value)


async def test_an_include_does_not_tell_whether_there_is_such_a_file(tmp_path: Path) -> None:
    (tmp_path / "b.conf").write_text("stolen = 1")
    there = await refusal(f"include {json.dumps(str(tmp_path / 'b.conf'))}")
    assert there == await refusal('include "/nowhere/at.all"') == "line 1: include is not allowed here"


async def test_knows_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "1")
    monkeypatch.setenv("SECRET_OF_THE_SERVER_0", "1")
    assert "stolen" in await tree_of("stolen = none\nstolen = ${?SECRET_OF_THE_SERVER}")
    for text in ("a = ${SECRET_OF_THE_SERVER}", "a = ${SECRET_OF_THE_SERVER[]}"):
        assert "could not resolve" in await refusal(text)
    assert os.environ["SECRET_OF_THE_SERVER"] == "1"


# -- what it may cost --

BOMBS = {
    "lists": "a = [1, 2, 3]\n" + "\n".join(f"{chr(98 + n)} = ${{{chr(97 + n)}}}${{{chr(97 + n)}}}" for n in range(25)),
    "texts": "a = some text\n" + "\n".join(f"{chr(98 + n)} = ${{{chr(97 + n)}}}${{{chr(97 + n)}}}" for n in range(25)),
    "paths": (".".join("a" * 60) + " = 1\n") * 4,
    "objects": "a { x = 1 }\n" + "\n".join(f"k{n} {{ a = ${{k{n - 1}}}, b = ${{k{n - 1}}} }}" for n in range(1, 40)),
}


@pytest.mark.parametrize(
    "name", ["lists", *(pytest.param(name, marks=pytest.mark.slow) for name in BOMBS if name != "lists")]
)
async def test_bombs_cost_what_they_may(name: str) -> None:
    assert await refusal(BOMBS[name], cpu_s=1, memory_bytes=300 * 1024 * 1024)


def test_nothing_that_may_be_a_bomb_is_read_in_the_server() -> None:
    for bomb in BOMBS.values():
        assert hoconparse.parse_light(bomb.encode(), 100) is None
    assert hoconparse.parse_light(b"a = b c, d.e { f = [1, 2] }", 100) == {"a": "b c", "d": {"e": {"f": [1, 2]}}}
    assert hoconparse.parse_light(json.dumps({"a": ["b"] * 10_000}).encode(), 100) is not None


async def test_reading_may_take_its_time_and_no_longer() -> None:
    with pytest.raises(BadRequestError, match="more than"):
        await tree_of(BOMBS["paths"], deadline_s=0.3, cpu_s=50)


async def test_leaves_no_process_when_nobody_waits_any_more() -> None:
    with trio.move_on_after(0.3) as scope:
        await tree_of(BOMBS["paths"], cpu_s=50)
    assert scope.cancelled_caught
    assert not _readers()


def _readers() -> list[str]:
    """The processes of this one that read a configuration, or were left when they had."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                line = (stat.parent / "cmdline").read_text()
                found += [line] if "hoconparse" in line or not line else []
    return found


async def test_large_bodies() -> None:
    text = "x" * (4 * 1024 * 1024)
    config = await ConfigReader().read(b'{"spark":{"cp":"a,b"},"a":"' + text.encode() + b'"}')
    assert len(config.text) > len(text)
    assert config.head == {"spark": {"cp": "a,b"}}
    with pytest.raises(TooLargeError):
        await tree_of(b" " * 100 + b"a=1", body_bytes=50)
    assert "more than 50 bytes" in await refusal("a = ${?x} " + "y" * 60, output_bytes=50)
    assert "have more than" in await refusal(b'{"spark": "' + b"x" * 300_000 + b'"}')


async def test_two_thousand_items() -> None:
    items = [f"item {number}" for number in range(2000)]
    assert await tree_of("input.strings = [" + ", ".join(items) + "]") == {"input": {"strings": items}}


async def test_nothing_to_read_is_nothing() -> None:
    assert await ConfigReader().read(b"") is EMPTY


# -- any tree at all --

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text('"\\${}[]#/,:=+\n\t .a0-', max_size=6)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TREES = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | NUMBERS | TEXTS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
        max_leaves=10,
    ),
    max_size=4,
)


@given(TREES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_json_means_the_same_on_both_ways(tree: dict[str, Any]) -> None:
    text = json.dumps(tree)
    slow = hoconparse._as_hocon(text, 100)
    assert hoconparse._as_json(text) == slow == tree
    assert json.dumps(slow) == json.dumps(tree) == json.dumps(json.loads(hoconparse.to_json(slow)))


@given(TREES, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_written_as_people_write_it_it_is_the_same(tree: dict[str, Any], chance: random.Random) -> None:
    assert hoconparse.parse(_people(tree, chance)[1:-1].encode(), 100) == tree


def _people(value: Any, chance: random.Random) -> str:
    """HOCON with other words for the same: ``=``, line ends for commas, comments, nothing before an object."""
    comma = chance.choice([",", "\n", " # so\n", ",\n\n", "\r\n"])
    if isinstance(value, dict):
        fields = []
        for key, inner in value.items():
            between = " " if isinstance(inner, dict) and chance.random() < 0.5 else chance.choice([" = ", ":", " =\n "])
            fields.append(json.dumps(key, ensure_ascii=chance.random() < 0.5) + between + _people(inner, chance))
        return "{" + comma.join(fields) + chance.choice(["", ","] if fields else [""]) + "\n}"
    if isinstance(value, list):
        return "[" + comma.join(_people(inner, chance) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)


# -- single values --


def test_picks_by_path() -> None:
    tree = {"spark": {"context-settings": {"num-cpu-cores": 2}}, "a.b": 1}
    assert pick(tree, "spark.context-settings") == {"num-cpu-cores": 2}
    assert pick(tree, "spark.context-settings.num-cpu-cores") == 2
    assert pick(tree, "spark.context-settings.num-cpu-cores.x") is None
    assert pick(tree, "gone") is None


def test_lists_of_texts() -> None:
    assert text_list(None, "cp") == []
    assert text_list(" a, b,,", "cp") == ["a", "b"]
    assert text_list(["a,b", " c "], "cp") == ["a,b", "c"]
    for value in (1, {"a": 1}, ["a", 1], [["a"]]):
        with pytest.raises(BadRequestError, match="cp is neither"):
            text_list(value, "cp")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("512m", 512 * 1024**2),
        ("1g", 1024**3),
        ("1 GiB", 1024**3),
        ("1gb", 1024**3),
        ("1 GB", 1000**3),
        ("2kB", 2000),
        ("1.5k", 1536),
        ("10", 10),
        (10, 10),
        ("3 bytes", 3),
        ("1 kibibyte", 1024),
    ],
)
def test_sizes(text: Any, expected: int) -> None:
    assert size_bytes(text, "memory") == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("5 s", 5), ("2m", 120), ("100ms", 0.1), (250, 0.25), ("1 day", 86400), ("0.5h", 1800)]
)
def test_durations(text: Any, expected: float) -> None:
    assert duration_s(text, "wait") == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "m", "-1", "1 lightyear", "1e3", True, None, [1], "1" * 400 + ".0", "\u0661", "NaN"]
)
def test_what_is_neither(text: Any) -> None:
    for read in (size_bytes, duration_s):
        with pytest.raises(BadRequestError):
            read(text, "x")
