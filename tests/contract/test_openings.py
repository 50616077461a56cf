"""What the original left open, point by point: the thirteen things that a successor must solve, each with a test."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.contract.test_routes import post, refused
from tests.e2e.procs import TICK_S, cpu_s, listening, pid_of, rss_bytes
from tests.e2e.program import JOBDECK, Server, keeper_pids, server
from tests.e2e.wire import Chunks, ask, jobs_count, request, tell


class Follower:
    """An attach on a connection of its own, from which the test reads when it wants to."""

    def __init__(self, running: Server, job_id: str, *, receive_bytes: int | None = None) -> None:
        self.sock = socket.socket()
        if receive_bytes is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.settimeout(20)
        self.sock.connect(("127.0.0.1", running.port))
        self.sock.sendall(request("GET", f"/{job_id}/attach"))
        self.chunks = Chunks()
        self.head = b""

    def read_head(self) -> bytes:
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self.sock.recv(1)
        return self.head

    def read(self) -> bytes:
        """What comes next; empty at the end of the connection."""
        return b"".join(self.chunks.feed(self.sock.recv(1 << 20)))

    def read_all(self) -> bytes:
        self.read_head()
        parts = []
        while not self.chunks.ended:
            data = self.sock.recv(1 << 20)
            assert data, "no last chunk"
            parts += list(map(bytes, self.chunks.feed(data)))
        self.sock.close()
        return b"".join(parts)


def test_01_attach_delivers_the_head_at_once_and_each_line_as_it_comes(jobrunner: Server) -> None:
    job_id = jobrunner.submit('sleep 0.5; for i in 1 2 3; do echo "$i $EPOCHREALTIME"; sleep 0.3; done')
    begin = time.monotonic()
    follower = Follower(jobrunner, job_id)
    assert follower.read_head().startswith(b"HTTP/1.1 200 OK\r\n")
    assert time.monotonic() - begin < 0.4, "the head came with the first output"
    for number in (b"1", b"2", b"3"):
        name, printed = follower.read().split()
        assert name == number
        assert time.time() - float(printed) < 0.25
    assert follower.read() == b""
    assert follower.chunks.ended
    follower.sock.close()


def test_02_no_start_is_lost_and_finished_jobs_are_served(jobrunner: Server) -> None:
    for _ in range(20):
        assert jobrunner.attach(jobrunner.submit("echo first; echo last")) == b"first\nlast\n"
    job_id = jobrunner.submit("seq 1 1000")
    jobrunner.wait(job_id)
    expected = b"".join(b"%d\n" % n for n in range(1, 1001))
    assert [jobrunner.attach(job_id) for _ in range(3)] == [expected] * 3


def test_03_bytes_are_right(jobrunner: Server) -> None:
    """The original had less than half of the lines of ``seq 1 1000000`` right."""
    expected = b"".join(b"%d\n" % n for n in range(1, 1_000_001))
    job_id = jobrunner.submit("seq 1 1000000")
    assert jobrunner.attach(job_id) == expected
    assert jobrunner.attach(job_id) == expected


def test_04_no_processor_time_when_idle(jobrunner: Server) -> None:
    """With idle attachers, and after jobs that were attached to; the original took a whole core."""
    for _ in range(20):
        jobrunner.attach(jobrunner.submit("echo x"))
    job_id = jobrunner.submit("sleep 60")
    followers = [Follower(jobrunner, job_id) for _ in range(20)]
    for follower in followers:
        follower.read_head()
    time.sleep(0.3)
    pids = [pid_of(jobrunner), *keeper_pids(jobrunner.data_dir)]
    before = sum(map(cpu_s, pids))
    time.sleep(2)
    used = sum(map(cpu_s, pids)) - before
    for follower in followers:
        follower.sock.close()
    ask(jobrunner.port, "DELETE", f"/{job_id}")
    assert used <= 3 * TICK_S, f"{used:.3f} s of processor time in 2 s"


def test_05_memory_is_bounded_with_slow_readers(jobrunner: Server) -> None:
    """The original grew to 592 MB for one that slept."""
    before = rss_bytes(pid_of(jobrunner))
    job_id = jobrunner.submit("head -c 50000000 /dev/zero")
    sleepers = [Follower(jobrunner, job_id, receive_bytes=4096) for _ in range(10)]
    jobrunner.wait(job_id)
    growth = rss_bytes(pid_of(jobrunner)) - before
    tell(f"10 attachers that do not read 50 MB each: server grew by {growth / 1e6:.1f} MB")
    assert growth < 20e6
    assert sleepers[0].read_all() == bytes(50_000_000)
    for sleeper in sleepers[1:]:
        sleeper.sock.close()


def test_06_fan_out_completes(jobrunner: Server) -> None:
    """The original failed at 10 attachers; see tests/e2e/test_attach_many.py for 100 and more data."""
    job_id = jobrunner.submit("sleep 0.3; seq 1 100000")
    followers = [Follower(jobrunner, job_id) for _ in range(100)]
    expected = b"".join(b"%d\n" % n for n in range(1, 100_001))
    assert all(follower.read_all() == expected for follower in followers)


def test_07_how_a_job_ended_is_told(jobrunner: Server) -> None:
    """The whole group dies and no DELETE hangs: see test_running. Here: code and signal are told, in a trailer too."""
    for script, name, value in (("exit 3", "jobdeck-exit-code", "3"), ("kill -11 $$", "jobdeck-signal", "11")):
        job_id = jobrunner.submit(script)
        answer = ask(jobrunner.port, "GET", f"/{job_id}/attach", headers={"TE": "trailers"})
        assert answer.trailers == {"jobdeck-state": "failed", name: value}
        job = jobrunner.wait(job_id)
        assert value in (str(job["exit_code"]), str(job["signal"]))


def test_08_start_failures_are_reported_and_not_listed(jobrunner: Server, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    body = {"argv": ["/no/such/program"], "cwd": str(folder)}
    job = json.loads(ask(jobrunner.port, "POST", "/v1/jobs", json.dumps(body).encode()).body)
    ended = jobrunner.wait(job["id"])
    assert ended["state"] == "failed"
    assert "/no/such/program" in ended["error"]
    assert "No such file" in ended["error"]
    assert job["id"] not in json.loads(ask(jobrunner.port, "GET", "/").body)["IDs"]
    assert jobrunner.attach(job["id"]) == b""


def test_09_jobs_that_outlive_their_shell_end_and_are_seen(jobrunner: Server) -> None:
    """``linger_s`` bounds how long holders of the output keep a job running; its code is the shell's all the same."""
    body = {"command": "sleep 60 & echo gone; exit 4", "linger_s": 0.3, "grace_s": 1}
    job_id = json.loads(ask(jobrunner.port, "POST", "/v1/jobs", json.dumps(body).encode()).body)["id"]
    assert jobrunner.attach(job_id) == b"gone\n"
    job = jobrunner.wait(job_id, 5)
    assert (job["state"], job["exit_code"]) == ("failed", 4)


