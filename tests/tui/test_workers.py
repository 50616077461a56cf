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
    queued_count=12,
    load=3.5,
    free_bytes=2 * 1024**3,
    software="jobdeck 0.5.0",
    clock_skew_us=3_600_000_000,
    started_us=NOW_US - 7_200_000_000,
    seen_us=NOW_US - 120_000_000,
)


def test_ls_and_show(server: Server, jobdeck: Jobdeck) -> None:
    (line,) = jobdeck("workers", "ls", "--json").stdout.splitlines()
    worker = json.loads(line)
    head, row = jobdeck("workers", "ls").stdout.decode().splitlines()
    assert head.split() == ["ID", "STATE", "SLOTS", "WAITS", "LOAD", "SEEN", "NAME", "VERSION", "ADDRESS"]
    beginning = rf"{worker['id']}  online +\d+/64 +0 +\d+\.\d\d +0\.\ds +{re.escape(worker['name'])} +jobdeck [0-9.]+ "
    assert re.match(beginning, row)
    assert row.endswith("  " + server.url.removeprefix("http://"))

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
    for name in ("show", "drain", "undrain", "rename", "forget", "resume"):
        assert f"  {name} " in told


def test_drain_and_undrain(server: Server, jobdeck: Jobdeck) -> None:
    name = json.loads(jobdeck("workers", "ls", "--json").stdout)["name"]
    assert b" draining " in jobdeck("workers", "drain", name).stdout
    assert json.loads(jobdeck("workers", "ls", "--json").stdout)["state"] == "draining"
    waits = server.submit("true")
    assert json.loads(jobdeck("show", waits, "--json").stdout)["state"] == "queued"
    assert json.loads(jobdeck("workers", "undrain", name, "--json").stdout)["state"] == "online"
    assert jobdeck("attach", waits).returncode == 0


def test_what_the_servers_own_worker_refuses(jobdeck: Jobdeck) -> None:
    name = json.loads(jobdeck("workers", "ls", "--json").stdout)["name"]
    for arguments, words in (
        (("rename", name, "x"), b"it is named by jobdeck serve --worker-name"),
        (("forget", name), b"it cannot be forgotten, but drained"),
        (("forget", "--force", name), b"it cannot be forgotten, but drained"),
        (("drain", "nobody"), b"Worker nobody not found"),
    ):
        done = jobdeck("workers", *arguments)
        assert (done.returncode, done.stdout) == (1, b"")
        assert words in done.stderr
    assert jobdeck("workers", "resume").returncode == 0  # there is nothing to agree to


def test_a_run_chooses_its_worker(server: Server, jobdeck: Jobdeck) -> None:
    worker = json.loads(jobdeck("workers", "ls", "--json").stdout)
    job_id = jobdeck("run", "--detach", "--worker", worker["name"], "true").stdout.decode().strip()
    assert json.loads(jobdeck("show", job_id, "--json").stdout)["worker"] == worker["id"]
    head, row = jobdeck("ls", "--all", "--limit", "1").stdout.decode().splitlines()
    assert ("WORKER" in head.split(), worker["name"] in row) == (True, True)
    done = jobdeck("run", "--worker", "nobody", "true")
    assert (done.returncode, b"nobody" in done.stderr) == (125, True)
    waits = jobdeck("run", "--detach", "--worker-label", "a", "--worker-label", "b", "true").stdout.decode().strip()
    shown = jobdeck("show", waits).stdout.decode()
    assert "note      waits for a worker with labels a, b\n" in shown
    assert "needs     a worker with labels a, b\n" in shown
    jobdeck("stop", waits)


def test_the_table() -> None:
    lines = table([HERE, FAR], now_us=NOW_US, limit=None)
    assert lines[0].split() == ["ID", "STATE", "SLOTS", "WAITS", "LOAD", "SEEN", "NAME", "LABELS", "VERSION", "ADDRESS"]
    assert lines[1].split() == [HERE.id, "online", "3/64", "0", "0.0s", "here", "127.0.0.1:8080"]
    assert lines[2].split()[:6] == [FAR.id, "unreachable", "0/8", "12", "3.50", "2m"]
    assert not any("\x1b" in line or "\n" in line for line in lines)
    bare = table([HERE], now_us=NOW_US, limit=None)
    assert bare[0].split() == ["ID", "STATE", "SLOTS", "WAITS", "SEEN", "NAME", "ADDRESS"]
    many = replace(FAR, labels=tuple(f"label{n}" for n in range(50)))
    assert len(table([HERE, many], now_us=NOW_US, limit=None)[2]) > 300


def test_the_table_on_terminals() -> None:
    narrow = table([HERE, FAR], now_us=NOW_US, limit=80)
    assert narrow[0].split() == ["ID", "STATE", "SLOTS", "WAITS", "LOAD", "SEEN", "NAME", "LABELS"]
    assert [line.split()[0] for line in narrow[1:]] == [HERE.id[:8], FAR.id[:8]]
    wide = table([HERE, FAR], now_us=NOW_US, limit=200)
    assert wide[0].split()[-3:] == ["LABELS", "VERSION", "ADDRESS"]
    many = replace(FAR, name="n" * 60, labels=tuple(f"label{n}" for n in range(50)))
    for limit in (66, 80, 100, 132):
        lines = table([HERE, many], now_us=NOW_US, limit=limit)
        assert max(map(len, lines)) <= limit
        assert all("LABELS" in line or "label" in line or "here" in line for line in lines)
    twin = replace(HERE, id=HERE.id[:-1] + "2")
    assert table([HERE, twin], now_us=NOW_US, limit=80)[1].startswith(HERE.id)


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
    far = sheet(FAR, [], now_us=NOW_US)
    assert not any("\x1b" in line or "\n" in line for line in far)
    assert far[4:11] == [
        "slots     0 of 8 in use",
        "waiting   12 for this worker",
        "labels    gpu, big label",
        "version   jobdeck 0.5.0",
        "load      3.50",
        "free      2.0 GiB on its disk",
        "clock     +3600.0 s beside the server's",
    ]
