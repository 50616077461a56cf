"""The examples of jobrunner's README ("HTTP+JSON API"), and of exchanges with the original, byte for byte.

The README prints JSON with line breaks for its readers; on the wire the original sends it without blanks and without a
line end, as the exchanges under tests/data/jobrunner show, and so do we.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from tests.e2e.program import Server
from tests.e2e.wire import ask, curl, parse

QUOTES = Path(__file__).parent.parent / "data" / "jobrunner"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
DATE = re.compile(r"\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT(?=\r\n)")


def shape(value: object) -> object:
    """A JSON value with its words replaced by their kind."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "uuid" if re.fullmatch(UUID, str(value)) else type(value).__name__


def quoted(name: str) -> bytes:
    return (QUOTES / name).read_bytes()


def dateless(head: bytes) -> str:
    text, count = DATE.subn("", head.decode())
    assert count == 1, head
    return text


def ends(jobrunner: Server, *job_ids: str) -> None:
    for job_id in job_ids:
        assert ask(jobrunner.port, "DELETE", f"/{job_id}").status == 200


def test_get_lists_the_ids_of_running_jobs(jobrunner: Server) -> None:
    """README, "GET /"."""
    mine = [jobrunner.submit("sleep 30") for _ in range(3)]
    listed = json.loads(curl(jobrunner.url + "/"))
    assert shape(listed) == shape(json.loads(quoted("list.json")))
    assert set(mine) <= set(listed["IDs"])
    ends(jobrunner, *mine)


def test_post_takes_the_readme_body_as_it_is_printed(jobrunner: Server) -> None:
    """README, "POST /": the body with its own blanks, its command filled in, its variable set."""
    body = quoted("submit.json").replace(b"<bash command to run>", b"echo $ENV_VAR")
    answer = curl("-X", "POST", "--data-binary", "@-", jobrunner.url + "/", stdin=body)
    job_id = json.loads(answer)["ID"]
    assert shape(json.loads(answer)) == shape(json.loads(quoted("accepted.json")))
    assert curl(f"{jobrunner.url}/{job_id}/attach") == b"setting\n"


def test_post_answers_the_id_alone_to_the_byte(jobrunner: Server) -> None:
    """README, "POST /": the return value."""
    raw = curl("-i", "-d", '{"CommandLine":"true","Environment":{}}', jobrunner.url + "/")
    head, _, body = raw.partition(b"\r\n\r\n")
    assert dateless(head) == "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 45"
    assert re.fullmatch(rf'{{"ID":"{UUID}"}}', body.decode())


def test_attach_answers_stdout_and_stderr_in_chunks_to_the_byte(jobrunner: Server) -> None:
    """README, "GET /:ID/attach": "a chunked response of the output from stdout/stderr"."""
    job_id = jobrunner.submit("echo out; echo err >&2; echo out again")
    jobrunner.wait(job_id)
    head, _, body = curl("-i", "--raw", f"{jobrunner.url}/{job_id}/attach").partition(b"\r\n\r\n")
    assert dateless(head).split("\r\n") == [
        "HTTP/1.1 200 OK",
        "Content-Type: text/plain",
        "X-Content-Type-Options: nosniff",
        "Cache-Control: no-store",
        "Jobdeck-Offset: 0",
        "Transfer-Encoding: chunked",
    ]
    assert body == b"12\r\nout\nerr\nout again\n\r\n0\r\n\r\n"


def test_delete_kills_a_running_job(jobrunner: Server) -> None:
    """README, "DELETE /:ID": "Kills a running job"."""
    job_id = jobrunner.submit("sleep 30")
    raw = curl("-i", "-X", "DELETE", f"{jobrunner.url}/{job_id}")
    assert dateless(raw.removesuffix(b"\r\n\r\n")) == "HTTP/1.1 200 OK\r\nContent-Length: 0"
    assert (jobrunner.wait(job_id)["state"], jobrunner.job(job_id)["signal"]) == ("stopped", 9)


@pytest.mark.parametrize("name", ["nope", "09eb8270-0c98-4213-854e-042dc0745dd3", "%F0%9F%90%8C", "a%2Fb"])
def test_delete_only_answers_200(jobrunner: Server, name: str) -> None:
    """README, "DELETE /:ID": "Only returns a 200 status, even if the job doesn't exist"."""
    raw = curl("-i", "-X", "DELETE", f"{jobrunner.url}/{name}")
    assert dateless(raw.removesuffix(b"\r\n\r\n")) == "HTTP/1.1 200 OK\r\nContent-Length: 0"


def test_exchange_of_a_job_from_start_to_end(jobrunner: Server) -> None:
    """An exchange with the original: submit, list, list again after the end."""
    assert ends_in(jobrunner, limit_s=10) == b'{"IDs":[]}'
    answer = curl("-d", '{"CommandLine":"sleep 1; echo hi","Environment":{}}', jobrunner.url + "/")
    job_id = json.loads(answer)["ID"]
    assert curl(jobrunner.url + "/") == f'{{"IDs":["{job_id}"]}}'.encode()
    assert curl(f"{jobrunner.url}/{job_id}/attach") == b"hi\n"
    assert ends_in(jobrunner, limit_s=5) == b'{"IDs":[]}'


def ends_in(jobrunner: Server, limit_s: float) -> bytes:
    """The list, once no job of this or an earlier test is in it."""
    limit = time.monotonic() + limit_s
    while (body := curl(jobrunner.url + "/")) != b'{"IDs":[]}' and time.monotonic() < limit:
        time.sleep(0.02)
    return body


def test_exchange_of_a_body_without_environment(jobrunner: Server) -> None:
    """An exchange with the original, which refused it; the README does not say that it is needed, so it is not."""
    job_id = json.loads(curl("-d", '{"CommandLine":"true"}', jobrunner.url + "/"))["ID"]
    assert jobrunner.wait(job_id)["exit_code"] == 0


def test_exchange_of_an_attach_to_nothing(jobrunner: Server) -> None:
    """An exchange with the original: 404 and its words."""
    answer = parse(curl("-i", jobrunner.url + "/nope/attach"))
    assert (answer.status, answer.text) == (404, "Job nope not found.\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_exchange_of_an_attach_in_the_middle(jobrunner: Server) -> None:
    """An exchange with the original, which lost the first and the last lines and never ended properly."""
    job_id = jobrunner.submit("seq 1 2000; sleep 0.7; seq 2001 4000; sleep 0.3; echo end")
    time.sleep(0.3)
    raw = curl("-i", "--raw", f"{jobrunner.url}/{job_id}/attach")
    answer = parse(raw)
    assert answer.body == b"".join(b"%d\n" % n for n in range(1, 4001)) + b"end\n"
    assert answer.whole
    assert raw.endswith(b"\r\n0\r\n\r\n")
