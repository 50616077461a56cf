"""Contexts on Spark under a real server and keeper; a stand-in takes the part of Spark."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.server.spark.stand import Stand, stand, until

pytestmark = pytest.mark.timeout(180)

LOST = "Unexpected termination of context"


def pid_of(process: str) -> int:
    """The pid of the process of a context, by its job."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(word.endswith(b"standin.py") for word in words) and words[-2].endswith(process.encode()):
                return int(entry.name)
    raise AssertionError(process)


def kill(process: str) -> None:
    os.kill(pid_of(process), signal.SIGKILL)


def test_a_context_is_made_used_found_again_and_stopped(tmp_path: Path) -> None:
    with stand(tmp_path) as own:
        jar, content = own.folder / "jobs.whl", {"Content-Type": "application/java-archive"}  # a zip is a zip
        assert own.deck.ask("PUT", "/v1/packages/lib", jar.read_bytes(), content)[0] == 201
        made = own.make("c1", **{"num-cpu-cores": 2, "cp": "lib"})
        assert (made["kind"], made["state"], made["master"]) == ("spark", "running", "local[2]")
        assert (made["note"], made["error"], made["memory_bytes"]) == (None, None, 100_000_000)
        (process,) = own.processes()
        assert (process["id"], process["command"], process["context"]) == (made["process"], "context c1", "c1")
        job = own.job(1, "c1")
        own.until_began(1)
        plan = json.loads((own.deck.data_dir / "work" / job / "plan.json").read_text())
        control = own.deck.data_dir / "work" / process["id"] / "control.sock"
        assert plan["context"]["link"] == {"control": str(control)}
        (laid_out,) = (control.parent / "jars").iterdir()
        assert laid_out.read_bytes() == jar.read_bytes()
        assert own.deck.ask("DELETE", "/v1/packages/lib")[0] == 204  # what it has, it has
        own.restart()
        found = own.until_context("c1", "running")
        assert list((control.parent / "jars").iterdir()) == [laid_out]
        assert (found["process"], found["application"]) == (made["process"], made["application"])
        assert (found["id"], found["running_count"]) == (made["id"], 1)
        (tmp_path / "go1").touch()
        assert own.deck.wait(job)["state"] == "succeeded"
        assert own.deck.ask("DELETE", "/contexts/c1")[0] == 200
        own.until_clear()
        assert [job["state"] for job in own.processes("stopped")] == ["stopped"]
        shown = own.context("c1")
        assert (shown["state"], shown["process"], shown["application"]) == (
            "finished",
            made["process"],
            made["application"],
        )


@pytest.mark.slow
def test_what_cannot_be_made_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with stand(tmp_path) as own:
        status, _, body = own.deck.ask("POST", "/contexts/c1?spark.standin.refuse=No+such+master")
        assert status == 500
        told = json.loads(body)
        assert told["status"] == "CONTEXT INIT ERROR"
        assert "No such master" in told["result"]["message"]
        own.does(no_start="Java has ended: exit code 1.")
        status, _, body = own.deck.ask("POST", "/contexts/c2")
        assert status == 500
        assert "Java has ended: exit code 1" in json.loads(body)["result"]["message"]
        own.until_clear()
        assert [job["state"] for job in own.processes("failed")] == ["failed"] * 2
        for query, code in (("num-cpu-cores=x", 400), ("spark.driver.memory=1k", 400), ("memory-per-node=lots", 400)):
            assert own.deck.ask("POST", f"/contexts/c3?{query}")[0] == code
        own.does()
        factory = "context-factory=spark.jobserver.context.DefaultSparkContextFactory"
        assert own.deck.ask("POST", f"/contexts/c5?{factory}")[0] == 200
        status, _, body = own.deck.ask("POST", "/jobs?appName=jobs&classPath=a.B&context=c5")
        assert (status, json.loads(body)["result"]) == (400, "Invalid job type for this context")


@pytest.mark.slow
def test_one_that_dies_takes_its_jobs_with_it(tmp_path: Path) -> None:
    with stand(tmp_path) as own:
        made = own.make("c1", **{"max-jobs-per-context": 1})
        runs, waits = own.job(1, "c1"), own.job(2, "c1")
        own.until_began(1)
        kill(made["process"])
        ended = own.until_context("c1", "error")
        assert ended["error"].startswith(f"{LOST} {made['id']}")
        assert ended["process"] == made["process"]
        for job_id in (runs, waits):
            job = own.deck.wait(job_id)
            assert (job["state"], job["error"].startswith(f"{LOST} {made['id']}")) == ("failed", True), job
            shown = own.told("GET", f"/jobs/{job_id}")
            assert (shown["status"], shown["result"]["message"].startswith(LOST)) == ("ERROR", True)
        own.until_clear()
        assert own.began() == [1]
        again = own.told("POST", "/v1/contexts/c1/restart")
        assert (again["state"], again["settings"]) == ("running", made["settings"])
        assert again["id"] != made["id"]


