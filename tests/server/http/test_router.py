from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_server.dialects.base import Dialect, Route
from jobdeck_server.http.errors import HttpError, MethodNotAllowedError, NotFoundError, PathError
from jobdeck_server.http.message import Request, Response, Role
from jobdeck_server.http.router import Match, Router, split


async def handler(request: Request) -> Response:
    return Response()


def dialect(name: str, segments: set[str], *routes: str) -> Dialect:
    return Dialect(
        name=name,
        segments=frozenset(segments),
        routes=tuple(
            Route(method=text.split()[0], pattern=text.split()[1], handler=handler, role=Role.VIEW, summary=text)
            for text in routes
        ),
        failure=lambda error: Response(status=599),
    )


ROUTER = Router(
    [
        dialect("native", {"v1"}, "GET /v1/jobs", "POST /v1/jobs", "GET /v1/jobs/{id}", "GET /v1/jobs/query/deep"),
        dialect("runner", {""}, "GET /", "GET /{id}/attach", "DELETE /{id}", "PUT /{key}/x/{key2}"),
        dialect("spark", {"jobs", "contexts"}, "GET /jobs", "OPTIONS /jobs/special", "GET /contexts/"),
        dialect("files", {"files"}, "GET /files/{id}", "GET /files/{id}/{path*}", "GET /files/{id}/size"),
    ]
)


def found(method: str, path: str) -> tuple[str, dict[str, str]]:
    match = ROUTER.match(method, path)
    assert match.route is not None
    return match.route.summary, dict(match.params)


@pytest.mark.parametrize(
    ("method", "path", "summary", "params"),
    [
        ("GET", "/", "GET /", {}),
        ("HEAD", "/", "GET /", {}),
        ("GET", "/v1/jobs", "GET /v1/jobs", {}),
        ("POST", "/v1/jobs", "POST /v1/jobs", {}),
        ("GET", "/v%31/%6Aobs", "GET /v1/jobs", {}),
        ("GET", "/v1/jobs/a%2Fb", "GET /v1/jobs/{id}", {"id": "a/b"}),
        ("GET", "/v1/jobs/%C3%A9%20+", "GET /v1/jobs/{id}", {"id": "é +"}),
        ("GET", "/v1/jobs/..", "GET /v1/jobs/{id}", {"id": ".."}),
        ("GET", "/v1/jobs/%00", "GET /v1/jobs/{id}", {"id": "\0"}),
        ("GET", "/v1/jobs/query", "GET /v1/jobs/{id}", {"id": "query"}),
        ("GET", "/v1/jobs/query/deep", "GET /v1/jobs/query/deep", {}),
        ("GET", "/abc/attach", "GET /{id}/attach", {"id": "abc"}),
        ("GET", "/files/a", "GET /files/{id}", {"id": "a"}),
        ("GET", "/files/a/", "GET /files/{id}/{path*}", {"id": "a", "path": ""}),
        ("GET", "/files/a/b", "GET /files/{id}/{path*}", {"id": "a", "path": "b"}),
        ("GET", "/files/a/b%2Fc//d/", "GET /files/{id}/{path*}", {"id": "a", "path": "b/c//d/"}),
        ("GET", "/files/a/size", "GET /files/{id}/size", {"id": "a"}),
        ("GET", "/files/a/size/x", "GET /files/{id}/{path*}", {"id": "a", "path": "size/x"}),
        ("DELETE", "/abc", "DELETE /{id}", {"id": "abc"}),
        ("PUT", "/a/x/b", "PUT /{key}/x/{key2}", {"key": "a", "key2": "b"}),
        ("OPTIONS", "/jobs/special", "OPTIONS /jobs/special", {}),
        ("GET", "/contexts/", "GET /contexts/", {}),
    ],
)
def test_match(method: str, path: str, summary: str, params: dict[str, str]) -> None:
    assert found(method, path) == (summary, params)


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/attach",
        "/v1/jobs/",
        "/v1/jobs//x",
        "//attach",
        "//",
        "/a/b",
        "/contexts",
        "/V1/jobs",
        "/v1/jobs/a/b",
    ],
)
def test_not_found(path: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        ROUTER.match("GET", path)
    assert caught.value.path == path
    assert str(caught.value) == "404 page not found"


def test_method_not_allowed_names_what_is() -> None:
    for method, path, allow in (
        ("PUT", "/v1/jobs", ("GET", "HEAD", "OPTIONS", "POST")),
        ("GET", "/abc", ("DELETE", "OPTIONS")),
        # a fixed first segment wins, though /{id} has this method
        ("DELETE", "/jobs", ("GET", "HEAD", "OPTIONS")),
        ("get", "/", ("GET", "HEAD", "OPTIONS")),
    ):
        with pytest.raises(MethodNotAllowedError) as caught:
            ROUTER.match(method, path)
        assert caught.value.allow == allow
        assert caught.value.headers == (("Allow", ", ".join(allow)),)


def test_options() -> None:
    for path, allow in (("/v1/jobs", "GET, HEAD, OPTIONS, POST"), ("*", "DELETE, GET, HEAD, OPTIONS, POST, PUT")):
        match = ROUTER.match("OPTIONS", path)
        assert match.route is None
        answer = match.answer()
        assert (answer.status, answer.headers) == (204, (("Allow", allow),))


FORGIVING = Router(
    [
        dialect("runner", {""}, "GET /", "DELETE /{id}"),
        replace(dialect("go", {"go"}, "POST /go", "OPTIONS /go"), forgiven=frozenset({"/go"})),
    ]
)


@pytest.mark.parametrize("path", ["/go/", "/GO", "/gO", "//go", "//Go//", "/%47o/"])
def test_a_path_that_is_written_in_another_way_is_sent_on(path: str) -> None:
    match = FORGIVING.match("POST", path)
    assert (match.dialect.name, match.route) == ("go", None)
    answer = match.answer()
    assert (answer.status, answer.headers, answer.body) == (307, (("Location", "/go"),), b"")


@pytest.mark.parametrize("path", ["/go/x", "/GO/x", "/g%2Fo", "/ go", "/gone", "//", "/x/../go"])
def test_another_path_is_not(path: str) -> None:
    with pytest.raises(HttpError):
        FORGIVING.match("POST", path)


def test_a_route_of_its_own_wins_and_other_methods_are_not_sent_on() -> None:
    match = FORGIVING.match("DELETE", "/GO")
    assert (match.dialect.name, match.params) == ("runner", {"id": "GO"})
    assert FORGIVING.match("POST", "/go").location is None
    for method in ("GET", "PUT", "OPTIONS"):
        with pytest.raises(NotFoundError):
            FORGIVING.match(method, "/go/")


@pytest.mark.parametrize("path", ["/%", "/a%2", "/%zz", "/%ff", "/%c0%af", "/v1/%ed%a0%80", "/%C3"])
def test_broken_encoding_is_400(path: str) -> None:
    with pytest.raises(PathError) as caught:
        ROUTER.match("GET", path)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "runner"),
        ("/v1/none", "native"),
        ("/v%31/none", "native"),
        ("/jobs", "spark"),
        ("/nothing/here", "runner"),
        ("/%ff", "runner"),
        ("*", "runner"),
        ("", "runner"),
    ],
)
def test_dialect_of(path: str, name: str) -> None:
    assert ROUTER.dialect_of(path).name == name


