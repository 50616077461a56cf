"""What callers of the executor send, read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given as those
from hypothesis import strategies as st

from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.core.executor import Given
from jobdeck_server.core.executorworkers import Call
from jobdeck_server.dialects.webgme.executorbody import call, fields_of, given, leading_number
from jobdeck_server.settings import Settings

SETTINGS = Settings(data_dir=Path("/nonexistent"))
JSON = "application/json; charset=utf-8"
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "mime", "fields"),
    [
        (b"", JSON, {}),
        (b"", "", {}),
        (b'{"a":1}', JSON, {"a": 1}),
        (b'{"a":1}', "application/vnd.x+json", {"a": 1}),
        (b'[{"a":1}]', JSON, {}),
        (b"a=1&b=", FORM, {"a": "1", "b": ""}),
        (b"l[]=x&l[]=y&m[0]=z&n=1&n=2&n=3", FORM, {"l": ["x", "y"], "m": ["z"], "n": ["1", "2", "3"]}),
        (b"r[all]=x&r[log]=y&r=z", FORM, {"r": [{"all": "x", "log": "y"}, "z"]}),
        (b"o%5Bx%5D=%C3%A9+1", FORM, {"o": {"x": "\xe9 1"}}),
        (b'{"secret":"s"}', FORM, {"secret": "s"}),  # curl -d
        (b'{"secret":"s"}', "", {"secret": "s"}),
        (b"{not json", FORM, {"{not json": ""}),
        (b"{not json", "text/plain", {}),
        (b"whatever", "application/octet-stream", {}),
    ],
)
def test_bodies(body: bytes, mime: str, fields: dict[str, object]) -> None:
    assert fields_of(body, mime) == fields


@pytest.mark.parametrize("body", [b"{bad", b'"text"', b"1", b"null", b" ", b"{}{}", b"[" * 10_000])
def test_broken_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequestError):
        fields_of(body, JSON)


def test_a_form_of_too_many_fields_is_refused() -> None:
    with pytest.raises(BadRequestError):
        fields_of(b"&".join(b"a%d=1" % number for number in range(2000)), FORM)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, Given()),
        ({"status": None, "labels": [], "resultHashes": [], "startTime": "", "outputNumber": None}, Given()),
        ({"hash": "h", "secret": "s", "createTime": "c", "userId": ["u"], "unknown": 1}, Given()),
        ({"status": "SUCCESS", "resultHashes": {}}, Given(status="SUCCESS", results={})),
        ({"labels": ["a", "b", "a", "", None, 3]}, Given(labels=("a", "b", "3"))),
        ({"labels": "a"}, Given()),
        ({"resultSuperSetHash": "x"}, Given(super_set="x")),
        ({"resultSuperSet": "y", "resultSuperSetHash": "x"}, Given(super_set="y")),
        ({"outputNumber": 0}, Given(output_number=0)),
        ({"outputNumber": "12"}, Given(output_number=12)),
        ({"status": "half \ud83d a pair"}, Given(status="half \ufffd a pair")),
        ({"status": {"a": 1}, "worker": ["w"]}, Given()),
    ],
)
def test_what_is_said_of_a_job(fields: dict[str, object], wanted: Given) -> None:
    assert given(fields, SETTINGS) == wanted


@pytest.mark.parametrize("number", [True, "x", {}, [1], 2**60, float("inf"), float("nan")])
def test_a_number_that_is_none_is_refused(number: object) -> None:
    with pytest.raises(BadRequestError):
        given({"outputNumber": number}, SETTINGS)


def test_long_words_are_refused() -> None:
    many: dict[str, object] = {"labels": [str(number) for number in range(1000)]}
    for fields in ({"status": "x" * 5000}, {"labels": ["x" * 5000]}, {"worker": "\U0001f600" * 2000}, many):
        with pytest.raises(BadRequestError):
            given(fields, SETTINGS)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, Call(client_id="", user="ann")),
        (
            {"clientId": "w", "availableProcesses": 2, "labels": ["a"], "runningJobs": ["k", "k"]},
            Call(client_id="w", available_count=2, labels=("a",), running=frozenset({"k"}), user="ann"),
        ),
        ({"clientId": 7, "availableProcesses": "3"}, Call(client_id="7", available_count=3, user="ann")),
        ({"clientId": "w", "availableProcesses": -3}, Call(client_id="w", user="ann")),
        ({"clientId": "w", "availableProcesses": float("inf")}, Call(client_id="w", user="ann")),
        ({"clientId": "w", "availableProcesses": 1e300}, Call(client_id="w", available_count=256, user="ann")),
        ({"clientId": "w", "labels": "a", "runningJobs": {}}, Call(client_id="w", user="ann")),
    ],
)
def test_what_a_worker_says(fields: dict[str, object], wanted: Call) -> None:
    assert call(fields, user="ann", settings=SETTINGS) == wanted


def test_a_worker_that_says_too_much_is_refused() -> None:
    assert call({"runningJobs": ["k" * 600, "k"]}, user="ann", settings=SETTINGS).running == {"k"}
    with pytest.raises(BadRequestError):
        call({"runningJobs": ["k"] * 10_001}, user="ann", settings=SETTINGS)


def test_numbers_of_a_query_are_read_as_far_as_they_go() -> None:
    assert [leading_number(each) for each in ("", "x", "12", " 12ab", "-1", "+3", "9" * 30)] == [
        *(None, None, 12, 12, -1, 3, int("9" * 15))
    ]


@those(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.text(max_size=5) | st.floats(), st.lists).map(repr).map(str.encode),
    st.sampled_from([JSON, FORM, "", "text/plain"]),
)
def test_nothing_that_is_sent_does_harm(body: bytes, mime: str) -> None:
    try:
        fields = fields_of(body, mime)
        given(fields, SETTINGS)
        call(fields, user="u", settings=SETTINGS)
    except BadRequestError:
        pass