@pytest.mark.slow
def test_one_that_dies_is_made_anew_and_what_waits_waits_on(tmp_path: Path) -> None:
    with stand(tmp_path, "--context-restart", "always") as own:
        made = own.make("c1", **{"max-jobs-per-context": 1})
        runs, waits = own.job(1, "c1"), own.job(2, "c1")
        own.until_began(1)
        kill(made["process"])
        again = own.until_context("c1", "running", restarts_count=1)
        assert again["id"] == made["id"]
        assert again["process"] != made["process"]
        assert own.deck.wait(runs)["error"].startswith(LOST)
        own.until_began(2)
        (tmp_path / "go2").touch()
        assert own.deck.wait(waits)["state"] == "succeeded"
        for count in (2, 3):
            kill(own.context("c1")["process"])
            own.until_context("c1", "running", restarts_count=count)
        kill(own.context("c1")["process"])
        own.until_context("c1", "error", restarts_count=3)
        own.until_clear()
        assert own.began() == [1, 2]


@pytest.mark.slow
def test_a_restart_that_was_asked_for(tmp_path: Path) -> None:
    with stand(tmp_path) as own:
        made = own.make("c1", **{"max-jobs-per-context": 1})
        runs, waits = own.job(1, "c1"), own.job(2, "c1")
        own.until_began(1)
        again = own.told("POST", "/v1/contexts/c1/restart")
        assert (again["state"], again["id"], again["restarts_count"]) == ("running", made["id"], 1)
        assert again["process"] != made["process"]
        assert own.deck.wait(runs)["state"] == "stopped"
        own.until_began(2)
        (tmp_path / "go2").touch()
        assert own.deck.wait(waits)["state"] == "succeeded"
        assert own.deck.ask("POST", "/v1/contexts/none/restart")[0] == 404
        own.told("DELETE", "/v1/contexts/c1?force=true")
        own.until_context("c1", "killed")
        own.until_clear()


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.4, 0.8])
def test_a_server_that_is_killed_at_any_moment_goes_on(tmp_path: Path, delay_s: float) -> None:
    with stand(tmp_path) as own:
        own.does(start_s=0.3, memory_bytes=1)
        slow = {"spark.standin.make_s": "0.5", "spark.standin.stop_s": "0.5"}
        cut(own, "POST", "/v1/contexts", json.dumps({"name": "c1", "settings": slow}), delay_s)
        own.deck.start()
        if own.deck.ask("GET", "/v1/contexts/c1")[0] == 404:
            own.make("c1", **slow)
        own.until_context("c1", "running")
        assert len(own.processes()) == 1
        cut(own, "POST", "/v1/contexts/c1/restart", "", delay_s)
        own.deck.start()
        own.until_context("c1", "running")
        until(lambda: len(own.processes()) == 1, own.processes)
        cut(own, "DELETE", "/v1/contexts/c1", "", delay_s)
        own.deck.start()
        until(lambda: own.context("c1")["state"] not in ("starting", "restarting"))
        if own.context("c1")["state"] == "running":
            own.told("DELETE", "/v1/contexts/c1")  # it was killed before it heard of it
        own.until_context("c1", "finished")
        own.until_clear()


def cut(own: Stand, method: str, path: str, body: str, delay_s: float) -> None:
    """Ask for something, and kill the server a moment later."""
    connection = http.client.HTTPConnection("127.0.0.1", own.deck.port, timeout=30)
    connection.request(method, path, body)
    time.sleep(delay_s)
    own.deck.kill()
    connection.close()


@pytest.mark.slow
def test_what_has_died_while_there_was_no_server(tmp_path: Path) -> None:
    with stand(tmp_path) as own:
        dies, stays = own.make("dies"), own.make("stays")
        anew = own.make("anew", **{"context-restart": "always"})
        job = own.job(1, "dies")
        own.until_began(1)
        own.deck.kill()
        kill(dies["process"])
        kill(anew["process"])
        own.deck.start()
        assert own.until_context("dies", "error")["error"].startswith(f"{LOST} {dies['id']}")
        assert own.until_context("stays", "running")["process"] == stays["process"]
        assert own.until_context("anew", "running", restarts_count=1)["process"] != anew["process"]
        assert own.deck.wait(job)["error"].startswith(LOST)
        assert len(own.processes()) == 2


@pytest.mark.slow
def test_ready_ones(tmp_path: Path) -> None:
    with stand(tmp_path, "--spark-ready", "2") as own:
        until(lambda: len(own.processes("running")) == 2)
        ready = {job["id"]: job["command"] for job in own.processes("running")}
        assert set(ready.values()) == {"context, ready for whoever comes first"}
        made = own.make("c1")
        assert made["process"] in ready
        assert own.deck.job(made["process"])["command"] == "context c1"
        assert own.make("c2", launcher={"spark.driver.memory": "2g"})["process"] not in ready
        until(lambda: len(own.processes("running")) == 4)
        known = {job["id"] for job in own.processes()}
        own.restart()
        own.until_context("c1", "running")
        own.until_context("c2", "running")
        assert {job["id"] for job in own.processes()} == known
        (other,) = set(ready) - {made["process"]}
        kill(other)
        until(lambda: len(own.processes("running")) == 4)
        own.deck.stop()
        own.deck.flags = (*own.deck.flags, "--spark-ready", "1")
        own.deck.start()
        until(lambda: len(own.processes()) == 3)
        own.deck.stop()
        own.deck.flags = (*own.deck.flags, "--stop-jobs")
        own.deck.start()
        own.until_context("c1", "running")
        own.deck.stop()
        own.deck.flags = (*own.deck.flags[:-1], "--spark-ready", "0")
        own.deck.start()
        assert own.until_context("c1", "running")["process"] != made["process"]  # it was made anew, and has not died
        own.until_context("c2", "running")
        assert len(own.processes()) == 2
