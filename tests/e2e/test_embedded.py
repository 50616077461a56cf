"""A server that lives as long as the program that started it: ``jobdeck serve --until-eof``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.native import submitted, until
from tests.e2e.program import JOBDECK, START_LIMIT_S, Server, end_keeper, server

FLAGS = ("serve", "--until-eof", "--listen", "127.0.0.1:0", "--data-dir")


@contextmanager
def embedded(data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server at whose standard input the test sits; its standard output must stay empty."""
    process = subprocess.Popen(
        [*JOBDECK, *FLAGS, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        with process:
            yield process
            process.kill()
    finally:
        end_keeper(data_dir)


def told(data_dir: Path) -> dict[str, Any]:
    """What it says of itself once it serves."""
    until((data_dir / "server.json").exists, START_LIMIT_S)
    found: dict[str, Any] = json.loads((data_dir / "server.json").read_text())
    return found


def asker(data_dir: Path) -> Server:
    deck = Server(data_dir)
    deck.port = int(told(data_dir)["urls"][0].rsplit(":", 1)[1])
    return deck


@pytest.mark.slow
def test_it_ends_in_order_with_its_input_and_its_jobs_run_on(tmp_path: Path) -> None:
    with embedded(tmp_path / "data") as process:
        deck = asker(tmp_path / "data")
        assert told(tmp_path / "data")["pid"] == process.pid
        job_id = submitted(deck, "echo on standard output; sleep 100")
        until(lambda: deck.job(job_id)["state"] == "running")
        assert process.stdin is not None
        process.stdin.write(b"thrown away\n" * 100_000)
        process.stdin.flush()
        assert deck.job(job_id)["state"] == "running"
        process.stdin.close()
        assert process.wait(START_LIMIT_S) == 0
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read() == b""
        assert b"ending" in process.stderr.read()
        assert not (tmp_path / "data" / "server.json").exists()
        with server(tmp_path / "data") as after:
            assert after.job(job_id)["state"] == "running"


def test_signals_end_it_as_ever(tmp_path: Path) -> None:
    with embedded(tmp_path / "data") as process:
        told(tmp_path / "data")
        process.send_signal(signal.SIGTERM)
        assert process.wait(START_LIMIT_S) == 0


HASTY = """
import os, signal, sys
from jobdeck_server.core.datadir import DataDir
from jobdeck_tui.main import main

tell = DataDir.tell

def told_and_signalled(self, *words):
    tell(self, *words)
    os.kill(os.getpid(), signal.SIGTERM)

DataDir.tell = told_and_signalled
sys.argv = ["jobdeck", "serve", "--listen", "127.0.0.1:0", "--data-dir", sys.argv[1]]
main()
"""


def test_who_reads_where_it_is_may_end_it_at_once(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", HASTY, str(tmp_path / "data")], capture_output=True, timeout=50)
    assert (done.returncode, b"ending" in done.stderr) == (0, True), done.stderr
    end_keeper(tmp_path / "data")


OWNER = """
import subprocess, sys, time
subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)
time.sleep(1000)
"""


def test_it_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with (tmp_path / "log").open("wb") as log:
        owner = subprocess.Popen([sys.executable, "-c", OWNER, *JOBDECK, *FLAGS, str(data_dir)], stdout=log, stderr=log)
        try:
            pid = told(data_dir)["pid"]
            owner.kill()
            owner.wait()
            until(lambda: not (data_dir / "server.json").exists() and not _runs(pid), START_LIMIT_S)
        finally:
            owner.kill()
            end_keeper(data_dir)


@pytest.mark.slow
def test_without_any_input_it_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1_000_000)
    command = [*JOBDECK, *FLAGS, str(tmp_path / "data")]
    for name, words in (("file", command), ("nothing at all", ["bash", "-c", 'exec "$@" <&-', "bash", *command])):
        with (tmp_path / "file").open("rb") as source:
            done = subprocess.run(words, stdin=source, capture_output=True, timeout=START_LIMIT_S, check=False)
        assert (done.returncode, done.stdout) == (0, b""), (name, done.stderr)
    end_keeper(tmp_path / "data")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