def test_10_limits_and_loopback(jobrunner: Server) -> None:
    """Body, environment and number of commands are limited; nothing but loopback listens. Tokens: test_refusals."""
    before = jobs_count(jobrunner.port)
    big = post(jobrunner, b'{"CommandLine":"' + b"x" * (5 << 20) + b'"}')
    refused(big, 413, "The body is over the limit of 4194304 bytes.")
    long = post(jobrunner, {"CommandLine": "x" * (128 << 10)})
    refused(long, 413, "A part of command is over the limit of 131071 bytes.")
    many = post(jobrunner, {"CommandLine": "true", "Environment": {f"V{n}": "" for n in range(5000)}})
    refused(many, 413, "The environment is over the limit of 4096 variables.")
    wide = post(jobrunner, {"CommandLine": "true", "Environment": {f"V{n}": "x" * 65536 for n in range(20)}})
    refused(wide, 413, "The environment is over the limit of 1048576 bytes.")
    assert jobs_count(jobrunner.port) == before
    assert listening(pid_of(jobrunner)) == {f"0100007F:{jobrunner.port:04X}"}


def test_11_json_is_called_json(jobrunner: Server) -> None:
    """The empty list is a list (see test_examples), wrong methods are 405 (see test_routes)."""
    connection = http.client.HTTPConnection("127.0.0.1", jobrunner.port, timeout=10)
    for method, body in (("GET", None), ("POST", b'{"CommandLine":"true"}')):
        connection.request(method, "/", body)
        answer = connection.getresponse()
        assert answer.headers["content-type"] == "application/json"
        json.loads(answer.read())
    connection.close()


@pytest.fixture(scope="module")
def rooted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A work root with a folder, and a way out of it."""
    folder = tmp_path_factory.mktemp("rooted")
    root = folder / "root"
    (root / "inside").mkdir(parents=True)
    (root / "way out").symlink_to(folder)
    (folder / "root2").mkdir()
    return folder, root


def test_12_working_dir_cannot_escape(rooted: tuple[Path, Path], tmp_path: Path) -> None:
    """The original created ``../../escape`` outside its base."""
    folder, root = rooted
    with server(tmp_path / "data", "--work-root", str(root)) as running:
        for inside in ("inside", str(root / "inside"), "inside/../inside", "way out/root/inside"):
            body = {"CommandLine": "pwd -P", "WorkingDir": inside}
            assert running.attach(json.loads(post(running, body).body)["ID"]) == os.fsencode(root / "inside") + b"\n"
        assert running.attach(running.submit("pwd -P")) == os.fsencode(root) + b"\n"
        for outside in ("..", "/", str(folder), "way out", "inside/../..", "../root2", str(folder / "root2")):
            answer = post(running, {"CommandLine": "pwd", "WorkingDir": outside})
            assert answer.status == 400
            assert "is outside the server's work root." in answer.text
        assert post(running, {"CommandLine": "pwd", "WorkingDir": "../../escape"}).status == 400
        assert not (folder.parent / "escape").exists()


@pytest.mark.slow
def test_13_shutdown_keeps_the_jobs_or_ends_them(tmp_path: Path) -> None:
    with server(tmp_path / "data") as running:
        job_id = running.submit("trap 'echo stopped; exit 9' TERM; echo $$; while :; do sleep 0.05; done")
        while not (text := running.attach(job_id, "?follow=false")).endswith(b"\n"):
            time.sleep(0.01)
        process = Path(f"/proc/{int(text)}")
        assert running.stop(signal.SIGTERM) == 0
        assert "1 job runs on; the next server finds it; end it with: jobdeck stop --all" in running.log.read_text()
        assert process.exists()
        running.flags = ("--stop-jobs",)
        running.start()
        assert running.job(job_id)["state"] == "running"
        assert running.stop(signal.SIGINT) == 0
        assert "stopping 1 job" in running.log.read_text()
        assert not process.exists()
        running.start()
        job = running.job(job_id)
        assert (job["state"], job["exit_code"]) == ("stopped", 9)
        assert running.attach(job_id).endswith(b"stopped\n")


def test_13_the_help_says_so() -> None:
    done = subprocess.run([*JOBDECK, "serve", "--help"], capture_output=True, text=True, check=True, timeout=20)
    told = " ".join(done.stdout.split())
    assert "Ctrl-C ends it and leaves the jobs running" in told
    assert "--stop-jobs Stop all jobs when the server is told to end." in told
