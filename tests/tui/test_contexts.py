"""`jobdeck contexts`, as a user and as a program see it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from jobdeck_client import ContextDetails
from jobdeck_protocol.contextinfo import ContextInfo, ContextState
from jobdeck_tui.commands.contextsheet import sheet, table

from .conftest import Jobdeck

NOW_US = 1_800_000_000_000_000
ONE = ContextInfo(
    id="c",
    name="one\x1b[31m",
    adhoc=True,
    state=ContextState.ERROR,
    settings={"a": {"b": 1, "c": {}}, "d": "e\x07"},
    slots_count=8,
    running_count=2,
    queued_count=3,
    created_us=NOW_US - 7_200_000_000,
    ended_us=NOW_US,
    error="no",
    python="/usr/bin/python3",
)


def test_create_ls_show_and_stop(jobdeck: Jobdeck, tmp_path: Path) -> None:
    conf = tmp_path / "settings.conf"
    conf.write_text("max-jobs-per-context = 5\nnum-cpu-cores = 2\n")
    assert jobdeck("contexts", "ls").stderr == b"jobdeck: no contexts\n"
    made = jobdeck("contexts", "create", "reports", "--settings", str(conf), "--set", "max-jobs-per-context=3")
    assert (made.returncode, made.stderr) == (0, b"")
    again = jobdeck("contexts", "create", "reports")
    assert (again.returncode, again.stderr) == (1, b"jobdeck: context reports exists\n")
    head, row = jobdeck("contexts", "ls").stdout.decode().splitlines()
    assert head.split() == ["STATE", "KIND", "JOBS", "WAIT", "AGE", "NAME"]
    assert re.fullmatch(r"running +plain +0/3 +0 +[0-9.]+m?s +reports", row)
    told = json.loads(jobdeck("contexts", "ls", "--json").stdout)
    assert told["settings"] == {"max-jobs-per-context": 3, "num-cpu-cores": 2}
    assert "setting   num-cpu-cores = 2\n" in jobdeck("contexts", "show", "reports").stdout.decode()
    again = jobdeck("contexts", "restart", "nothing", "reports")
    assert (again.returncode, again.stderr) == (1, b"jobdeck: nothing: Context nothing not found.\n")
    stopped = jobdeck("contexts", "stop", "reports", "nothing")
    assert (stopped.returncode, stopped.stderr) == (1, b"jobdeck: nothing: Context nothing not found.\n")
    assert jobdeck("contexts", "ls").stderr == b"jobdeck: no contexts\n"
    found = json.loads(jobdeck("contexts", "show", "--json", "reports").stdout)
    assert (found["state"], found["jobs"], found["id"]) == ("finished", [], told["id"])


def test_what_is_refused(jobdeck: Jobdeck, tmp_path: Path) -> None:
    for arguments, why in (
        (("1x",), b"context name must start with letters"),
        (("x", "--set", "context-factory=no.such.Factory"), b"no context-factory"),
        (("x", "--set", "!!"), b"Cannot parse config"),
        (("x", "--settings", str(tmp_path / "none")), b"No such file"),
    ):
        refused = jobdeck("contexts", "create", *arguments)
        assert refused.returncode == 1
        assert why in refused.stderr
    assert jobdeck("contexts", "ls").stderr == b"jobdeck: no contexts\n"


def test_one_on_spark_is_told_where_and_how_large() -> None:
    spark = replace(
        ONE,
        name="spark",
        kind="spark",
        state=ContextState.RESTARTING,
        master="spark://far:7077",
        application="app-1\x1b",
        ui="http://127.0.0.1:4040",
        memory_bytes=3 << 29,
        process="0123456789",
        restarts_count=2,
        note="starting Java",
    )
    plain = replace(ONE, state=ContextState.RUNNING, kind="plain")
    wide, narrow, least = (table([spark, plain], now_us=NOW_US, limit=limit) for limit in (100, 72, 52))
    assert wide[0].split() == ["STATE", "KIND", "MASTER", "JOBS", "WAIT", "MEMORY", "AGE", "NAME"]
    assert wide[1].split()[2:] == ["spark://far:7077", "2/8", "3", "1.5", "GiB", "2h", "spark", "(starting", "Java)"]
    assert narrow[0].split() == ["STATE", "KIND", "JOBS", "WAIT", "MEMORY", "AGE", "NAME"]
    assert least[0].split() == ["STATE", "KIND", "JOBS", "WAIT", "NAME"]
    assert max(map(len, narrow)) <= 72
    assert max(map(len, least)) <= 52
    told = sheet(ContextDetails(context=spark, jobs=()), now_us=NOW_US)
    assert "note      starting Java" in told
    assert "memory    1.5 GiB" in told
    assert "process   0123456789  (jobdeck attach 01234567 shows its log)" in told
    assert not any("\x1b" in line for line in told)


def test_lines_hold_nothing_foreign_and_fit() -> None:
    lines = table([ONE], now_us=NOW_US, limit=60)
    assert lines[1].split()[:5] == ["error", "plain", "2/8", "3", "2h"]
    told = sheet(ContextDetails(context=ONE, jobs=("j\x1b",)), now_us=NOW_US)
    assert not any("\x1b" in line or "\x07" in line for line in (*lines, *told))
    assert "setting   a.b = 1" in told
    assert "setting   a.c = {}" in told
    assert "jobs      2 of 8 at a time, 3 waiting" in told
    assert told[-1].startswith("job ")
