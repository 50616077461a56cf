"""Routes, codes and texts of jobrunner: its own words where it has them, a better answer where it had a fault.

The section named in each test is that of the original's behaviour as it was seen on the wire: 1 the routes, 1.1 the
errors of ``POST /``, 1.2 all other errors. Where the original answered 500 to a bad request, we answer 400.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.program import Server
from tests.e2e.wire import Answer, ask, curl

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def post(server: Server, body: bytes | object, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ask(server.port, "POST", "/", data, {name.replace("_", "-"): value for name, value in headers.items()})


def accepted(server: Server, body: bytes | object, **headers: str) -> str:
    answer = post(server, body, **headers)
    assert answer.status == 200, answer.text
    return str(json.loads(answer.body)["ID"])


def refused(answer: Answer, status: int, text: str) -> None:
    """The original's way with errors: plain text and one line end (section 1)."""
    assert (answer.status, answer.text) == (status, text + "\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.whole


# -- section 1: routes --


def test_list_is_json_with_the_key_ids(jobrunner: Server) -> None:
    """Section 1, ``GET /``, with the content type that the original lacks."""
    answer = ask(jobrunner.port, "GET", "/")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert list(json.loads(answer.body)) == ["IDs"]


def test_list_holds_no_ended_job(jobrunner: Server) -> None:
    """Section 1, ``GET /``: running jobs only."""
    running, ended = jobrunner.submit("sleep 20"), jobrunner.submit("true")
    jobrunner.wait(ended)
    ids = json.loads(ask(jobrunner.port, "GET", "/").body)["IDs"]
    assert running in ids
    assert ended not in ids
    ask(jobrunner.port, "DELETE", f"/{running}")


def test_list_holds_jobs_of_every_dialect_by_uuid(jobrunner: Server) -> None:
    """``GET /`` lists each job accepted and not ended, whatever started it."""
    answer = ask(jobrunner.port, "POST", "/v1/jobs", b'{"argv":["sleep","20"]}')
    job_id = json.loads(answer.body)["id"]
    assert job_id in json.loads(ask(jobrunner.port, "GET", "/").body)["IDs"]
    ask(jobrunner.port, "DELETE", f"/{job_id}")
    assert jobrunner.wait(job_id)["signal"] == 9


def test_post_is_answered_200_with_a_random_uuid(jobrunner: Server) -> None:
    """Section 1, ``POST /``: 200, not 201."""
    answer = post(jobrunner, {"CommandLine": "true", "Environment": {}})
    assert answer.status == 200
    assert UUID.fullmatch(json.loads(answer.body)["ID"])
    assert not answer.body.endswith(b"\n")


def test_delete_is_answered_200_with_nothing(jobrunner: Server) -> None:
    """Section 1, ``DELETE /{ID}``: for running, ended and unknown ids alike."""
    job_id = jobrunner.submit("sleep 20")
    for name in (job_id, job_id, "nope"):
        answer = ask(jobrunner.port, "DELETE", f"/{name}")
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")


def test_no_debug_vars(jobrunner: Server) -> None:
    """Section 1, ``GET /debug/vars``, and section 7.10: it told everybody the command line and all addresses."""
    refused(ask(jobrunner.port, "GET", "/debug/vars"), 404, "404 page not found")


def test_a_job_by_itself_is_not_a_page(jobrunner: Server) -> None:
    """Section 1, ``GET /{ID}``: a stub of the original's that nobody documented."""
    answer = ask(jobrunner.port, "GET", f"/{jobrunner.submit('true')}")
    refused(answer, 405, "Method not allowed.")
    assert "DELETE" in answer.headers["allow"]


def test_connection_is_kept(jobrunner: Server) -> None:
    """Section 1: keep-alive works; with curl, two requests on one connection."""
    out = curl(
        "-w", "%{num_connects}", jobrunner.url + "/v1/info", "-o", "/dev/null", jobrunner.url + "/", "-o", "/dev/null"
    )
    assert out == b"10"


# -- section 1.1: errors of POST / --


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "EOF"),
        (b"  \r\n", "EOF"),
        ({}, "Missing CommandLine key."),
        (b"null", "Missing CommandLine key."),
        ({"Environment": {}}, "Missing CommandLine key."),
        ({"CommandLine": "", "Environment": {}}, "Missing CommandLine key."),
        ({"CommandLine": None, "Environment": {}}, "Missing CommandLine key."),
        (
            {"CommandLine": 5, "Environment": {}},
            "json: cannot unmarshal number into Go struct field StartMsg.CommandLine of type string",
        ),
        (
            {"CommandLine": True},
            "json: cannot unmarshal bool into Go struct field StartMsg.CommandLine of type string",
        ),
        (
            {"CommandLine": ["true"]},
            "json: cannot unmarshal array into Go struct field StartMsg.CommandLine of type string",
        ),
        (
            {"CommandLine": "true", "Environment": {"A": 1}},
            "json: cannot unmarshal number into Go struct field StartMsg.Environment of type string",
        ),
        (
            {"CommandLine": "true", "Environment": []},
            "json: cannot unmarshal array into Go struct field StartMsg.Environment of type map[string]string",
        ),
        (b"[]", "json: cannot unmarshal array into Go value of type main.StartMsg"),
        (b'"true"', "json: cannot unmarshal string into Go value of type main.StartMsg"),
        (b"5", "json: cannot unmarshal number into Go value of type main.StartMsg"),
    ],
)
def test_post_refuses_in_the_original_words(jobrunner: Server, body: bytes | object, text: str) -> None:
    """Section 1.1."""
    refused(post(jobrunner, body), 400, text)


