"""The scheduler's API beyond its examples: what of the original was seen on the wire, table by table.

The section named in each test is that of the original's behaviour: 2 the routes and 2.1 their errors, 2.2 its router,
3 what a job is, 3.1 how it is told, 3.2 a stop. Where the original's words begin with those of its inner hop (``rpc
error: code = Unknown desc = ``) we leave these away; words for JSON that is none are our own.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.contract.scheduling import WORDS, Deck, write_scripts
from tests.e2e.program import server
from tests.e2e.wire import Answer, ask, curl


def raw(deck: Deck, route: str, body: bytes) -> Answer:
    return ask(deck.port, "POST", route, body)


def refused(answer: Answer, text: str) -> None:
    """Every refusal is 500 with one field and a line end."""
    assert (answer.status, answer.text) == (500, json.dumps({"error": text}, separators=(",", ":")) + "\n")
    assert (answer.headers["content-type"], answer.whole) == ("application/json", True)


# -- section 2: bodies --


def test_keys_match_in_any_case_and_others_are_ignored(deck: Deck) -> None:
    body = {"WORKER_ID": deck.worker_id, "Command": "bash", "pAtH": "exit42.sh", "paths": [1], "x": None}
    answer = raw(deck, "/start", json.dumps(body).encode())
    assert answer.status == 201
    assert deck.end(json.loads(answer.body)["job_id"]) == '{"done":true,"error":true,"error_text":"exit status 42"}\n'


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_content_type_of_a_request_is_ignored(deck: Deck, kind: str) -> None:
    body = json.dumps({"worker_id": deck.worker_id, "job_id": "x"}).encode()
    refused(ask(deck.port, "POST", "/query", body, {"Content-Type": kind}), "job not found")


# -- section 2.1: errors --


@pytest.mark.parametrize("route", ["/start", "/stop", "/query"])
@pytest.mark.parametrize("body", [b"{}", b"null", b'{"worker_id":""}', b'{"worker_id":null}', b'{"worker_id":"nope"}'])
def test_an_unknown_worker_is_told_first(deck: Deck, route: str, body: bytes) -> None:
    refused(raw(deck, route, body), "worker not found")


@pytest.mark.parametrize("route", ["/stop", "/query"])
@pytest.mark.parametrize("job_id", ["", "x", "4c5ced1c-5ea9-40f8-90ce-63d09cea26f6", "4C5CED1C", "\ud800", "\0", "'"])
def test_an_unknown_job(deck: Deck, route: str, job_id: str) -> None:
    refused(deck.call(route, job_id=job_id), "job not found")


def test_a_job_of_another_api_is_unknown(deck: Deck) -> None:
    """Its own jobs alone: what others have started, it can neither see nor stop."""
    job_id = deck.server.submit("sleep 60")
    refused(deck.call("/query", job_id=job_id), "job not found")
    refused(deck.call("/stop", job_id=job_id), "job not found")
    assert deck.server.job(job_id)["state"] in ("starting", "running")
    ask(deck.port, "DELETE", f"/{job_id}")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "exec: no command"),
        ({"command": "", "path": "exit0.sh"}, "exec: no command"),
        ({"command": "no-such-cmd", "path": ""}, 'exec: "no-such-cmd": executable file not found in $PATH'),
        ({"command": "ls -l"}, 'exec: "ls -l": executable file not found in $PATH'),
        ({"command": 'a"b\\'}, 'exec: "a\\"b\\\\": executable file not found in $PATH'),
        ({"command": "run.sh"}, 'exec: "run.sh": executable file not found in $PATH'),
        ({"command": ".."}, 'exec: "..": executable file not found in $PATH'),
        ({"command": "a\0b"}, 'exec: "a\\x00b": executable file not found in $PATH'),
        ({"command": "\udcff"}, 'exec: "\\xff": executable file not found in $PATH'),
        ({"command": "/etc/passwd"}, "fork/exec /etc/passwd: permission denied"),
        ({"command": "./plain.txt"}, "fork/exec ./plain.txt: permission denied"),
        ({"command": "/tmp"}, "fork/exec /tmp: permission denied"),
        ({"command": "./nope"}, "fork/exec ./nope: no such file or directory"),
        ({"command": "/etc/passwd/x"}, "fork/exec /etc/passwd/x: not a directory"),
        ({"command": "bash", "path": "a\0b"}, "A NUL character stands in argv."),
        ({"command": "bash", "path": "x" * 131072}, "A part of argv is over the limit of 131071 bytes."),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value)[:40],
)
def test_what_cannot_be_run_is_refused_at_once(deck: Deck, fields: dict[str, str], text: str) -> None:
    refused(deck.call("/start", **fields), text)


def test_text_is_told_as_go_writes_it(deck: Deck) -> None:
    told = b'{"error":"exec: \\"\\u003ci\\u003e\\u0026 \xc3\xa9\\": executable file not found in $PATH"}\n'
    assert deck.call("/start", command="<i>& é").body == told


@pytest.mark.parametrize(
    ("route", "body", "text"),
    [
        ("/start", b"", "unexpected end of JSON input"),
        ("/query", b" \r\n", "unexpected end of JSON input"),
        (
            "/start",
            b'{"command":[],"worker_id":5}',
            "json: cannot unmarshal array into Go struct field apiStartJobReq.command of type string",
        ),
        (
            "/start",
            b'{"worker_id":5,"command":[]}',
            "json: cannot unmarshal number into Go struct field apiStartJobReq.worker_id of type string",
        ),
        (
            "/stop",
            b'{"job_id":true}',
            "json: cannot unmarshal bool into Go struct field apiStopJobReq.job_id of type string",
        ),
        (
            "/query",
            b'{"JOB_ID":{}}',
            "json: cannot unmarshal object into Go struct field apiQueryJobReq.job_id of type string",
        ),
        ("/start", b"[]", "json: cannot unmarshal array into Go value of type main.apiStartJobReq"),
        ("/stop", b"5", "json: cannot unmarshal number into Go value of type main.apiStopJobReq"),
        ("/query", b'"x"', "json: cannot unmarshal string into Go value of type main.apiQueryJobReq"),
    ],
)
def test_bodies_that_do_not_fit(deck: Deck, route: str, body: bytes, text: str) -> None:
    refused(raw(deck, route, body), text)


@pytest.mark.parametrize("body", [b"not json", b"{", b"{} trailing", b"{}{}", b"\xff\xfe", b"NaN", b"[" * 100_000])
def test_bodies_that_are_no_json(deck: Deck, body: bytes) -> None:
    """The words are ours."""
    answer = raw(deck, "/query", body)
    refused(answer, json.loads(answer.body)["error"])
    assert answer.text.startswith('{"error":"invalid JSON')


def test_pages_of_others_are_refused(deck: Deck) -> None:
    """Not the original's: a page in a browser cannot start anything."""
    answer = ask(deck.port, "POST", "/start", b"{}", {"Origin": "https://evil.example"})
    assert (answer.status, answer.headers["content-type"]) == (403, "application/json")
    assert list(json.loads(answer.body)) == ["error"]


