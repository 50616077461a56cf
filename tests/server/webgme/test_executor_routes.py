"""/rest/executor against the real program: the worked examples E7 to E10 and E12, each row of the routes.

Each test has labels of its own, so that no worker takes another test's jobs. Workers here are what the reference says
of them; the real one has a lane of its own.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobdeck_server.guard.tokens import TokenStore
from jobdeck_server.http.message import Role
from tests.e2e.program import Server, server
from tests.e2e.wire import Answer, ask

HASH = "39aa77396352b2b19c8cab7450b06791a8652e6e"
JSON = {"Content-Type": "application/json"}
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Executor:
    """The routes of one server."""

    def __init__(self, running: Server, **headers: str) -> None:
        self.server = running
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        mime = {} if body is None else JSON
        return ask(self.server.port, method, f"/rest/executor{path}", data, {**self.headers, **mime, **named})

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def create(self, key: str, **fields: object) -> Any:
        answer = self.ask("POST", f"/create/{key}", fields or None)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def beat(self, name: str = "w_1", available: int = 1, running: tuple[str, ...] = (), *labels: str) -> Any:
        call = {
            "clientId": name,
            "availableProcesses": available,
            "labels": list(labels),
            "runningJobs": list(running),
        }
        answer = self.ask("POST", "/worker", call)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def post(self, path: str, body: object) -> None:
        answer = self.ask("POST", path, body)
        assert (answer.status, answer.body) == (200, b"OK"), answer


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with server(Path(tempfile.mkdtemp(prefix="jd-")) / "data", "--no-builtin-executor") as running:
        yield Executor(running)


def new_key() -> str:
    return uuid.uuid4().hex


def plain(answer: Answer) -> tuple[int, bytes]:
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-webgme-media-type"] == "webgme.v1"
    return answer.status, answer.body


def masked(body: bytes) -> str:
    """Without what is other each time."""
    return re.sub(r'"secret":"[0-9a-f-]{36}"', '"secret":"S"', TIME.sub("T", body.decode()))


def test_the_examples_byte_for_byte(executor: Executor) -> None:
    rest = '"userId":["guest"],"status":"CREATED","createTime":"T","startTime":null,"finishTime":null'
    rest += ',"worker":null,"labels":[],"outputNumber":null'
    info = f'{{"hash":"{HASH}","resultHashes":[],"resultSuperSet":null,{rest}}}'
    # E7
    answer = executor.ask("POST", f"/create/{HASH}")
    assert masked(answer.body) == info[:-1] + ',"secret":"S"}'
    assert answer.headers["content-length"] == "298"
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-webgme-media-type"] == "webgme.v1"
    secret = json.loads(answer.body)["secret"]
    for method, path in (("POST", "create"), ("GET", "info")):
        answer = executor.ask(method, f"/{path}/{HASH}")
        assert (masked(answer.body), answer.headers["content-length"]) == (info, "250")
    assert masked(executor.ask("GET", "/").body) == f'{{"{HASH}":{info}}}'
    # E8
    call = b'{"clientId":"w_1","availableProcesses":1,"labels":[],"runningJobs":[]}'
    answer = executor.ask("POST", "/worker", call)
    assert answer.body.decode() == (
        f'{{"jobsToStart":["{HASH}"],"refreshPeriod":20,"labelJobs":{{}},"jobsToCancel":[]}}'
    )
    running = info.replace("CREATED", "RUNNING").replace('"worker":null', '"worker":"w_1"')
    assert masked(executor.ask("GET", f"/info/{HASH}").body) == running
    # E9
    assert plain(executor.ask("POST", f"/output/{HASH}", b'{"output":"line 1\\n","outputNumber":1}')) == (200, b"OK")
    answer = executor.ask("GET", f"/output/{HASH}?start=1&end=2")
    assert answer.body.decode() == f'[{{"hash":"{HASH}","outputNumber":1,"output":"line 1\\n","_id":"{HASH}+1"}}]'
    # E10
    assert plain(executor.ask("POST", f"/cancel/{HASH}")) == (403, b"Forbidden")
    assert plain(executor.ask("POST", f"/cancel/{HASH}", {"secret": "wrong"})) == (403, b"Forbidden")
    assert plain(executor.ask("POST", f"/cancel/{HASH}", {"secret": secret})) == (200, b"OK")
    pending = running.replace('"outputNumber":null}', '"outputNumber":1,"cancelRequested":true}')
    assert masked(executor.ask("GET", f"/info/{HASH}").body) == pending
    assert executor.beat("w_1", 0, (HASH,))["jobsToCancel"] == [HASH]
    assert plain(executor.ask("POST", f"/update/{HASH}", {"status": "CANCELED"})) == (200, b"OK")
    assert executor.get(f"/info/{HASH}")["status"] == "CANCELED"
    answer = executor.ask("POST", f"/create/{HASH}")
    assert masked(answer.body) == info[:-1] + ',"secret":"S"}'
    assert json.loads(answer.body)["secret"] != secret
    assert executor.ask("GET", f"/output/{HASH}").body == b"[]"
    executor.post(f"/cancel/{HASH}", {"secret": json.loads(answer.body)["secret"]})  # or others would be given it
    # E12
    assert plain(executor.ask("POST", "/create/bad1", b"{bad")) == (400, b"Bad Request")
    assert plain(executor.ask("GET", "/info/nosuch")) == (404, b"Not Found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/info/no"),
        ("POST", "/update/no"),
        ("POST", "/cancel/no"),
        ("GET", "/output/no"),
        ("POST", "/output/no"),
    ],
)
def test_jobs_that_nobody_knows(executor: Executor, method: str, path: str) -> None:
    body = {"output": "x", "outputNumber": 1, "status": "SUCCESS"} if method == "POST" else None
    assert plain(executor.ask(method, path, body)) == (404, b"Not Found")
    assert executor.ask("GET", "/output/no").status == 404


@pytest.mark.parametrize("body", [b"{bad", b'"text"', b"7", b"null"])
@pytest.mark.parametrize("path", ["/create/x", "/update/x", "/cancel/x", "/output/x", "/worker", "/worker/"])
def test_broken_bodies(executor: Executor, path: str, body: bytes) -> None:
    assert plain(executor.ask("POST", path, body)) == (400, b"Bad Request")


def test_other_methods_and_paths(executor: Executor) -> None:
    for method, path in (("PUT", "/create/x"), ("GET", "/create/x"), ("DELETE", "/info/x"), ("POST", "/")):
        answer = executor.ask(method, path)
        assert (answer.status, answer.body) == (404, b"Not Found")
    for path in ("/info", "/info/", "/create", "/nothing/x", "/info/a/b"):
        assert executor.ask("GET", path).status == 404
    assert executor.ask("OPTIONS", "/create/x").status == 204
    assert executor.ask("POST", "/create/%zz").status == 400


def test_heads_tags_and_slashes(executor: Executor) -> None:
    key = new_key()
    executor.create(key, labels=["tags"])
    whole = executor.ask("GET", f"/info/{key}")
    tag = whole.headers["etag"]
    assert tag.startswith('W/"')
    head = executor.ask("HEAD", f"/info/{key}")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(whole.body)))
    for value in (tag, tag[2:], f'"x", {tag}', "*"):
        again = executor.ask("GET", f"/info/{key}", If_None_Match=value)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert executor.ask("GET", f"/info/{key}", If_None_Match='"x"').status == 200
    for path in ("", "/", "/worker", "/worker/"):
        assert executor.ask("GET", path).status == 200


def test_names_of_every_kind(executor: Executor) -> None:
    for key in ("a b", "\u00fcml\u00e4ut", "%", "a?b#c", "..", '"quoted"', "\x01", "1"):
        quoted = "".join(f"%{byte:02X}" for byte in key.encode())
        assert executor.create(quoted, labels=["names"])["hash"] == key
        assert executor.get(f"/info/{quoted}")["hash"] == key
        assert key in executor.get("/?status=CREATED")
    for key in ("k" * 513, "%00"):
        assert plain(executor.ask("POST", f"/create/{key}")) == (400, b"Bad Request")
    assert executor.ask("POST", "/create/%FF").status == 400


def test_what_a_body_can_say(executor: Executor) -> None:
    key = new_key()
    told = executor.create(
        key, status="PAUSED", labels=["x"], hash="other", userId=["me"], secret="mine", createTime="0"
    )
    assert (told["hash"], told["status"], told["labels"], told["userId"]) == (key, "PAUSED", ["x"], ["guest"])
    assert told["secret"] != "mine"
    assert TIME.fullmatch(told["createTime"])
    assert executor.get("/?status=PAUSED").keys() >= {key}
    assert executor.get("/?status=NOTHING") == {}
    done = new_key()
    told = executor.create(
        done, status="SUCCESS", resultHashes={"all": HASH}, startTime="s", finishTime="f", worker="w"
    )
    told.pop("secret")
    assert executor.get(f"/info/{done}") == told
    assert list(told.values())[1:3] == [{"all": HASH}, None]
    assert [told[name] for name in ("status", "startTime", "finishTime", "worker")] == ["SUCCESS", "s", "f", "w"]
    form = executor.ask(
        "POST", f"/create/{new_key()}", b"labels[]=a&labels[]=b", Content_Type="application/x-www-form-urlencoded"
    )
    assert json.loads(form.body)["labels"] == ["a", "b"]


def test_a_cancel_before_the_start_is_over_at_once_and_a_rerun_keeps_history(executor: Executor) -> None:
    key = new_key()
    secret = executor.create(key, labels=["rerun"])["secret"]
    executor.post(f"/cancel/{key}", {"secret": secret})
    info = executor.get(f"/info/{key}")
    assert info["status"] == "CANCELED"
    assert TIME.fullmatch(info["finishTime"])
    executor.post(f"/cancel/{key}", {"secret": secret})
    executor.create(key, labels=["rerun"])
    assert executor.beat("w_r", 1, (), "rerun")["jobsToStart"] == [key]
    executor.post(f"/update/{key}", {"status": "FAILED_TO_EXECUTE", "resultHashes": {"all": HASH}})
    assert executor.create(key)["status"] == "FAILED_TO_EXECUTE"
    again = executor.ask("POST", f"/create/{key}?rerun=true")
    told = json.loads(again.body)
    assert (told["status"], told["resultHashes"], told["labels"]) == ("CREATED", [], ["rerun"])
    assert "secret" in told
    jobs = executor.server.ask("GET", "/v1/jobs?dialect=webgme&text=" + key)[2]
    assert [job["key"] for job in json.loads(jobs)["items"]].count(key) == 3
    # the native API runs it again, too
    old = json.loads(jobs)["items"][0]["id"]
    assert executor.server.ask("POST", f"/v1/jobs/{old}/rerun")[0] == 409
    assert executor.beat("w_s", 1, (), "rerun")["jobsToStart"] == [key]
    executor.post(f"/update/{key}", {"status": "FAILED_TO_EXECUTE"})
    status, _, data = executor.server.ask("POST", f"/v1/jobs/{old}/rerun")
    assert (status // 100, json.loads(data)["key"]) == (2, key)
    assert executor.get(f"/info/{key}")["status"] == "CREATED"
    # its owner needs no secret
    assert executor.server.ask("DELETE", f"/{key}")[0] == 200
    assert executor.get(f"/info/{key}")["status"] == "CANCELED"


def test_the_end_in_the_words_of_the_worker(executor: Executor) -> None:
    key = new_key()
    executor.create(key, labels=["end"])
    executor.beat("w_e", 1, (), "end")
    info = executor.get(f"/info/{key}")
    info |= {
        "status": "SUCCESS",
        "resultHashes": {"b": HASH, "a": HASH},
        "startTime": "2026-11-22T00:00:01.000Z",
        "finishTime": "2026-11-22T00:00:02.000Z",
        "resultSuperSetHash": "c" * 40,
    }
    executor.post(f"/update/{key}", info)
    told = executor.get(f"/info/{key}")
    assert told == {**{name: info[name] for name in told}, "resultSuperSet": "c" * 40}
    job = json.loads(executor.server.ask("GET", f"/v1/jobs?dialect=webgme&text={key}")[2])["items"][0]
    assert (job["state"], job["engine"], job["worker"]) == ("succeeded", "webgme-worker", "w_e")
    assert job["results"] == {"b": HASH, "a": HASH}


def test_output_of_every_size_and_every_range(executor: Executor) -> None:
    key = new_key()
    executor.create(key, labels=["out"])
    executor.beat("w_o", 1, (), "out")
    big = "x\u00b5" * 2_000_000
    texts = ["line 0\n", "line 1\n", big, "line 3\n"]
    for number, text in enumerate(texts):
        executor.post(f"/output/{key}", {"output": text, "outputNumber": number})
    for query, wanted in {
        "": [0, 1, 2, 3],
        "?start=abc": [0, 1, 2, 3],
        "?start=0&end=0": [0, 1, 2, 3],
        "?start=-1": [0, 1, 2, 3],
        "?start=1&end=1": [],
        "?start=1": [1, 2, 3],
        "?end=2": [0, 1],
        "?start=3x&end=9": [3],
    }.items():
        segments = executor.get(f"/output/{key}{query}")
        assert [(each["outputNumber"], each["output"]) for each in segments] == [(n, texts[n]) for n in wanted], query
    status, _, data = executor.server.ask("GET", f"/{key}/attach?follow=false")
    assert (status, data) == (200, "".join(texts).encode())
    assert plain(executor.ask("POST", f"/output/{key}", b" " * (17 * 1024 * 1024))) == (413, b"Payload Too Large")
    for wrong in ({"output": "x"}, {"output": 3, "outputNumber": 1}, {"output": "x", "outputNumber": "y"}):
        assert plain(executor.ask("POST", f"/output/{key}", wrong)) == (400, b"Bad Request")
    assert plain(executor.ask("POST", f"/update/{key}", b" " * (5 * 1024 * 1024))) == (413, b"Payload Too Large")


def test_workers_without_secrets(executor: Executor) -> None:
    key = new_key()
    executor.create(key, labels=["list"])
    executor.beat("w_l", 1, (), "list", "more")
    found = executor.get("/worker")["w_l"]
    assert list(found) == ["_id", "clientId", "lastSeen", "labels", "userId", "jobs"]
    assert (found["clientId"], found["labels"], found["userId"]) == ("w_l", ["list", "more"], ["guest"])
    assert abs(found["lastSeen"] - time.time()) < 60
    assert found["jobs"] == [executor.get(f"/info/{key}")]


def test_a_request_without_a_name_gets_nothing(executor: Executor) -> None:
    executor.create(new_key(), labels=["nobody"])
    answer = executor.ask("POST", "/worker", {"availableProcesses": 5, "labels": ["nobody"]})
    assert json.loads(answer.body)["jobsToStart"] == []
    assert executor.ask("POST", "/worker").status == 200


def test_a_held_request_hears_of_a_job_and_of_a_client_that_went(executor: Executor) -> None:
    key = new_key()
    gone = socket.create_connection(("127.0.0.1", executor.server.port))
    call = json.dumps({"clientId": "w_gone", "availableProcesses": 1, "labels": [key]}).encode()
    head = "POST /rest/executor/worker HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    gone.sendall(f"{head}Content-Length: {len(call)}\r\n\r\n".encode() + call)
    _seen(executor, "w_gone")
    gone.close()
    started: list[str] = []

    def stay() -> None:
        until_s = time.monotonic() + 20
        while not started and time.monotonic() < until_s:
            started.extend(executor.beat("w_stays", 1, (), key)["jobsToStart"])

    worker = threading.Thread(target=stay)
    worker.start()
    _seen(executor, "w_stays")
    executor.create(key, labels=[key])
    worker.join(30)
    assert started == [key]
    assert executor.get(f"/info/{key}")["worker"] == "w_stays"


def _seen(executor: Executor, name: str) -> None:
    until_s = time.monotonic() + 20
    while name not in executor.get("/worker"):
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_two_workers_never_get_one_job(executor: Executor) -> None:
    keys = [new_key() for _ in range(60)]
    label = new_key()
    got: list[str] = []
    failed: list[BaseException] = []

    def work(name: str) -> None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", executor.server.port, timeout=30)
            until_s = time.monotonic() + 30
            while len(got) < len(keys) and time.monotonic() < until_s:
                call = {"clientId": name, "availableProcesses": 2, "labels": [label], "runningJobs": []}
                connection.request("POST", "/rest/executor/worker", json.dumps(call), JSON)
                mine = json.loads(connection.getresponse().read())["jobsToStart"]
                got.extend(key for key in mine if key in keys)
                for key in mine:
                    body = {"status": "SUCCESS", "worker": name}
                    connection.request("POST", f"/rest/executor/update/{key}", json.dumps(body), JSON)
                    connection.getresponse().read()
            connection.close()
        except BaseException as error:  # of a thread: told to the test
            failed.append(error)
            raise

    workers = [threading.Thread(target=work, args=(f"{label}_{number}",)) for number in range(4)]
    for each in workers:
        each.start()
    for key in keys:
        executor.create(key, labels=[label])
    until_s = time.monotonic() + 40
    while (alive := [each for each in workers if each.is_alive()]) and time.monotonic() < until_s:
        alive[0].join(0.05)
        if len(got) >= len(keys):
            executor.create(new_key(), labels=[label])  # wakes one of those that are still being held
    assert failed == []
    assert Counter(got) == Counter(keys)
    jobs = executor.get("/")
    assert {jobs[key]["status"] for key in keys} == {"SUCCESS"}


@pytest.mark.slow
def test_a_nonce_is_asked_of_everybody_and_labels_are_told(tmp_path: Path) -> None:
    nonce, labels = tmp_path / "nonce", tmp_path / "labels.json"
    nonce.write_text("geheim\n")
    nonce.chmod(0o600)
    labels.write_text('{"gpu":"abc"}')
    flags = ("--executor-nonce-file", str(nonce), "--label-jobs-file", str(labels), "--no-builtin-executor")
    with server(Path(tempfile.mkdtemp(prefix="jd-")) / "data", *flags) as running:
        for headers in ({}, {"x_executor_nonce": "falsch"}):
            other = Executor(running, **headers)
            for method, path in (
                *(("GET", ""), ("GET", "/worker"), ("GET", "/info/x"), ("GET", "/output/x"), ("POST", "/worker")),
                *(("POST", "/create/x"), ("POST", "/update/x"), ("POST", "/cancel/x"), ("POST", "/output/x")),
            ):
                assert plain(other.ask(method, path)) == (403, b"Forbidden")
        mine = Executor(running, x_executor_nonce="geheim")
        mine.create("x")
        assert mine.beat()["labelJobs"] == {"gpu": "abc"}
        assert running.ask("GET", "/rest/blob/metadata/" + HASH)[0] == 404  # the blob store asks for none


@pytest.mark.slow
def test_tokens_have_names_and_roles() -> None:
    folder = Path(tempfile.mkdtemp(prefix="jd-")) / "data"
    folder.mkdir(mode=0o700)
    tokens = TokenStore(folder)
    secrets = {name: tokens.create(name, role)[1] for name, role in (("ann", Role.RUN), ("eve", Role.VIEW))}
    with server(folder, "--require-token", "--no-builtin-executor") as running:
        ann, eve = (Executor(running, x_api_token=secrets[name]) for name in ("ann", "eve"))
        assert Executor(running).ask("GET", "/").status == 401
        assert eve.ask("POST", "/create/k").status == 403
        assert ann.create("k")["userId"] == ["ann"]
        assert eve.get("/info/k")["userId"] == ["ann"]
        assert ann.beat()["jobsToStart"] == ["k"]
        assert eve.get("/worker")["w_1"]["userId"] == ["ann"]


def test_a_nonce_that_others_may_read_is_refused(tmp_path: Path) -> None:
    nonce = tmp_path / "nonce"
    nonce.write_text("geheim\n")
    nonce.chmod(0o644)
    flags = ("--executor-nonce-file", str(nonce))
    # the program has said why, and ended
    with pytest.raises(AssertionError, match="chmod 600"), server(tmp_path / "data", *flags):
        pass


@pytest.mark.slow
def test_jobs_outlive_the_server_and_its_end_answers_those_who_wait(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[limits]\nexecutor_hold_s = 50.0\n")  # longer than the server waits for anybody when it ends
    flags = ("--no-builtin-executor", "--config", str(config))
    with server(Path(tempfile.mkdtemp(prefix="jd-")) / "data", *flags) as running:
        mine = Executor(running)
        for key in ("waits", "runs", "ended"):
            mine.create(key, labels=[key])
        assert mine.beat("w_1", 2, (), "runs", "ended")["jobsToStart"] == ["runs", "ended"]
        mine.post("/output/runs", {"output": "one\n", "outputNumber": 0})
        mine.post("/update/ended", {"status": "FAILED_UNZIP", "worker": "w_1"})
        before = mine.get("/")
        running.kill()
        running.start()
        assert mine.get("/") == before
        answers: list[Any] = []
        worker = threading.Thread(target=lambda: answers.append(mine.beat("w_2", 1)))
        worker.start()
        _seen(mine, "w_2")
        assert running.stop() == 0
        worker.join(20)
        assert [each["jobsToStart"] for each in answers] == [[]]
        running.start()
        assert mine.get("/") == before
        mine.post("/output/runs", {"output": "two\n", "outputNumber": 1})
        mine.post("/update/runs", {"status": "SUCCESS", "worker": "w_1"})
        assert [each["output"] for each in mine.get("/output/runs")] == ["one\n", "two\n"]
        assert mine.get("/info/runs")["status"] == "SUCCESS"


@pytest.mark.slow
def test_a_long_list_comes_in_pieces(tmp_path: Path) -> None:
    with server(Path(tempfile.mkdtemp(prefix="jd-")) / "data", "--no-builtin-executor") as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
        keys = [f"key-{number:04}" for number in range(120)]
        status = "X" * 4000
        for key in keys:
            connection.request("POST", f"/rest/executor/create/{key}", json.dumps({"status": status}), JSON)
            assert connection.getresponse().read()
        for path, wanted in (("/", keys), (f"?status={status}", keys), ("?status=CREATED", [])):
            connection.request("GET", f"/rest/executor{path}")
            answer = connection.getresponse()
            assert ("Transfer-Encoding" in answer.headers) is bool(wanted)
            assert list(json.loads(answer.read())) == wanted
        connection.close()