@pytest.mark.parametrize(
    "body", [b"not json", b"{", b'{"CommandLine":"true"', b"{'CommandLine':'true'}", b"NaN", b"\xff\xfe"]
)
def test_post_refuses_what_is_no_json(jobrunner: Server, body: bytes) -> None:
    """Section 1.1, ``not json``: where the original shows its parser's words, we say where it went wrong."""
    answer = post(jobrunner, body)
    assert answer.text.startswith("invalid JSON")
    refused(answer, 400, answer.text.removesuffix("\n"))


def test_post_refuses_json_that_is_too_deep(jobrunner: Server) -> None:
    answer = post(jobrunner, b"[" * 100_000)
    assert answer.status == 400
    assert answer.text.startswith("invalid JSON")


@pytest.mark.parametrize("body", [{"CommandLine": "true"}, {"CommandLine": "true", "Environment": None}])
def test_environment_may_be_left_out(jobrunner: Server, body: object) -> None:
    """Section 1.1, ``Missing Environment key.``: the one refusal that we do not share."""
    assert jobrunner.wait(accepted(jobrunner, body))["state"] == "succeeded"


@pytest.mark.parametrize(
    "body",
    [
        {"commandline": "exit 7", "environment": {}},
        {"COMMANDLINE": "exit 7", "EnViRoNmEnT": {}},
        {"CommandLine": "exit 7", "Environment": {}, "Unknown": [1, {}], "Name": 5},
        b'{"CommandLine":"exit 7","Environment":{}} and whatever follows',
        b'{"CommandLine":"exit 7","Environment":{}}{"CommandLine":"exit 8"}',
        b'\r\n\t {"CommandLine":"exit 7"}',
        b'{"CommandLine":"exit 6","CommandLine":"exit 7"}',
    ],
)
def test_post_reads_json_as_the_original_does(jobrunner: Server, body: bytes | object) -> None:
    """Section 1.1: keys in any case; unknown keys and what follows the value are ignored; the later key counts."""
    assert jobrunner.wait(accepted(jobrunner, body))["exit_code"] == 7


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "image/png", "nonsense"])
def test_content_type_of_a_request_is_ignored(jobrunner: Server, kind: str) -> None:
    """Section 1.1."""
    assert jobrunner.wait(accepted(jobrunner, {"CommandLine": "exit 7"}, Content_Type=kind))["exit_code"] == 7


# -- section 1.2: other errors --


def test_attach_to_an_unknown_job(jobrunner: Server) -> None:
    """Section 1.2."""
    refused(ask(jobrunner.port, "GET", "/nope/attach"), 404, "Job nope not found.")


def test_attach_tells_a_name_as_it_was_meant(jobrunner: Server) -> None:
    """Section 1.2, with a name that is percent-encoded."""
    refused(ask(jobrunner.port, "GET", "/%C3%A4%20b/attach"), 404, "Job ä b not found.")


@pytest.mark.parametrize("path", ["/x/attach/", "/a/b/c", "//x", "/x/attached", "/x/", "/favicon.ico/y", "/%2F/x"])
def test_unknown_paths(jobrunner: Server, path: str) -> None:
    """Section 1.2. (``//x`` was redirected to ``/x`` by the original: the same job would have had two addresses.)"""
    refused(ask(jobrunner.port, "GET", path), 404, "404 page not found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/", "GET, HEAD, OPTIONS, POST"),
        ("PATCH", "/", "GET, HEAD, OPTIONS, POST"),
        ("TRACE", "/", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/x/attach", "GET, HEAD, OPTIONS"),
        ("DELETE", "/x/attach", "GET, HEAD, OPTIONS"),
        ("PUT", "/x", "DELETE, OPTIONS"),
        ("GET", "/x", "DELETE, OPTIONS"),
    ],
)
def test_wrong_methods(jobrunner: Server, method: str, path: str, allow: str) -> None:
    """Section 1.2 and 7.11: 404 in the original, 405 with Allow here."""
    answer = ask(jobrunner.port, method, path)
    refused(answer, 405, "Method not allowed.")
    assert answer.headers["allow"] == allow


def test_head_is_get_without_a_body(jobrunner: Server) -> None:
    """Section 1.2: 404 in the original."""
    answer = ask(jobrunner.port, "HEAD", "/")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) >= len('{"IDs":[]}')


def test_head_of_an_attach_does_not_follow(jobrunner: Server) -> None:
    job_id = jobrunner.submit("sleep 20")
    answer = ask(jobrunner.port, "HEAD", f"/{job_id}/attach")
    assert (answer.status, answer.body, answer.headers["jobdeck-offset"]) == (200, b"", "0")
    ask(jobrunner.port, "DELETE", f"/{job_id}")


def test_options_names_the_methods(jobrunner: Server) -> None:
    """Section 1.2: 404 in the original."""
    answer = ask(jobrunner.port, "OPTIONS", "/")
    assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert "access-control-allow-origin" not in answer.headers


def test_paths_of_other_apis_are_refused_in_their_words(jobrunner: Server) -> None:
    answer = ask(jobrunner.port, "GET", "/v1/nonsense")
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
