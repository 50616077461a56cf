"""`jobdeck stop --all` without a server, against a real keeper."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import jobdeck_keeper
from jobdeck_server.commands.keeperlink import KeeperLink, NoKeeperError
from jobdeck_server.commands.stopall import stop_all


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data directory with a keeper, whose path is longer than a socket's may be."""
    folder = tmp_path / ("long-" * 25)
    (folder / "jobs").mkdir(parents=True)
    program = [sys.executable, "-I", "-S", os.path.dirname(jobdeck_keeper.__file__), str(folder), "--no-cgroup"]
    keeper = subprocess.Popen(
        program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd="/", start_new_session=True
    )
    assert keeper.stdout is not None
    assert keeper.stdout.readline() == b"ready\n"
    yield folder
    with KeeperLink(folder) as link:
        for job_id in link.ask("list")["jobs"]:
            link.ask("stop", id=job_id, signal=9, grace_s=0, reason="requested")
        link.ask("retire")
    keeper.wait(10)
    keeper.stdout.close()


def spawn(link: KeeperLink, command: str) -> str:
    job_id = str(uuid.uuid4())
    step = {"argv": ["bash", "-c", command], "executable": None, "env": {"PATH": os.environ["PATH"]}, "cwd": "/"}
    answer = link.ask(
        "spawn",
        spec={
            "id": job_id,
            "steps": [step],
            "stdin": False,
            "linger_s": 1.0,
            "grace_s": 1.0,
            "time_limit_s": None,
            "output_limit_bytes": 10**6,
            "index_limit_bytes": 10**6,
            "on_limit": "drop",
            "order": "exact",
        },
    )
    assert answer["status"] == "accepted"
    return job_id


def wait_for(path: Path) -> None:
    end_s = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def queue(data: Path, job_id: str) -> None:
    """A database as a server leaves it, with one job in its queue."""
    connection = sqlite3.connect(data / "jobdeck.sqlite3")
    connection.execute("create table job (id text, state text)")
    connection.executemany("insert into job values (?, ?)", [(job_id, "queued"), (str(uuid.uuid4()), "succeeded")])
    connection.commit()
    connection.close()


def test_everything_ends(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with KeeperLink(data) as link:
        polite = spawn(link, f"trap 'exit 4' TERM; touch {tmp_path}/a; while :; do sleep 0.01; done")
        stubborn = spawn(link, f"trap '' TERM; touch {tmp_path}/b; while :; do sleep 0.01; done")
    wait_for(tmp_path / "a")
    wait_for(tmp_path / "b")
    queued = str(uuid.uuid4())
    queue(data, queued)

    assert stop_all(str(data), 0.3) == 0

    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert lines == {
        polite: "ended with code 4",
        stubborn: "ended by SIGKILL",
        queued: "had not started and never will",
    }
    with KeeperLink(data) as link:
        assert link.ask("list")["jobs"] == []
        assert link.ask("facts", id=queued)["facts"]["claim"]["never"] is True


def test_nothing_to_do(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stop_all(str(data), None) == 0
    assert capsys.readouterr().out == f"Nothing runs under {data}.\n"


def test_without_a_keeper(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stop_all(str(tmp_path), None) == 0
    assert stop_all(str(tmp_path / "missing"), None) == 0
    queue(tmp_path, "00000000-0000-4000-8000-000000000000")
    assert stop_all(str(tmp_path), None) == 1
    assert "with the next server: 1." in capsys.readouterr().err
    with pytest.raises(NoKeeperError):
        KeeperLink(tmp_path)