# -- section 2.2: the router --


@pytest.mark.parametrize("route", ["/start", "/stop", "/query"])
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE", "PATCH"])
def test_other_methods(deck: Deck, method: str, route: str) -> None:
    answer = ask(deck.port, method, route)
    assert (answer.status, answer.headers["allow"]) == (405, "OPTIONS, POST")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text == ("" if method == "HEAD" else "Method Not Allowed\n")


@pytest.mark.parametrize("route", ["/start", "/stop", "/query"])
def test_options(deck: Deck, route: str) -> None:
    answer = ask(deck.port, "OPTIONS", route)
    assert (answer.status, answer.headers["allow"], answer.body) == (200, "OPTIONS, POST", b"")


@pytest.mark.parametrize("path", ["/start/x", "/query/x/y", "/workers", "/workers/list/", "/stop/attach"])
def test_unknown_paths(deck: Deck, path: str) -> None:
    answer = ask(deck.port, "POST", path)
    assert (answer.status, answer.text) == (404, "404 page not found\n")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("path", "location"),
    [("/start/", "/start"), ("/START", "/start"), ("//start", "/start"), ("/Stop/", "/stop"), ("//QUERY//", "/query")],
)
def test_paths_written_in_another_way_are_sent_on(deck: Deck, path: str, location: str) -> None:
    answer = ask(deck.port, "POST", path, b'{"worker_id":"x"}')
    assert (answer.status, answer.headers["location"], answer.body) == (307, location, b"")


def test_a_client_that_is_sent_on_repeats_its_request(deck: Deck) -> None:
    told = curl("-L", "-d", json.dumps({"worker_id": deck.worker_id}), deck.url + "/START/")
    assert told == b'{"error":"exec: no command"}\n'


