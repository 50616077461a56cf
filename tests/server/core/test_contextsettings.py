"""Settings of contexts: whose word holds, what they ask for, what is told of them; and the operator's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_server.core import contextsettings
from jobdeck_server.core.contextdefaults import Defaults, DefaultsError
from jobdeck_server.core.contextsettings import as_config, kind_of, merged, packages_of, python_wish, shown, slots_of
from jobdeck_server.core.errors import BadRequestError, ContextInitError, TooLargeError
from jobdeck_server.core.hocon import EMPTY, JobConfig

KEYS = st.text("abc", min_size=1, max_size=2)
TREES = st.recursive(st.integers(), lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)
OBJECTS = st.dictionaries(KEYS, TREES, max_size=3)


def test_the_body_wins_over_the_query_and_that_over_the_server() -> None:
    defaults = {"a": {"x": "server", "y": "server", "z": "server"}, "b": 1}
    query = {"a.y": "query", "a.z": "query", "b": "2"}
    assert merged(defaults, query, as_config({"a": {"z": "body"}, "c": [1]})) == {
        "a": {"x": "server", "y": "query", "z": "body"},
        "b": "2",
        "c": [1],
    }
    assert defaults["a"] == {"x": "server", "y": "server", "z": "server"}


def test_what_stands_beside_the_block_of_settings_is_none() -> None:
    config = JobConfig(text=b"{}", head={"spark": {"master": "x"}, "cp": ["a"]})
    assert merged({}, {}, config) == {}


def test_an_object_and_a_value_do_not_mix() -> None:
    assert merged({"a": {"b": 1}}, {"a": "x"}, EMPTY) == {"a": "x"}
    assert merged({"a": 1}, {"a.b": "x"}, EMPTY) == {"a": {"b": "x"}}


@settings(max_examples=40)
@given(OBJECTS, OBJECTS)
def test_the_upper_tree_is_all_there(below: dict[str, Any], above: dict[str, Any]) -> None:
    def within(part: object, whole: object) -> bool:
        if isinstance(part, dict) and isinstance(whole, dict):
            return all(key in whole and within(value, whole[key]) for key, value in part.items())
        return part == whole

    found = contextsettings.joined(below, above)
    assert within(above, found)
    assert set(found) == {*below, *above}


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", ".".join("a" * 33)])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(BadRequestError):
        merged({}, {path: "x"}, EMPTY)


def test_a_block_that_is_none_and_too_much_are_refused() -> None:
    with pytest.raises(BadRequestError, match=r"spark\.context-settings is no object"):
        merged({}, {}, JobConfig(text=b"{}", head={"spark": {"context-settings": 1}}))
    with pytest.raises(TooLargeError):
        merged({}, {"a": "x" * 300}, EMPTY, limit_bytes=300)


@pytest.mark.parametrize(
    "factory", [None, *(f"spark.jobserver.python.{name}ContextFactory" for name in ("PythonSession", "PythonSpark"))]
)
def test_python_contexts_are_plain(factory: str | None) -> None:
    assert kind_of({} if factory is None else {"context-factory": factory}) == "plain"


@pytest.mark.parametrize(
    ("factory", "why"),
    [
        ("my.Factory", r"There is no context-factory 'my\.Factory'"),
        (["x"], "There is no context-factory"),
    ],
)
def test_other_factories_are_refused(factory: object, why: str) -> None:
    with pytest.raises(ContextInitError, match=why):
        kind_of({"context-factory": factory})


def test_slots() -> None:
    assert slots_of({}, 8) == 8
    assert slots_of({"max-jobs-per-context": "3"}, 8) == slots_of({"max-jobs-per-context": 3}, 8) == 3
    for bad in (0, -1, 10_001, "", "x", "1.5", True, 1.5, None, [1]):
        with pytest.raises(BadRequestError):
            slots_of({"max-jobs-per-context": bad}, 8)


def test_which_python() -> None:
    wish = python_wish(
        {"python": {"executable": "python3.12", "virtualenv": "Yes", "packages": "a, b"}, "cp": ["b", "c"]}
    )
    assert (wish.executable, wish.virtualenv, wish.packages) == ("python3.12", True, ("a", "b", "c"))
    assert python_wish({"python": {"virtualenv": "off"}}).virtualenv is False
    assert packages_of({}) == ()
    refused: tuple[dict[str, Any], ...] = (
        {"python": {"executable": 3}},
        {"python": {"executable": ""}},
        {"python": {"executable": "a\0"}},
        {"python": {"virtualenv": "maybe"}},
        {"python": {"virtualenv": []}},
        {"python": {"packages": [1]}},
        {"cp": {"a": 1}},
    )
    for bad in refused:
        with pytest.raises(BadRequestError):
            python_wish(bad)


def test_secrets_are_not_shown() -> None:
    told = shown({"a": {"db-password": "x", "secret": {"token": 1, "n": 2}}, "fs.s3a.access.key": "k", "keys": [1]})
    assert told == {
        "a": {"db-password": "(hidden)", "secret": {"token": "(hidden)", "n": 2}},
        "fs.s3a.access.key": "(hidden)",
        "keys": [1],
    }
    assert shown(
        merged({}, {"fs.s3a.access.key": "k", "fs.s3a.secret.key": "k", "apikey": "k", "a.key": "k"}, EMPTY)
    ) == {
        "fs": {"s3a": {"access": {"key": "(hidden)"}, "secret": {"key": "(hidden)"}}},
        "apikey": "(hidden)",
        "a": {"key": "k"},
    }
    uris = ["http://u:p@h/a.whl", "https://h/a.whl?token=t", "a,b", 1, [{"password": "p", "user": "u"}]]
    assert shown({"cp": uris, "dependent-jar-uris": "http://u@h:1/a.whl?x=y,ftp://u:p@h/b.whl, c@d?"}) == {
        "cp": ["http://h/a.whl", "https://h/a.whl", "a,b", 1, [{"password": "(hidden)", "user": "u"}]],
        "dependent-jar-uris": "http://h:1/a.whl,ftp://h/b.whl, c@d?",
    }


def test_secrets_of_spark_are_not_shown() -> None:
    account = {"key": {"name": {"blob": {"core": {"windows": {"net": "s"}}}}, "x": 1}, "auth": "type"}
    shown_account = {"key": {"name": {"blob": {"core": {"windows": {"net": "(hidden)"}}}}, "x": "(hidden)"}}
    assert shown({"hadoop": {"fs": {"azure": {"account": account}}}}) == {
        "hadoop": {"fs": {"azure": {"account": {**shown_account, "auth": "type"}}}}
    }
    options = "-Xss4m -Djavax.net.ssl.trustStorePassword=a b -Dx=1 '-Dmy.SECRET=c d' -Dtoken=e"
    told = "-Xss4m -Djavax.net.ssl.trustStorePassword=(hidden) -Dx=1 '-Dmy.SECRET=(hidden) -Dtoken=(hidden)"
    assert shown({"spark.driver.extraJavaOptions": options}) == {"spark.driver.extraJavaOptions": told}
    assert shown({"text": "a  -D b\n-Dx = 1"}) == {"text": "a  -D b\n-Dx = 1"}
    assert shown({"much": "-Dpassword=" + " " * 200_000 + "-D" * 100_000}) == {
        "much": "-Dpassword=(hidden) " + "-D" * 100_000
    }


async def test_the_operators_file(tmp_path: Path) -> None:
    path = tmp_path / "contexts.conf"
    path.write_text(
        """
        spark { context-settings { num-cpu-cores = 2 }, contexts { old { a = 1 } } }
        contexts { new { max-jobs-per-context = 3 } }
        """
    )
    found = await Defaults.read(path)
    assert found.settings == {"num-cpu-cores": 2}
    assert found.contexts == {"old": {"a": 1}, "new": {"max-jobs-per-context": 3}}
    assert await Defaults.read(None) == Defaults()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("!!", "Cannot parse config"),
        ("contexts = 1", "contexts is no object"),
        ("contexts { c = 1 }", r"contexts\.c is no object"),
        ('contexts { "1c" {} }', "must start with letters"),
        ("spark.context-settings = x", "context-settings is no object"),
    ],
)
async def test_a_file_that_cannot_be_used(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "contexts.conf"
    with pytest.raises(DefaultsError, match="No such file"):
        await Defaults.read(path)
    path.write_text(text)
    with pytest.raises(DefaultsError, match=why):
        await Defaults.read(path)
