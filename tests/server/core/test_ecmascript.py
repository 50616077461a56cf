"""JSON as ECMAScript writes it: known texts, and what must hold for all.

That it is ECMAScript's own is shown by tests/clients, where ECMAScript writes the same values.
"""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_server.core.blobrecord import fields, metadata_hash, record_of, serialize
from jobdeck_server.core.ecmascript import (
    DEPTH_LIMIT_COUNT,
    JsonError,
    is_falsy,
    number_text,
    parse,
    stringify,
    text_of,
)

TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
KEYS = TEXTS | st.sampled_from(["0", "9", "10", "01", "-1", "4294967294", "4294967295", "__proto__", "content", "a"])
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=6,
)
HASHES = st.text("0123456789abcdef", min_size=40, max_size=40)
ENTRIES = st.dictionaries(
    KEYS, st.fixed_dictionaries({"content": HASHES}, optional={"contentType": VALUES, "x": VALUES})
)
FIELDS = {"name": VALUES, "size": VALUES, "mime": VALUES, "isPublic": VALUES, "tags": st.lists(VALUES, max_size=5)}
RECORDS = st.fixed_dictionaries(
    {}, optional={**FIELDS, "content": VALUES, "contentType": VALUES.filter(lambda value: value != "complex")}
) | st.fixed_dictionaries({"content": ENTRIES, "contentType": st.just("complex")}, optional=FIELDS)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (12.0, "12"),
        (-12.5, "-12.5"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (123456789012345680000.0, "123456789012345680000"),
        (12345678901234567890, "12345678901234567000"),
        (2**53, "9007199254740992"),
        (2**53 + 1, "9007199254740992"),
        (0.1, "0.1"),
        (0.000001, "0.000001"),
        (0.00001234, "0.00001234"),
        (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (10**400, "Infinity"),
        (-(10**400), "-Infinity"),
    ],
)
def test_numbers(number: float, text: str) -> None:
    assert number_text(number) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "10": 2, "9": 3, "01": 4, "": 5}, '{"9":3,"10":2,"b":1,"01":4,"":5}'),
        ({"4294967295": 1, "4294967294": 2}, '{"4294967294":2,"4294967295":1}'),
        ({"x": {"1": [], "0": {}}}, '{"x":{"0":{},"1":[]}}'),
        ([10**400, -math.inf], "[null,null]"),
        ('\b\f\n\r\t\x00\x1f\x7f/"\\\u2028é', '"\\b\\f\\n\\r\\t\\u0000\\u001f\x7f/\\"\\\\\u2028é"'),
        ("\ud800", '"\\ud800"'),
        ("\udfff\ud800a", '"\\udfff\\ud800a"'),
        ("\ud83d\ude00", '"\U0001f600"'),
        ({"\udc00": "x"}, '{"\\udc00":"x"}'),
    ],
)
def test_texts(value: object, text: str) -> None:
    assert stringify(value) == text


def test_indents() -> None:
    value: object = {"a": [1, {"b": []}], "c": {}}
    assert stringify(value, 4) == json.dumps(value, indent=4)


def test_strings_of_values() -> None:
    assert [text_of(value) for value in (None, True, [1, [None, 2.5]], {"a": 1}, "x")] == [
        "null",
        "true",
        "1,,2.5",
        "[object Object]",
        "x",
    ]


def test_what_is_false() -> None:
    assert all(is_falsy(value) for value in (None, False, 0, -0.0, ""))
    truthy: list[object] = [[], {}, "0", True, 0.1, math.inf]
    assert not any(is_falsy(value) for value in truthy)


@pytest.mark.parametrize(
    "data", [b"", b"{bad", b"NaN", b"[1,]", b"\xef\xbb\xbf{}", b'{"a":1}x', b"[" * 100_000, b"'a'"]
)
def test_what_is_no_json(data: bytes) -> None:
    with pytest.raises(JsonError):
        parse(data)


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert parse(b'["\xff", 1e400, 123456789012345678901234567890]') == ["\ufffd", math.inf, 1.2345678901234568e29]


def test_depth_is_bounded() -> None:
    deepest = b"[" * DEPTH_LIMIT_COUNT + b"]" * DEPTH_LIMIT_COUNT
    assert stringify(parse(deepest)).encode() == deepest
    with pytest.raises(JsonError):
        parse(b"[" + deepest + b"]")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_read_back_as_it_was(number: float) -> None:
    assert float(number_text(number)) == number


@given(VALUES)
def test_what_is_written_can_be_read_and_stays_what_it_is(value: object) -> None:
    text = stringify(value)
    assert stringify(parse(text.encode())) == text
    assert stringify(json.loads(text)) == text
    assert json.loads(stringify(value, 4)) == json.loads(text)


@settings(max_examples=40)
@given(RECORDS)
def test_a_record_that_is_kept_is_the_same_record(sent: dict[str, object]) -> None:
    record = record_of(sent)
    kept = serialize(record)
    again = record_of(parse(kept))
    assert serialize(again) == kept
    assert metadata_hash(again) == metadata_hash(record)
    assert list(fields(again)) == list(fields(record))
    assert ("name" in fields(record), "content" in fields(record)) == ("name" in sent, "content" in sent)


@settings(max_examples=40)
@given(RECORDS, st.randoms(use_true_random=False))
def test_the_order_of_what_is_sent_at_the_top_does_not_count(sent: dict[str, object], random: object) -> None:
    shuffled = dict(sorted(sent.items(), key=lambda item: hash((item[0], random))))
    assert metadata_hash(record_of(shuffled)) == metadata_hash(record_of({**sent, "unknown": 1, "lastModified": 2}))


@given(st.lists(TEXTS))
def test_tags_are_in_the_order_of_their_units(tags: list[str]) -> None:
    sorted_tags = record_of({"tags": tags}).tags
    units = [str(tag).encode("utf-16-be", "surrogatepass") for tag in sorted_tags]
    assert units == sorted(units)
    assert sorted(sorted_tags, key=str) == sorted(tags)
