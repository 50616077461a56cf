"""`jobdeck workers`, as a user and as a program see it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from jobdeck_protocol.workerinfo import WorkerInfo, WorkerState
from jobdeck_tui.commands.workersheet import sheet, table

from .conftest import Jobdeck, Server

NOW_US = 1_800_000_000_000_000
HERE = WorkerInfo(
    id="11111111-1111-4111-8111-111111111111",
    name="here",
    slots_count=64,
    running_count=3,
    address="127.0.0.1:8080",
    started_us=NOW_US - 60_000_000,
    seen_us=NOW_US,
)
FAR = WorkerInfo(
    id="22222222-2222-4222-8222-222222222222",
    name="far\x1b[31m",
    state=WorkerState.UNREACHABLE,
    engine="worker",
    labels=("gpu", "big\nlabel"),
    slots_count=8,
    started_us=NOW_US - 7_200_000_000,
    seen_us=NOW_US - 120_000_000,
)


def test_ls_and_show(server: Server, jobdeck: Jobdeck) -> None:
    (line,) = jobdeck("workers", "ls", "--json").stdout.splitlines()
    worker = json.loads(line)
    head, row = jobdeck("workers", "ls").stdout.decode().splitlines()
    assert head.split() == ["ID", "STATE", "SLOTS", "SEEN", "NAME"]
    assert re.fullmatch(rf"{worker['id']}  online  \d+/64 +0\.\ds +{re.escape(worker['name'])}", row)

    job_id = server.submit("sleep", "60")
    done = jobdeck("workers", "show", worker["id"][:8])
    assert done.returncode == 0
    assert f"id        {worker['id']}\n".encode() in done.stdout
    shown = json.loads(jobdeck("workers", "show", worker["name"], "--json").stdout)
    assert shown["address"] == server.url.removeprefix("http://")
    assert isinstance(shown["jobs"], list)
    for name in (worker["id"], worker["id"][:8], worker["name"]):
        listed = jobdeck("ls", "--worker", name, "--json").stdout.splitlines()
        assert job_id in [json.loads(job)["id"] for job in listed]
    assert jobdeck("ls", "--all", "--worker", "nobody", "--json").stdout == b""
    jobdeck("stop", job_id)


def test_a_worker_that_is_not_there(jobdeck: Jobdeck) -> None:
    done = jobdeck("workers", "show", "nobody")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"jobdeck: Worker nobody not found.\n")


def test_its_help_names_its_commands(jobdeck: Jobdeck) -> None:
    told = jobdeck("workers", "--help").stdout.decode()
    assert "  ls " in told
    assert "  show " in told


def test_the_table() -> None:
    lines = table([HERE, FAR], now_us=NOW_US, limit=None)
    assert lines[0].split() == ["ID", "STATE", "SLOTS", "SEEN", "NAME", "LABELS"]
    assert lines[1].split() == [HERE.id, "online", "3/64", "0.0s", "here"]
    assert lines[2].split()[:4] == [FAR.id, "unreachable", "0/8", "2m"]
    assert not any("\x1b" in line or "\n" in line for line in lines)
    assert "LABELS" not in table([HERE], now_us=NOW_US, limit=None)[0]
    many = replace(FAR, labels=tuple(f"label{n}" for n in range(50)))
    assert len(table([HERE, many], now_us=NOW_US, limit=None)[2]) > 300
    assert max(map(len, table([HERE, many], now_us=NOW_US, limit=100))) <= 100


def test_all_of_one() -> None:
    assert sheet(HERE, ["a", "b"], now_us=NOW_US) == [
        "id        11111111-1111-4111-8111-111111111111",
        "name      here",
        "state     online",
        "engine    local",
        "slots     3 of 64 in use",
        "address   127.0.0.1:8080",
        "since     2027-01-15T07:59:00.000000Z  (60s ago)",
        "seen      2027-01-15T08:00:00.000000Z  (0.0s ago)",
        "runs      a",
        "runs      b",
    ]
    assert not any("\x1b" in line or "\n" in line for line in sheet(FAR, [], now_us=NOW_US))