# -- section 3: what a job is --


def test_the_path_is_one_argument_whatever_it_holds(deck: Deck) -> None:
    for path in ("", "two words", "$HOME; *", "é\udcff", "-x", "a\nb"):
        job_id = deck.start("./run.sh", path)
        output = deck.server.attach(job_id)
        assert output == b"[%s] 1\n%s\n" % (os.fsencode(path), os.fsencode(deck.scripts.resolve()))
        assert deck.end(job_id) == '{"done":true,"error":false,"error_text":""}\n'
        (step,) = deck.server.job(job_id)["steps"]
        assert (step["command_line"], step["cwd"]) == (None, str(deck.scripts))


def test_a_missing_path_is_an_empty_argument(deck: Deck) -> None:
    answer = deck.call("/start", command="bash")
    job_id = json.loads(answer.body)["job_id"]
    assert deck.end(job_id) == '{"done":true,"error":true,"error_text":"exit status 127"}\n'
    assert deck.server.job(job_id)["steps"][0]["argv"] == ["bash", ""]


def test_the_environment_is_small_and_has_no_secrets(deck: Deck) -> None:
    """Section 3: the original gave jobs all of its own."""
    job_id = deck.start("bash", "env.sh")
    pairs = deck.server.attach(job_id).decode().split("\0")[:-1]
    env = dict(pair.split("=", 1) for pair in pairs)
    assert env.pop("JOBDECK_JOB_ID") == job_id
    assert {"PATH", "HOME", "LANG", "USER", "TMPDIR"} <= set(env)
    assert set(env) <= {"PATH", "HOME", "LANG", "USER", "TMPDIR", "PWD", "SHLVL", "_", "OLDPWD"}


def test_standard_input_is_empty(deck: Deck) -> None:
    assert deck.server.attach(deck.start("bash", "stdin.sh")) == b"/dev/null\n0\n"


def test_both_streams_are_kept_and_told_apart(deck: Deck) -> None:
    """Section 3: the original lost stderr and served neither."""
    job_id = deck.start("bash", "both.sh")
    assert deck.server.attach(job_id) == b"out\nerr\n"
    assert deck.server.attach(job_id, "?stream=stderr") == b"err\n"


def test_the_record_names_api_and_worker(deck: Deck) -> None:
    job_id = deck.start("bash", "sleep.sh")
    job = deck.server.job(job_id)
    assert (job["dialect"], job["worker"], job["key"]) == ("scheduler", deck.worker_id, None)
    assert job_id in json.loads(ask(deck.port, "GET", "/").body)["IDs"]
    deck.call("/stop", job_id=job_id)
    deck.end(job_id)


def test_it_can_be_run_again_by_the_native_api(deck: Deck) -> None:
    former = deck.start("bash", "env.sh")
    again = json.loads(ask(deck.port, "POST", f"/v1/jobs/{former}/rerun").body)
    assert (again["rerun_of"], again["worker"]) == (former, deck.worker_id)
    assert deck.end(again["id"]) == '{"done":true,"error":false,"error_text":""}\n'
    assert b"JOBDECK_JOB_ID=" + again["id"].encode() in deck.server.attach(again["id"]).split(b"\0")


# -- sections 3.1 and 3.2: how it is told, and ended --


@pytest.mark.parametrize(
    ("path", "error", "text"),
    [
        ("exit0.sh", False, ""),
        ("exit1.sh", True, "exit status 1"),
        ("exit42.sh", True, "exit status 42"),
        ("nofile.sh", True, "exit status 127"),
    ],
)
def test_how_an_exit_is_told(deck: Deck, path: str, error: bool, text: str) -> None:
    told = deck.end(deck.start("bash", path))
    assert told == json.dumps({"done": True, "error": error, "error_text": text}, separators=(",", ":")) + "\n"


def test_a_program_that_turns_out_not_to_start(deck: Deck) -> None:
    """The original refused it; here it is accepted, since only the kernel can tell, and fails with its reason."""
    told = json.loads(deck.end(deck.start("./lost.sh", "")))
    assert told == {"done": True, "error": True, "error_text": "./lost.sh: its interpreter was not found"}


def test_how_signals_are_told(deck: Deck) -> None:
    started = [(number, deck.start("bash", f"die{number}.sh")) for number in WORDS]
    told = {number: json.loads(deck.end(job_id)) for number, job_id in started}
    assert told == {
        number: {"done": True, "error": True, "error_text": f"signal: {word}"} for number, word in WORDS.items()
    }


