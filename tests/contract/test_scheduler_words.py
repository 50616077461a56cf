"""The scheduler's words without a server: any body at all, and each state that a job can be in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_protocol.job import ENDED, Job, JobState
from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.core.programs import quoted
from jobdeck_server.dialects.scheduler import answer, error_text, failure, strings
from jobdeck_server.http.message import Response

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["worker_id", "WORKER_ID", "command", "Command", "path", "PATH", "job_id", "wor\u212aer_id", "x"]
)
BODIES = (
    st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(KEYS, st.text() | JSON).map(lambda value: json.dumps(value).encode())
)


def line(response: Response) -> dict[str, object]:
    """The JSON of an answer, which is one line."""
    assert isinstance(response.body, bytes)
    assert response.body.count(b"\n") == 1
    assert response.body.endswith(b"\n")
    told: dict[str, object] = json.loads(response.body)
    return told


@settings(max_examples=60, deadline=None)
@given(BODIES)
def test_any_body_is_understood_or_refused_with_words(body: bytes) -> None:
    try:
        found = strings(body, "apiStartJobReq", "command", "path", "worker_id")
    except BadRequestError as error:
        response = failure(error)
        assert response.status == 500
        assert line(response)["error"]
        return
    assert len(found) == 3
    assert all(isinstance(each, str) for each in found)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["worker_id", "command", "path"]), st.text()))
def test_what_is_sent_is_what_is_read(fields: dict[str, str]) -> None:
    found = strings(json.dumps(fields).encode(), "apiStartJobReq", "worker_id", "command", "path")
    assert found == [fields.get(name, "") for name in ("worker_id", "command", "path")]


@settings(deadline=None)
@given(st.text())
def test_any_text_can_be_told(text: str) -> None:
    for told in (text, quoted(text), quoted(text.encode("utf-8", "replace").decode("utf-8", "surrogateescape"))):
        response = answer({"error": told})
        assert list(line(response)) == ["error"]
        assert isinstance(response.body, bytes)
        assert not {b"<", b">", b"&"} & {response.body[at : at + 1] for at in range(len(response.body))}


def test_keys_that_differ_in_case_alone() -> None:
    """As Go has it: the later counts, null changes nothing, and letters that look alike are alike."""
    assert strings(b'{"path":"a","PATH":"b"}', "x", "path") == ["b"]
    assert strings(b'{"path":"a","PATH":null}', "x", "path") == ["a"]
    assert strings('{"wor\u212aer_id":"w"}'.encode(), "x", "worker_id") == ["w"]


def job(state: JobState, **changes: object) -> Job:
    return Job(id="x", dialect="scheduler", state=state, **changes)  # type: ignore[arg-type]  # a test's own


@pytest.mark.parametrize("state", [state for state in JobState if state not in ENDED])
def test_what_has_not_ended(state: JobState) -> None:
    assert error_text(job(state, stop_requested=True)) is None


@pytest.mark.parametrize(
    ("ended", "text"),
    [
        (job(JobState.SUCCEEDED, exit_code=0), ""),
        (job(JobState.FAILED, exit_code=7, error="exit code 7"), "exit status 7"),
        (job(JobState.FAILED, signal=15, error="ended by SIGTERM"), "signal: terminated"),
        (job(JobState.FAILED, signal=11, core_dumped=True), "signal: segmentation fault (core dumped)"),
        (job(JobState.FAILED, signal=64), "signal: signal 64"),
        (job(JobState.FAILED, error="working directory /x: gone"), "working directory /x: gone"),
        (job(JobState.FAILED), "failed"),
        (job(JobState.STOPPED, signal=9), "signal: killed"),
        (job(JobState.STOPPED, exit_code=0), ""),  # it had ended well before the stop came to it
        (job(JobState.STOPPED, exit_code=3), "exit status 3"),
        (job(JobState.STOPPED), "signal: killed"),  # it was never started
        (job(JobState.LOST, error="the machine was restarted while it ran"), "lost: the machine was restarted while"),
        (job(JobState.LOST), "lost"),
    ],
)
def test_how_each_end_is_told(ended: Job, text: str) -> None:
    told = error_text(ended)
    assert told is not None
    assert told == text or (text and told.startswith(text))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a b", '"a b"'),
        ('"\\', '"\\"\\\\"'),
        ("\n\t\0\x7f", '"\\n\\t\\x00\\x7f"'),
        ("é漢", '"é漢"'),
        ("\udcff", '"\\xff"'),
        ("\u200b", '"\\u200b"'),
        ("\U000e0001", '"\\U000e0001"'),
    ],
)
def test_quotes_are_those_of_go(text: str, wanted: str) -> None:
    assert quoted(text) == wanted
