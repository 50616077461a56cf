"""The server as a program: its end and its start again, its lists and limits, and what it tells of itself."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from jobdeck_keeper.records import read_record
from tests.e2e.native import ids, post, submitted, until
from tests.e2e.procs import alive, pid_of
from tests.e2e.program import JOBDECK, Server, keeper_pids, server
from tests.e2e.wire import ask


def has_printed(running: Server, job_id: str) -> bool:
    return running.attach(job_id, "?follow=false") != b""


def stop_all(data_dir: Path) -> subprocess.CompletedProcess[str]:
    words = [*JOBDECK, "stop", "--all", "--data-dir", str(data_dir)]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)


# -- end and start --


@pytest.mark.slow
def test_jobs_of_all_kinds_over_a_restart(tmp_path: Path) -> None:
    """In a data directory of 200 characters: one runs on, one ends meanwhile, one waits in the queue, one had ended."""
    data_dir = tmp_path / ("d" * max(1, 200 - len(str(tmp_path)) - 1))
    assert len(str(data_dir)) >= 200
    with server(data_dir, "--running-limit", "2") as running:
        ended = submitted(running, "echo ended; exit 3")
        running.wait(ended)
        long = submitted(running, f"echo begin; until [ -e {tmp_path}/go ]; do sleep 0.02; done; echo end; exit 4")
        wait = f"until [ -e {tmp_path}/alone ]; do sleep 0.02; done"
        short = submitted(running, f"echo one; {wait}; echo two; kill -9 $$")
        waiting = submitted(running, "echo at last; exit 5", labels=["late"])
        until(lambda: running.job(long)["state"] == running.job(short)["state"] == "running")
        assert running.job(waiting)["state"] == "queued"
        assert running.attach(waiting, "?follow=false") == b""
        assert running.stop() == 0
        assert "3 jobs run on; the next server finds them; end them with: jobdeck stop --all" in running.log.read_text()
        assert not (data_dir / "server.json").exists()
        (tmp_path / "alone").touch()
        until(lambda: "exit" in read_record(data_dir / "jobs" / short / "record"))
        running.start()
        assert re.search(
            r"found \d running, \d waiting, 1 ended meanwhile, 0 without a record", running.log.read_text()
        )
        assert running.job(long)["state"] == "running"
        told = {job_id: running.wait(job_id) for job_id in (short, waiting, ended)}
        (tmp_path / "go").touch()
        told[long] = running.wait(long)
        ends = {job_id: (job["state"], job["exit_code"], job["signal"]) for job_id, job in told.items()}
        assert ends == {
            ended: ("failed", 3, None),
            long: ("failed", 4, None),
            short: ("failed", None, 9),
            waiting: ("failed", 5, None),
        }
        outputs = [running.attach(job_id) for job_id in (ended, long, short, waiting)]
        assert outputs == [b"ended\n", b"begin\nend\n", b"one\ntwo\n", b"at last\n"]
        assert told[waiting]["labels"] == ["late"]


@pytest.mark.slow
def test_stop_all_with_and_without_a_server(tmp_path: Path) -> None:
    """Everything ends, is told, and nothing is left behind; the next server knows how each ended."""
    with server(tmp_path / "data", "--running-limit", "2") as running:
        first = [submitted(running, "trap 'exit 6' TERM; echo x; while :; do sleep 0.05; done") for _ in range(2)]
        queued = submitted(running, "echo never")
        for job_id in first:
            until(partial(has_printed, running, job_id))
        assert running.stop() == 0
        done = stop_all(tmp_path / "data")
        assert done.returncode == 0
        assert sorted(done.stdout.splitlines()) == sorted(
            [f"{job_id}  ended with code 6" for job_id in first] + [f"{queued}  had not started and never will"]
        )
        assert stop_all(tmp_path / "data").returncode == 0
        running.start()
        ends = {
            job_id: (running.wait(job_id)["state"], running.job(job_id)["exit_code"]) for job_id in [*first, queued]
        }
        assert ends == {first[0]: ("stopped", 6), first[1]: ("stopped", 6), queued: ("stopped", None)}
        other = submitted(running, "sleep 30")
        until(lambda: running.job(other)["state"] == "running")
        assert f"{other}  ended by SIGTERM" in stop_all(tmp_path / "data").stdout
        assert (running.wait(other)["state"], running.wait(other)["signal"]) == ("stopped", 15)


@pytest.mark.slow
def test_stop_jobs_ends_what_runs_and_what_waits(tmp_path: Path) -> None:
    with server(tmp_path / "data", "--stop-jobs", "--running-limit", "1") as running:
        runs, waits = submitted(running, "echo $$; exec sleep 30"), submitted(running, "touch never")
        until(lambda: running.attach(runs, "?follow=false"))
        child = int(running.attach(runs, "?follow=false"))
        assert running.stop(signal.SIGTERM) == 0
        assert "stopping 2 jobs" in running.log.read_text()
        assert not alive(child)
        running.flags = ()
        running.start()
        jobs = [running.job(job_id) for job_id in (runs, waits)]
        assert [job["state"] for job in jobs] == ["stopped", "stopped"]
        assert [(job["signal"], job["exit_code"]) for job in jobs] == [(15, None), (None, None)]
        assert not Path("never").exists()


@pytest.mark.slow
def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """No zombie and no open file for each of fifty jobs; no process but server and keeper (and its spare shims)."""
    with server(tmp_path / "data") as running:
        running.attach(running.submit("true"))
        fds_count = len(os.listdir(f"/proc/{pid_of(running)}/fd"))
        for job_id in [running.submit(f"echo {n}") for n in range(50)]:
            running.attach(job_id)
            running.wait(job_id)
        until(lambda: len(os.listdir(f"/proc/{pid_of(running)}/fd")) <= fds_count + 1)
        keeper = min(keeper_pids(running.data_dir))
        until(lambda: len([pid for pid in keeper_pids(running.data_dir) if alive(pid)]) <= 6)
        children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        until(lambda: all(alive(int(pid)) for pid in children if Path(f"/proc/{pid}").exists()))
        running.stop()
    until(lambda: not [pid for pid in keeper_pids(tmp_path / "data") if alive(pid)])


# -- admission --


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two jobs at once; outputs of more than 100 kB together do not last."""
    folder = tmp_path_factory.mktemp("narrow")
    (folder / "config.toml").write_text(
        'running_limit = 2\nretain_jobs = 40\nretain_output = "100kB"\n'
        "[limits]\nretention_interval_s = 0.1\nqueued_limit_count = 5\n"
    )
    with server(folder / "data", "--config", str(folder / "config.toml")) as running:
        yield running


