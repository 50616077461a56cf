"""The process of a Spark context without Spark: a Java that is none, and a py4j that reaches nobody.

What needs a SparkContext is tested with a real one, in ``tests/spark/test_process.py``.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobdeck_server.spark.launch import process_command
from tests.server.spark.test_masters import PROCESSPATH
from tests.spark.processes import Process, Wire, is_gone, until

JAVAS = Path(__file__).parent / "javas.py"
PY4J = (
    "class GatewayParameters:\n    def __init__(self, **told): pass\n\n\nclass JavaGateway(GatewayParameters): pass\n"
)


@contextmanager
def process(
    folder: Path, how: str = "", *, archive: Path | None = None, limits: Mapping[str, float] | None = None
) -> Iterator[Process]:
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "py4j.zip", "w") as packed:
        packed.writestr("py4j/__init__.py", "")
        packed.writestr("py4j/java_gateway.py", PY4J)
    java = folder / "java"
    java.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {JAVAS} "$@"\n')
    java.chmod(0o755)
    plan = {
        "java": [str(java), how],
        "archive": None if archive is None else str(archive),
        "env": {"SPARK_HOME": "/spark"},
        "py4j": str(folder / "py4j.zip"),
        "version": "3.5.9",
        "scratch": str(folder / "scratch"),
        "defaults": {},
        "limits": {"exit_s": 0.1, **(limits or {})},
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    with (folder.parent / f"{folder.name}.stderr").open("wb") as said:
        popen = subprocess.Popen(process_command(folder), stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield Process(folder, popen)
    finally:
        popen.kill()
        popen.wait()


def test_ready_asked_and_stopped(tmp_path: Path) -> None:
    with process(tmp_path.joinpath(*["a-long-name-of-a-folder"] * 8, "p")) as running:
        running.until_ready()
        assert running.status() == {
            "ok": True,
            "state": "ready",
            "note": None,
            "context": None,
            "application": None,
            "master": None,
            "ui": None,
            "version": "3.5.9",
            "memory_bytes": running.status()["memory_bytes"],
            "jobs": {},
        }
        assert stat.S_IMODE((running.folder / "control.sock").stat().st_mode) == 0o600
        assert not (running.folder / "scratch" / "gateway").exists()
        refused = running.ask("attach", job="j")
        assert refused == {"ok": False, "error": "There is no context here: the process is ready."}
        java = running.java
        assert running.ask("stop") == {"ok": True}
        assert running.ended(10) == 0
        assert is_gone(java)
        assert running.said == ""
        assert not (running.folder / "control.sock").exists()


@pytest.mark.parametrize(
    ("how", "number"),
    [("", signal.SIGTERM), ("", signal.SIGINT), ("silent", signal.SIGTERM), ("deaf", signal.SIGTERM)],
)
def test_a_signal_stops_it_in_every_state(tmp_path: Path, how: str, number: int) -> None:
    with process(tmp_path / "p", how) as running:
        state = "starting" if how == "silent" else "ready"
        until(lambda: running.status()["state"] == state, 10)
        java = running.java
        running.popen.send_signal(number)
        assert running.ended(10) == 0
        assert is_gone(java)


@pytest.mark.parametrize(
    ("how", "limits", "told"),
    [
        ("crash", {}, "Java has ended: SIGKILL, which the system sends when memory is short."),
        ("silent", {"start_s": 0.2}, "Java was not up after 0.2 s."),
        ("nonsense", {}, "Java's gateway cannot be used: port and secret cannot be read"),
    ],
)
def test_it_says_why_it_ends(tmp_path: Path, how: str, limits: Mapping[str, float], told: str) -> None:
    with process(tmp_path / "p", how, limits=limits) as running:
        assert running.ended(10) == 1
        (line,) = running.said.splitlines()
        assert line.startswith(told)


def test_a_context_that_is_waited_for_is_told_of_the_end(tmp_path: Path) -> None:
    with process(tmp_path / "p", "silent") as running, running.wire() as first, running.wire() as second:
        wanted = {"op": "make", "context": "c1", "name": "n", "conf": {}, "jars": []}
        for wire in (first, second):
            wire.send(json.dumps(wanted).encode() + b"\n")
        until(lambda: running.status()["context"] == "c1", 10)
        assert running.make("c2")["error"] == "This process belongs to context c1."
        os.kill(running.java, signal.SIGKILL)
        for wire in (first, second):
            assert json.loads(wire.line()) == {
                "ok": False,
                "error": "Java has ended: SIGKILL, which the system sends when memory is short.",
            }
        assert running.ended(10) == 1


def test_an_archive_that_kills_java_is_put_away(tmp_path: Path) -> None:
    archive = tmp_path / "abc.jsa"
    archive.touch()
    with process(tmp_path / "p", "crash-with-archive", archive=archive) as running:
        running.until_ready()
        assert running.said == "Java has died with its class-data archive (SIGSEGV), and is started without.\n"
        assert not archive.exists()
        assert (tmp_path / "abc.failed").exists()


def test_requests_that_are_none(tmp_path: Path) -> None:
    with process(tmp_path / "p", limits={"line_bytes": 1000}) as running:
        with running.wire() as wire:
            for line in (b"\n", b"{}\n", b"[1]\n", b'{"op": "attack"}\n', b"\xff\n", b'{"op": ["status"]}\n'):
                wire.send(line)
                assert b"cannot be understood" in wire.line()
            assert wire.ask("attach")["error"] == "job must be a text of 1 to 256 characters."
            assert not wire.ask("make", context="c1", name="n", conf={"a": 1}, jars=[])["ok"]
            wire.send(b'{"op": "status"}\n{"op": "sta')
            assert json.loads(wire.line())["ok"]
            wire.send(b'tus"}\n')
            assert json.loads(wire.line())["ok"]
        with running.wire() as wire:
            wire.send(b"x" * 1001)
            assert wire.line() == b""
        with running.wire() as wire:
            assert wire.ask("status")["ok"]


def test_there_is_an_end_to_connections(tmp_path: Path) -> None:
    with process(tmp_path / "p", limits={"connection_count": 3}) as running:
        wires = [running.wire() for _ in range(3)]
        assert all(wire.ask("status")["ok"] for wire in wires)
        with Wire(running.folder) as over:
            assert json.loads(over.line()) == {"ok": False, "error": "There are too many connections."}
            assert over.line() == b""
        for wire in wires:
            wire.close()
        until(lambda: running.status()["ok"], 10)


def test_one_that_reads_no_answers_is_let_go(tmp_path: Path) -> None:
    with process(tmp_path / "p", limits={"unsent_bytes": 100_000}) as running:
        with running.wire() as deaf, pytest.raises((BrokenPipeError, ConnectionResetError)):
            deaf.send(b'{"op": "status"}\n' * 1_000_000)
        assert running.status()["ok"]


def test_there_is_no_plan(tmp_path: Path) -> None:
    done = subprocess.run(process_command(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert done.stderr.startswith("The process of a Spark context cannot start: FileNotFoundError")


def test_it_stands_alone() -> None:
    """Without anything that is installed, as it is run."""
    names = "sparkprocess.program", "sparkprocess.training"
    code = f"import sys; sys.path.insert(0, {str(PROCESSPATH)!r}); import {', '.join(names)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {
        name for name in loaded.split() if name.partition(".")[0] in ("jobdeck_server", "trio", "py4j", "typing")
    }
