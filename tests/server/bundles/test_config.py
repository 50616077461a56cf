"""``executor_config.json`` in every shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_server.core.bundles.config import OFF, ArtifactRequest, BundleConfig, parse_config
from jobdeck_server.core.bundles.errors import ConfigError
from jobdeck_server.core.bundles.limits import ConfigLimits, PatternLimits

# as the walkthrough prints it
WALKTHROUGH = b"""{
	"cmd": "echo",
	"args": ["some sample text to be written to file to be written to job_stdout.txt"],
	"resultArtifacts": [
		{
			"name": "all",
			"resultPatterns": []
		}
    ]
}
"""


def parsed(**changes: Any) -> BundleConfig:
    """With these keys; ``...`` takes one away."""
    whole = {"cmd": "echo", "resultArtifacts": [], **changes}
    return parse_config(json.dumps({key: value for key, value in whole.items() if value is not ...}).encode())


def test_the_walkthroughs() -> None:
    assert parse_config(WALKTHROUGH) == BundleConfig(
        cmd="echo",
        args=("some sample text to be written to file to be written to job_stdout.txt",),
        artifacts=(ArtifactRequest(name="all", patterns=()),),
        output_interval_ms=OFF,
        output_segment_lines=OFF,
    )


def test_a_byte_order_mark_is_not_minded() -> None:
    assert parse_config(b"\xef\xbb\xbf" + WALKTHROUGH + b"\r\n\n") == parse_config(WALKTHROUGH)


def test_what_may_be_missing() -> None:
    assert parsed() == BundleConfig(cmd="echo", args=(), artifacts=())
    assert parsed(args=None, outputInterval=None, outputSegmentSize=None, unknown={"x": [1]}) == parsed()
    assert parsed(resultArtifacts={"name": "x"}) == parsed()


@pytest.mark.parametrize("value", [..., None, [], {}, "*.txt", 5, False])
def test_no_list_of_patterns_is_every_file(value: object) -> None:
    artifact = {"name": "all"} if value is ... else {"name": "all", "resultPatterns": value}
    assert parsed(resultArtifacts=[artifact]).artifacts == (ArtifactRequest(name="all", patterns=()),)


def test_artifacts_keep_their_order_and_names_are_data() -> None:
    wanted = [{"name": name, "resultPatterns": ["*", name]} for name in ("z", "a/b", "../c", "ä 😀", "__proto__", " ")]
    found = parsed(resultArtifacts=wanted).artifacts
    assert [each.name for each in found] == ["z", "a/b", "../c", "ä 😀", "__proto__", " "]
    assert found[0].patterns == ("*", "z")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-1, OFF), (0, OFF), (-0.5, OFF), (0.5, 1), (1, 1), (1000, 1000), (999.5, 1000), (1e300, 2**53), (10**400, 2**53)],
)
def test_numbers(value: float, expected: int) -> None:
    found = parsed(outputInterval=value, outputSegmentSize=value)
    assert (found.output_interval_ms, found.output_segment_lines) == (expected, expected)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "no JSON"),
        (b"not json", "line 1, column 1"),
        (b'{"cmd": "x",}', "no JSON"),
        (WALKTHROUGH[:-3], "no JSON"),
        (WALKTHROUGH + b"{}", "no JSON"),
        (b"\xff\xfe{\0}\0", "UTF-8"),
        (b'{"cmd": "\xe4"}', "UTF-8"),
        (b"null", "no JSON object"),
        (b"[]", "no JSON object"),
        (b'"cmd"', "no JSON object"),
        (b"5", "no JSON object"),
        (b"true", "no JSON object"),
        (b'{"cmd": NaN}', "NaN"),
        (b'{"cmd": -Infinity}', "Infinity"),
        (b'{"cmd": "a\nb"}', "no JSON"),
        (b"[" * 100_000, "deep"),
        (b'{"a":' * 100_000, "deep"),
        (b'{"outputInterval": ' + b"9" * 10_000 + b"}", "too long"),
        (b" " * (1024 * 1024 + 1), "1048576"),
        (b'{"cmd": "' + b"x" * (1024 * 1024) + b'"}', "1048576"),
    ],
)
def test_files_that_are_none(data: bytes, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(data)
    assert word in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"cmd": ...}, "cmd is missing"),
        ({"cmd": None}, "cmd is missing"),
        ({"cmd": ""}, "cmd is empty"),
        ({"cmd": 5}, "cmd is no text"),
        ({"cmd": ["echo"]}, "cmd is no text"),
        ({"cmd": True}, "cmd is no text"),
        ({"cmd": "a\0b"}, "NUL"),
        ({"cmd": "\ud800"}, "surrogate"),
        ({"cmd": "x" * 131_072}, "131071"),
        ({"args": "text"}, "args is no list"),
        ({"args": {}}, "args is no list"),
        ({"args": False}, "args is no list"),
        ({"args": ["a", 5]}, "args[1] is no text"),
        ({"args": [None]}, "args[0] is missing"),
        ({"args": ["\0"]}, "NUL"),
        ({"args": ["\udfff"]}, "surrogate"),
        ({"args": ["x"] * 4097}, "4096"),
        ({"args": ["x" * 131_072]}, "131071"),
        ({"resultArtifacts": ...}, "resultArtifacts is missing"),
        ({"resultArtifacts": None}, "resultArtifacts is missing"),
        ({"resultArtifacts": "all"}, "resultArtifacts is no list"),
        ({"resultArtifacts": 0}, "resultArtifacts is no list"),
        ({"resultArtifacts": [None]}, "resultArtifacts[0] is no object"),
        ({"resultArtifacts": ["all"]}, "resultArtifacts[0] is no object"),
        ({"resultArtifacts": [{}]}, "name is missing"),
        ({"resultArtifacts": [{"name": 5}]}, "name is no text"),
        ({"resultArtifacts": [{"name": ""}]}, "name is empty"),
        ({"resultArtifacts": [{"name": "a\0"}]}, "NUL"),
        ({"resultArtifacts": [{"name": "x" * 1025}]}, "1024"),
        ({"resultArtifacts": [{"name": "a"}, {"name": "a"}]}, "two artifacts with the name 'a'"),
        ({"resultArtifacts": [{"name": str(number)} for number in range(257)]}, "256"),
        ({"resultArtifacts": [{"name": "a", "resultPatterns": ["*", 5]}]}, "resultPatterns[1] is no text"),
        ({"resultArtifacts": [{"name": "a", "resultPatterns": ["{1..9999}"]}]}, "too many"),
        ({"resultArtifacts": [{"name": "a", "resultPatterns": ["\ud800"]}]}, "no text"),
        ({"resultArtifacts": [{"name": "a", "resultPatterns": ["x" * 5000]}]}, "4096"),
        ({"outputInterval": "100"}, "outputInterval is no number"),
        ({"outputInterval": True}, "outputInterval is no number"),
        ({"outputInterval": []}, "outputInterval is no number"),
        ({"outputSegmentSize": {}}, "outputSegmentSize is no number"),
    ],
)
def test_wrong_values_are_told_with_their_key(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(**changes)
    assert word in str(caught.value)
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 250


def test_numbers_beyond_all() -> None:
    with pytest.raises(ConfigError, match="no number"):
        parse_config(b'{"cmd": "x", "resultArtifacts": [], "outputInterval": 1e999}')


def test_artifacts_share_the_limits_of_patterns() -> None:
    def tried(artifacts: int, **limits: int) -> BundleConfig:
        wanted = [{"name": str(number), "resultPatterns": ["{a,b}", "!c"]} for number in range(artifacts)]
        data = json.dumps({"cmd": "x", "resultArtifacts": wanted}).encode()
        return parse_config(data, ConfigLimits(patterns=PatternLimits(**limits)))

    assert len(tried(4, count=12, total_chars=12).artifacts) == 4
    for limits in ({"count": 11}, {"total_chars": 11}):
        with pytest.raises(ConfigError, match=r"resultArtifacts\[3\].resultPatterns: .* too many"):
            tried(4, **limits)


def test_other_limits() -> None:
    limits = ConfigLimits(size_bytes=len(WALKTHROUGH), patterns=PatternLimits(count=1))
    parse_config(WALKTHROUGH, limits)
    with pytest.raises(ConfigError):
        parse_config(WALKTHROUGH + b" ", limits)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["cmd", "args", "resultArtifacts", "outputInterval", "outputSegmentSize"]


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), JSON) | JSON, st.booleans())
def test_any_json_is_a_config_or_an_error(value: Any, whole: bool) -> None:
    if whole and isinstance(value, dict):
        value = {"cmd": "x", "resultArtifacts": [], **value}
    try:
        found = parse_config(json.dumps(value).encode())
    except ConfigError:
        return
    assert found.cmd
    assert all(isinstance(each, str) for each in found.args)