def test_over_the_limit_jobs_wait_in_order(narrow: Server, tmp_path: Path) -> None:
    job_ids = [submitted(narrow, f"echo {n} >>{tmp_path}/order; sleep 0.5") for n in range(6)]
    states = [narrow.job(job_id)["state"] for job_id in job_ids]
    assert states[2:] == ["queued"] * 4
    assert json.loads(narrow.ask("GET", "/")[2])["IDs"] == job_ids
    for job_id in job_ids:
        assert narrow.wait(job_id)["exit_code"] == 0
    order = (tmp_path / "order").read_text().split()
    assert sorted(order[:2]) == ["0", "1"]
    assert sorted(order) == sorted(map(str, range(6)))
    jobs = [narrow.job(job_id) for job_id in job_ids]
    # two slots: neighbours may start at the same moment, each on its own shim
    assert all(jobs[n + 2]["started"] >= jobs[n]["started"] for n in range(4))
    assert all(jobs[n + 2]["started"] >= min(jobs[n]["finished"], jobs[n + 1]["finished"]) for n in range(4))


def test_queued_jobs_are_attached_to_stopped_and_refused_beyond_a_limit(narrow: Server) -> None:
    blockers = [narrow.submit("sleep 30") for _ in range(2)]
    waiting = [submitted(narrow, f"echo {n}") for n in range(5)]
    refused = post(narrow, {"command": "true"})
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert json.loads(refused.body)["detail"] == "The queue of jobs is full; try again later."
    answer = ask(narrow.port, "POST", "/", b'{"CommandLine":"true"}')
    assert (answer.status, answer.text) == (503, "The queue of jobs is full; try again later.\n")
    assert ask(narrow.port, "DELETE", f"/{waiting[0]}").status == 200
    assert ask(narrow.port, "POST", f"/v1/jobs/{waiting[1]}/stop").status == 202
    for job_id in waiting[:2]:
        job = narrow.job(job_id)
        assert (job["state"], job["started"], job["exit_code"], job["signal"]) == ("stopped", None, None, None)
        assert narrow.attach(job_id) == b""
    conflict = ask(narrow.port, "POST", f"/v1/jobs/{waiting[2]}/signal", b'{"signal":15}')
    assert conflict.status == 409
    for job_id in blockers:
        ask(narrow.port, "DELETE", f"/{job_id}")
    assert [narrow.attach(job_id) for job_id in waiting[2:]] == [b"2\n", b"3\n", b"4\n"]


# -- retention --


def test_output_beyond_the_limit_is_removed_and_said_to_be(narrow: Server) -> None:
    """410 over HTTP, and a gap with the subprotocol; the record stays."""
    job_ids = []
    for _ in range(3):  # one after the other: the one that ended first goes first
        job_ids.append(narrow.submit("head -c 60000 /dev/zero; exit 3"))
        narrow.wait(job_ids[-1])
    until(lambda: narrow.job(job_ids[0])["output_removed"])
    assert narrow.job(job_ids[2])["output_removed"] is False
    answer = ask(narrow.port, "GET", f"/{job_ids[0]}/attach")
    assert (answer.status, answer.text) == (410, f"The output of job {job_ids[0]} is no longer kept.\n")
    for path in (f"/v1/jobs/{job_ids[0]}/output",):
        gone = ask(narrow.port, "GET", path)
        assert (gone.status, json.loads(gone.body)["title"]) == (410, "Gone")
    job = narrow.job(job_ids[0])
    assert (job["exit_code"], job["output_bytes"]) == (3, 60000)
    assert len(narrow.attach(job_ids[2])) == 60000
    assert f"output of job {job_ids[0]} removed: 60000 bytes" in narrow.log.read_text()


@pytest.mark.slow
def test_more_jobs_than_are_to_be_kept(narrow: Server) -> None:
    first = narrow.submit("echo first")
    narrow.wait(first)
    running = narrow.submit("sleep 30")
    for _ in range(42):
        narrow.attach(narrow.submit("true"))
    until(lambda: ask(narrow.port, "GET", f"/v1/jobs/{first}").status == 404)
    until(lambda: len(ids(narrow, "?limit=1000")) <= 40)
    assert ask(narrow.port, "GET", f"/{first}/attach").text == f"Job {first} not found.\n"
    until(lambda: not (narrow.data_dir / "jobs" / first).exists())
    assert narrow.job(running)["state"] == "running"
    assert sum(json.loads(narrow.ask("GET", "/v1/info")[2])["counts"].values()) == len(ids(narrow, "?limit=1000"))
    ask(narrow.port, "DELETE", f"/{running}")
