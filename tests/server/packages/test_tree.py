"""``ConfigTree`` against plain dicts, and the accessors that jobs were written for."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.packages.kit import jobs_own

config = jobs_own("sparkjobserver.config")
ConfigTree = config.ConfigTree

KEYS = st.text("abc", min_size=1, max_size=2)
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=12,
    ),
    max_size=4,
)


def looked_up(tree: Any, path: list[str]) -> Any:
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return ...
        tree = tree[key]
    return tree


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=TREES, path=st.lists(KEYS, min_size=1, max_size=4))
def test_finds_what_plain_dicts_hold(tree: dict[str, Any], path: list[str]) -> None:
    found = ConfigTree(tree)
    dotted = ".".join(path)
    expected = looked_up(tree, path)
    assert found.get(dotted, ...) == expected
    assert (dotted in found) == (expected is not ...)
    assert found.pop(dotted, ...) == expected
    assert looked_up(found, path) is ...


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=TREES, path=st.lists(KEYS, min_size=1, max_size=4), value=st.integers())
def test_keeps_what_is_put(tree: dict[str, Any], path: list[str], value: int) -> None:
    found = ConfigTree(tree)
    found.put(".".join(path), value)
    assert looked_up(found.as_plain_dict(), path) == value


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES)
def test_is_a_dict_like_any_other(tree: dict[str, Any]) -> None:
    text = json.dumps(tree)
    for found in (ConfigTree(tree), json.loads(text, object_pairs_hook=ConfigTree.of_pairs)):
        assert found == tree
        assert dict(found) == tree
        assert json.loads(json.dumps(found)) == tree
        assert copy.deepcopy(found) == tree
        assert pickle.loads(pickle.dumps(found)) == tree
        plain = found.as_plain_ordered_dict()
        assert plain == tree
        assert type(plain) is dict


TREE = ConfigTree(
    {
        "a": {"b": {"c": "x"}, "n": 5, "t": "17", "f": "1.5", "yes": "Yes", "off": False, "null": None},
        "list": [1, {"k": "v"}],
        "numbered": {"2": "c", "0": "a", "1": "b"},
        "dotted.key": "literal",
        "in": {"dotted.key": 3},
    }
)


def test_reads_by_path() -> None:
    assert TREE["a"]["b"]["c"] == TREE["a.b.c"] == TREE.get("a.b.c") == TREE.a.b.c == "x"
    assert TREE["dotted.key"] == "literal"
    assert TREE['in."dotted.key"'] == 3
    assert TREE.get("list")[1].get("k") == "v"
    assert TREE.get("a.b.c.d", 7) == TREE.get("no.where", 7) == 7
    assert TREE.get("no", None) is None
    assert TREE.get("a.null", 7) is None


def test_converts() -> None:
    assert (TREE.get_int("a.n"), TREE.get_int("a.t"), TREE.get_float("a.f")) == (5, 17, 1.5)
    assert (TREE.get_string("a.n"), TREE.get_string("a.off"), TREE.get_string("a.b.c")) == ("5", "false", "x")
    assert TREE.get_bool("a.yes") is True
    assert TREE.get_bool("a.off") is False
    assert TREE.get_list("list") == [1, {"k": "v"}]
    assert TREE.get_list("numbered") == ["a", "b", "c"]
    assert TREE.get_config("a.b") == {"c": "x"}
    for name in ("string", "int", "float", "bool", "list", "config"):
        assert getattr(TREE, f"get_{name}")("a.null") is None
        assert getattr(TREE, f"get_{name}")("gone", None) is None
        assert getattr(TREE, f"get_{name}")("gone", "mine") == "mine"


def test_raises_what_can_be_caught_as_a_key_error() -> None:
    for read in (TREE.get, TREE.__getitem__, TREE.get_int, TREE.get_config, TREE.pop):
        with pytest.raises(KeyError, match="No configuration setting found for key gone"):
            read("gone")
    for name, path in (
        ("int", "a.b.c"),
        ("bool", "a.b.c"),
        ("list", "a.b"),
        ("config", "a.n"),
        ("string", "a"),
        ("float", "list"),
    ):
        with pytest.raises(config.ConfigWrongTypeException):
            getattr(TREE, f"get_{name}")(path)
    with pytest.raises(config.ConfigException):
        TREE.get("a.n.x")
    with pytest.raises(AttributeError):
        TREE.gone  # noqa: B018  # reading is the test
    assert not hasattr(TREE, "__array__")
