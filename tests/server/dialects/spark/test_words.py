"""How the API of Spark JobServer asks and answers: arguments, times, envelopes, refusals."""

from __future__ import annotations

import json
from datetime import UTC, timedelta, timezone

import pytest

from jobdeck_server.core import errors
from jobdeck_server.dialects.base import Dialect
from jobdeck_server.dialects.spark import envelope, times
from jobdeck_server.dialects.spark.binaries import media_type_of, takes_json
from jobdeck_server.dialects.spark.failure import failure
from jobdeck_server.dialects.spark.query import METHOD, MalformedError, MissingError, Query
from jobdeck_server.http.errors import (
    BodyTooLargeError,
    InternalError,
    MethodNotAllowedError,
    NotFoundError,
    PathError,
    RequestTimeoutError,
)
from jobdeck_server.http.message import Request, Response


def request(query: str = "", method: str = "GET", **headers: str) -> Request:
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Request(method=method, path="/jobs", query=query, headers=fields, body=None)  # type: ignore[arg-type]  # no body is read


def told(answer: Response) -> object:
    assert dict(answer.headers)["Content-Type"] == "application/json"
    assert isinstance(answer.body, bytes)
    return json.loads(answer.body)


@pytest.mark.parametrize("text", ["true", "TRUE", "Yes", "on", "1", "oN"])
def test_a_flag_that_is_set(text: str) -> None:
    assert Query(request(f"sync={text}")).flag("sync", default=False)


@pytest.mark.parametrize("text", ["false", "False", "NO", "off", "0"])
def test_a_flag_that_is_not_set(text: str) -> None:
    assert not Query(request(f"sync={text}")).flag("sync", default=True)


@pytest.mark.parametrize("text", ["", "2", "y", "wahr", "truee", "%00"])
def test_a_flag_that_is_none(text: str) -> None:
    with pytest.raises(MalformedError) as caught:
        Query(request(f"sync={text}")).flag("sync", default=True)
    assert str(caught.value).startswith("The query parameter 'sync' was malformed:\n")


@pytest.mark.parametrize(
    ("text", "number"), [("7", 7), ("-1", -1), ("007", 7), ("2147483647", 2**31 - 1), ("-2147483648", -(2**31))]
)
def test_numbers(text: str, number: int) -> None:
    assert Query(request(f"limit={text}")).number("limit", default=50) == number


@pytest.mark.parametrize("text", ["", "abc", "1.5", "1e3", "2147483648", "-2147483649", "9" * 5000, "٣", " 1", "0x1"])
def test_numbers_that_are_none(text: str) -> None:
    with pytest.raises(MalformedError):
        Query(request(f"limit={text}")).number("limit", default=50)


def test_what_is_missing_has_its_default() -> None:
    query = Query(request("a=&b=x"))
    assert (query.flag("sync", default=True), query.number("limit", default=50)) == (True, 50)
    assert (query.text("nothing"), query.text("a"), query.text("b")) == (None, None, "x")
    assert query.needed("a") == ""
    with pytest.raises(MissingError):
        query.needed("reset")


def test_too_many_arguments() -> None:
    with pytest.raises(errors.BadRequestError):
        Query(request("&".join(f"a{n}=1" for n in range(101))))


def test_the_argument_for_the_method_is_no_setting() -> None:
    assert Query(request("_method=PUT&num-cpu-cores=2")).all() == {"num-cpu-cores": "2"}


@pytest.mark.parametrize(
    ("query", "method"),
    [
        ("_method=DELETE", "DELETE"),
        ("x=1&_method=delete&y", "DELETE"),
        ("_method=%50ut", "PUT"),
        ("_method=", "POST"),
        ("_METHOD=DELETE", "POST"),
        ("", "POST"),
    ],
)
def test_a_query_may_name_the_method(query: str, method: str) -> None:
    ours = Dialect(name="x", segments=frozenset(), routes=(), failure=failure, method_argument=METHOD)
    others = Dialect(name="y", segments=frozenset(), routes=(), failure=failure)
    assert ours.meant(request(query, "POST")).method == method
    assert others.meant(request(query, "POST")).method == "POST"