def test_dialect_of_what_nobody_claims_is_the_firsts() -> None:
    assert Router([dialect("a", {"x"}), dialect("b", {"y"})]).dialect_of("/z").name == "a"


@pytest.mark.parametrize(
    "tables",
    [
        [("a", {"x"}, "GET /x/{a}"), ("b", {"y"}, "GET /x/{b}")],
        [("a", {"x"}, "GET /x", "GET /x")],
        [("a", {"x"}), ("b", {"x"})],
        [("a", {"x"}, "GET x")],
        [("a", {"x"}, "GET /x/{a}/{a}")],
        [("a", {"x"}, "GET /x/{a*}/b")],
        [("a", {"x"}, "GET /x/{a*}"), ("b", {"y"}, "GET /x/{b*}")],
    ],
)
def test_two_claims_are_an_error_when_the_table_is_made(tables: list[Any]) -> None:
    with pytest.raises(ValueError):
        Router([dialect(name, segments, *routes) for name, segments, *routes in tables])


def test_routes_can_be_walked() -> None:
    walked = [(dialect.name, route.summary) for dialect, route in ROUTER.routes()]
    assert walked[0] == ("native", "GET /v1/jobs")
    assert len(walked) == 14


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60))
def test_any_path_is_matched_or_refused(text: str) -> None:
    path = "/" + text
    ROUTER.dialect_of(path)
    refused = 0
    try:
        assert isinstance(ROUTER.match("GET", path), Match)
    except HttpError as error:
        refused = error.status
    assert refused in (0, 400, 404, 405)


@given(st.lists(st.text(min_size=1), max_size=4))
def test_segments_come_back_as_they_were(segments: list[str]) -> None:
    from urllib.parse import quote

    try:
        path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    except UnicodeEncodeError:
        return
    assert split(path) == tuple(segments)
