"""``kill -9`` of the server, of a context's process, of its JVM, of the keeper, while contexts are made, run and end.

Afterwards contexts and jobs are what they are told to be, no job has run twice, and nothing is left.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.procs import alive
from tests.spark.campaign import Config, campaign
from tests.spark.kit import Deck, Holding, processes, spark_server
from tests.spark.victims import context_processes, jvm_of, kill_jvm, kill_keeper, kill_process

pytestmark = pytest.mark.timeout(240)

LEFT_LIMIT_S = 40.0  # files of work are tidied up every 30 s
LOST = "Unexpected termination of context"


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    with spark_server(tmp_path_factory.mktemp("crashes"), "--running-limit", "12") as running:
        yield running


@pytest.fixture(autouse=True)
def _as_it_was(deck: Deck) -> Iterator[None]:
    """A test that fails leaves no context to the next."""
    yield
    for name in deck.told("GET", "/contexts")[1]:
        deck.gone(name, force=True)


def _again(deck: Deck) -> None:
    """Kill the server and start it."""
    deck.server.kill()
    deck.server.start()


def _left(deck: Deck) -> list[str]:
    """What is left when no context is: files of work, processes that work with them."""
    work = deck.server.data_dir / "work"
    names = [path.name for path in work.iterdir()] if work.is_dir() else []  # made with the first of them
    return [*names, *processes(work).values()]


def _nothing_left(deck: Deck) -> None:
    assert deck.told("GET", "/contexts")[1] == []
    with contextlib.suppress(AssertionError):
        deck.until(lambda: not _left(deck), LEFT_LIMIT_S)
    assert not _left(deck)


def test_the_server_is_killed_during_jobs(deck: Deck) -> None:
    """Context and jobs go on, those that wait are waiting, who attaches again sees all; a stop goes on, too."""
    made = deck.up("kept", "max-jobs-per-context = 2")
    held = [deck.holding("kept", f"kept-{number}") for number in range(3)]
    for each in held[:2]:
        each.begun()
    seen: list[bytes] = []
    attached = threading.Thread(target=_attach, args=(deck, made["process"], seen))
    attached.start()
    _again(deck)
    attached.join()
    found = deck.until_context("kept", "running")
    keys = ("id", "process", "application", "master")
    assert {key: found[key] for key in keys} == {key: made[key] for key in keys}
    deck.until(lambda: [deck.server.job(each.id)["state"] for each in held] == ["running", "running", "queued"])
    deck.server.kill()
    held[0].go()  # it ends while there is no server
    deck.until(lambda: held[0].lines("ended"))
    deck.server.start()
    held[2].begun()
    for each in held:
        each.go()
        assert (deck.ended(each.id)["result"], each.lines("runs"), each.lines("tasks")) == (1, 1, 1)
    last = deck.holding("kept", "kept-last").begun()
    _lose(deck, "DELETE", "/contexts/kept")
    deck.server.start()
    if deck.context("kept")["state"] == "running":  # it was killed before it heard of it
        deck.gone("kept")
    deck.until_context("kept", "finished")
    assert deck.ended(last.id)["status"] in ("KILLED", "ERROR")
    _nothing_left(deck)


def _attach(deck: Deck, job_id: str, seen: list[bytes]) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        seen.append(deck.server.attach(job_id))


def _lose(deck: Deck, method: str, path: str, *, after_s: float = 0.05, body: bytes = b"") -> None:
    """Ask for something, and kill the server a moment later."""
    connection = http.client.HTTPConnection("127.0.0.1", deck.server.port, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path, body)
        time.sleep(after_s)
        deck.server.kill()


@pytest.mark.parametrize("after_s", [0.01, 0.5, 2.0])
def test_the_server_is_killed_while_a_context_is_made(deck: Deck, after_s: float) -> None:
    """It is made by the next one, or was never heard of."""
    body = json.dumps({"name": "coming", "settings": {"spark.master": "local[1]"}}).encode()
    _lose(deck, "POST", "/v1/contexts", after_s=after_s, body=body)
    deck.server.start()
    status, _ = deck.told("GET", "/v1/contexts/coming")
    if status == 200:
        assert deck.until_context("coming", "running", "error")["state"] == "running", deck.why("coming", "")
        assert len(context_processes(deck.server.data_dir)) == 1
        assert deck.result("Words", "coming", {"input.string": "a"}) == {"A": 1}
        deck.gone("coming")
    _nothing_left(deck)


def test_the_server_is_killed_while_a_context_is_restarted(deck: Deck) -> None:
    made = deck.up("renewed")
    job = deck.holding("renewed", "renewed").begun()
    _lose(deck, "POST", "/v1/contexts/renewed/restart", after_s=0.3)
    deck.server.start()
    found = deck.until_context("renewed", "running")
    if found["process"] == made["process"]:
        job.go()
        assert deck.ended(job.id)["status"] == "FINISHED"
    else:
        assert deck.ended(job.id)["status"] in ("KILLED", "ERROR")
        assert job.lines("runs") == 1
    assert deck.result("Words", "renewed", {"input.string": "a"}) == {"A": 1}
    deck.gone("renewed")
    _nothing_left(deck)


@pytest.mark.parametrize(("who", "restart"), [("process", "never"), ("jvm", "always")])
def test_a_context_dies_under_ten_jobs(deck: Deck, who: str, restart: str) -> None:
    """Five that ran have failed and say why; five that waited fail as well, or run in the context that is made anew."""
    name = f"dying-{who}"
    made = deck.up(name, f"max-jobs-per-context = 5, context-restart = {restart}", spark__master="local[5]")
    jobs = [deck.holding(name, f"{name}-{number}") for number in range(10)]
    for each in jobs[:5]:
        each.begun()
    (kill_process if who == "process" else kill_jvm)(deck.server.data_dir, made["process"])
    for each in jobs[:5]:
        _lost(deck, each)
    if restart == "never":
        found = deck.until_context(name, "error")
        assert LOST in found["error"]
        for each in jobs[5:]:
            _lost(deck, each)
            assert not each.lines("runs")
    else:
        for each in jobs[5:]:
            each.go()
            assert (deck.ended(each.id)["result"], each.lines("runs")) == (1, 1)
        found = deck.context(name)
        assert (found["state"], found["id"], found["restarts_count"]) == ("running", made["id"], 1)
        deck.gone(name)
    assert [each.lines("runs") for each in jobs[:5]] == [1] * 5
    _nothing_left(deck)


def _lost(deck: Deck, job: Holding) -> None:
    report = deck.ended(job.id)
    assert report["status"] == "ERROR", report
    assert LOST in report["result"]["message"]


def test_the_keeper_is_killed_during_jobs(deck: Deck) -> None:
    """What runs goes on, and the next keeper has it."""
    made = deck.up("unkept")
    job = deck.holding("unkept", "unkept").begun()
    kill_keeper(deck.server.data_dir)
    _again(deck)
    found = deck.until_context("unkept", "running")
    assert found["process"] == made["process"]
    job.go()
    assert (deck.ended(job.id)["result"], job.lines("runs")) == (1, 1)
    deck.gone("unkept")
    _nothing_left(deck)


def test_the_context_of_a_job_of_its_own_dies(deck: Deck) -> None:
    settings = {"spark": {"context-settings": {"spark.master": "local[1]"}}}
    status, started = deck.ask("Halts", settings)
    assert status == 202, started
    report = deck.ended(started["jobId"])
    assert report["status"] == "ERROR"
    assert LOST in report["result"]["message"]
    _nothing_left(deck)


def test_ready_processes_are_found_again(tmp_path: Path) -> None:
    with spark_server(tmp_path, "--spark-ready", "2") as deck:
        data = deck.server.data_dir

        def ready() -> dict[str, int] | None:
            found = context_processes(data)
            return found if len(found) == 2 and all(map(jvm_of, found.values())) else None

        before = deck.until(ready)
        _again(deck)
        deck.up("taken")
        assert deck.context("taken")["process"] in before
        after = deck.until(lambda: found if len(found := context_processes(data)) == 3 else None)
        assert set(before) <= set(after)
        kill_keeper(data)
        _again(deck)
        assert deck.result("Words", "taken", {"input.string": "a"}) == {"A": 1}
        deck.gone("taken")
        deck.until(lambda: len(context_processes(data)) == 2)
        jvms = [jvm_of(pid) for pid in context_processes(data).values()]
    assert not any(pid is not None and alive(pid) for pid in jvms)


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """The short form of the campaign; ``python -m tests.spark.campaign`` is the long one."""
    report = campaign(Config(target="all", folder=tmp_path / "campaign", limit_s=12, seed=3, peace_s=3))
    assert report.faults == []
    assert report.counts["kills"] >= 1
    assert report.counts["jobs"] >= 1