def test_times() -> None:
    us = 1466333832196999
    assert times.server_time(us, timezone(timedelta(hours=5, minutes=30))) == "2016-06-19T16:27:12.196+05:30"
    assert times.server_time(us, timezone(-timedelta(hours=3, minutes=30))) == "2016-06-19T07:27:12.196-03:30"
    assert times.server_time(us, UTC) == times.utc_time(us) == "2016-06-19T10:57:12.196Z"
    assert times.utc_time(1369785600000000) == "2013-05-29T00:00:00.000Z"


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0.0"),
        (999, "0.0"),
        (512_000, "0.512"),
        (1_000, "0.001"),
        (300_000_000, "300.0"),
        (1_327_999, "1.327"),
        (9_999_999_999_000, "9999999.999"),
        (10_000_000_000_000, "1.0E7"),
        (12_345_678_901_000, "1.2345678901E7"),
        (-5, "0.0"),
    ],
)
def test_durations(us: int, text: str) -> None:
    assert times.duration(1000, 1000 + us) == f"{text} secs"


def test_a_duration_before_the_end() -> None:
    assert times.duration(1000, None) == "Job not done yet"


def test_envelopes() -> None:
    assert envelope.success().body == b'{"status":"SUCCESS"}'
    assert envelope.success("Context stopped").body == b'{"status":"SUCCESS","result":"Context stopped"}'
    assert envelope.refusal(404, "Käse fehlt").body == '{"status":"ERROR","result":"Käse fehlt"}'.encode()
    exception = envelope.exception("no", "a.B")
    assert envelope.failed(500, exception, label="X").body == (
        b'{"status":"X","result":{"message":"no","errorClass":"a.B","stack":"a.B: no"}}'
    )
    assert envelope.exception(None, "a.B")["stack"] == "a.B"
    assert envelope.text_of("\udc80") == b'"?"'


def test_what_http_refuses_is_plain_text() -> None:
    for error, status, text in (
        (NotFoundError("/jobs/x/y"), 404, "The requested resource could not be found."),
        (MethodNotAllowedError("/jobs", ("GET", "POST")), 405, "HTTP method not allowed, supported methods: GET, POST"),
        (MalformedError("limit", "why"), 400, "The query parameter 'limit' was malformed:\nwhy"),
        (MissingError("reset"), 404, "Request is missing required query parameter 'reset'"),
        (PathError("The path is not UTF-8."), 400, "The path is not UTF-8."),
        (RequestTimeoutError("slow"), 408, "slow"),
    ):
        answer = failure(error)
        assert (answer.status, answer.body) == (status, text.encode())
        assert dict(answer.headers)["Content-Type"] == "text/plain; charset=UTF-8"


def test_all_else_is_an_envelope() -> None:
    for error, status, text in (
        (BodyTooLargeError(5), 413, "The body is over the limit of 5 bytes."),
        (errors.TooLargeError("It", 5), 413, "It is over the limit of 5 bytes."),
        (errors.UnknownJobError("x"), 404, "No such job ID x"),
        (errors.UnauthorizedError(), 401, "A token is needed."),
        (InternalError(), 500, "Internal server error."),
        (RuntimeError("secret"), 500, "Internal server error."),
    ):
        answer = failure(error)
        assert (answer.status, told(answer)) == (status, {"status": "ERROR", "result": text})
    assert "WWW-Authenticate" in dict(failure(errors.UnauthorizedError()).headers)


def test_what_a_body_is_said_to_be() -> None:
    assert media_type_of(request()) == "application/octet-stream"
    assert media_type_of(request(content_type="Application/Python-Wheel; charset=x")) == "application/python-wheel"
    assert media_type_of(request(content_type=" ;")) == "application/octet-stream"


@pytest.mark.parametrize(
    ("accept", "takes"),
    [
        ("*/*", False),
        ("application/json", True),
        ("text/html, Application/JSON;q=0.5", True),
        ("application/json;q=0", False),
        ("application/json; q=0.000, text/plain", False),
        ("application/*", False),
        ("", False),
    ],
)
def test_who_takes_json(accept: str, takes: bool) -> None:
    assert takes_json(request(accept=accept)) is takes
    assert not takes_json(request())