def test_a_memory_image_is_told(deck: Deck) -> None:
    """Whether the kernel leaves one is the machine's affair; what is told is what it said."""
    job_id = deck.start("bash", "core.sh")
    told = json.loads(deck.end(job_id))["error_text"]
    core = " (core dumped)" if deck.server.job(job_id)["core_dumped"] else ""
    assert told == "signal: segmentation fault" + core


def test_a_stop_ends_all_that_the_job_started(deck: Deck) -> None:
    """Section 3.2: the original killed the started process alone, and left its children."""
    job_id = deck.start("bash", "family.sh")
    pids = [int(line) for line in deck.output(job_id, b"up\n").split()[:-1]]
    assert len(pids) == 3
    assert deck.call("/stop", job_id=job_id).text == '{"success":true}\n'
    assert deck.end(job_id) == '{"done":true,"error":true,"error_text":"signal: killed"}\n'
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert (deck.server.job(job_id)["state"], deck.server.job(job_id)["signal"]) == ("stopped", signal.SIGKILL)


def test_a_stop_of_what_has_ended_succeeds_and_changes_nothing(deck: Deck) -> None:
    job_id = deck.start("bash", "exit42.sh")
    told = deck.end(job_id)
    for _ in range(2):
        answer = deck.call("/stop", job_id=job_id)
        assert (answer.status, answer.text) == (200, '{"success":true}\n')
    assert deck.query(job_id) == told


def test_a_stop_right_after_the_start(deck: Deck) -> None:
    for _ in range(10):
        job_id = deck.start("bash", "sleep.sh")
        assert deck.call("/stop", job_id=job_id).status == 200
        assert deck.end(job_id) == '{"done":true,"error":true,"error_text":"signal: killed"}\n'


# -- section 8: the list of workers, and what the original lost with a restart --


def test_list_of_workers(deck: Deck) -> None:
    answer = ask(deck.port, "GET", "/workers/list")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert "access-control-allow-origin" not in answer.headers
    told = json.loads(answer.body)
    assert list(told) == [deck.worker_id]
    worker = told[deck.worker_id]
    assert list(worker) == ["id", "address", "env", "env-type", "server-status", "launch-time"]
    assert worker["launch-time"].endswith("Z")
    assert (worker["id"], worker["address"]) == (deck.worker_id, f"127.0.0.1:{deck.port}")
    assert (worker["env"], worker["env-type"], worker["server-status"]) == ("deck", "local", "online")


def test_workers_in_the_native_api(deck: Deck) -> None:
    job_id = deck.start("bash", "sleep.sh")
    deck.output(job_id, b"up\n")
    (worker,) = json.loads(ask(deck.port, "GET", "/v1/workers").body)["items"]
    assert (worker["id"], worker["name"], worker["state"]) == (deck.worker_id, "deck", "online")
    assert (worker["slots_count"], worker["engine"]) == (64, "local")
    assert worker["running_count"] >= 1
    for name in (deck.worker_id, deck.worker_id[:8], "deck"):
        shown = json.loads(ask(deck.port, "GET", f"/v1/workers/{name}").body)
        assert (shown["id"], job_id in shown["jobs"]) == (deck.worker_id, True)
    answer = ask(deck.port, "GET", "/v1/workers/nope")
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    deck.call("/stop", job_id=job_id)
    deck.end(job_id)


@pytest.mark.slow
def test_ids_and_jobs_survive_a_kill_of_the_server(tmp_path: Path) -> None:
    with server(tmp_path / "data") as running:
        deck = Deck(running, tmp_path)
        write_scripts(tmp_path)
        slow, ended = (deck.start("bash", str(tmp_path / name)) for name in ("sleep.sh", "nope"))
        deck.end(ended)
        deck.output(slow, b"up\n")
        running.kill()
        running.start()
        assert Deck(running, tmp_path).worker_id == deck.worker_id
        assert deck.query(ended) == '{"done":true,"error":true,"error_text":"exit status 127"}\n'
        assert deck.query(slow) == '{"done":false,"error":false,"error_text":""}\n'
        assert deck.call("/stop", job_id=slow).status == 200
        assert deck.end(slow) == '{"done":true,"error":true,"error_text":"signal: killed"}\n'
