"""Hostile jobs and hostile ends of channels, each with a canary: the server, the keeper and all other jobs go on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import time
from pathlib import Path

import pytest
import trio
from trio_websocket import ConnectionClosed

from jobdeck_protocol import attach as attach_wire
from jobdeck_protocol import codec
from jobdeck_protocol import events as events_wire
from tests.e2e.attachers import closed_with, websocket
from tests.e2e.procs import alive, pid_of, rss_bytes
from tests.e2e.program import Server, keeper_pids, server
from tests.e2e.wire import ask, tell

pytestmark = pytest.mark.slow


def test_18_floods_of_output_stay_in_their_limit(tmp_path: Path) -> None:
    with server(tmp_path / "data", "--output-limit", "1000000") as running:
        before = rss_bytes(pid_of(running))
        job_ids = [running.submit("yes") for _ in range(6)]
        drop = json.dumps({"command": "yes", "on_limit": "stop"}).encode()
        stopped = json.loads(ask(running.port, "POST", "/v1/jobs", drop).body)["id"]
        assert "output limit reached" in running.wait(stopped)["error"]
        time.sleep(1.5)
        begin = time.monotonic()
        assert running.ask("GET", "/")[0] == 200
        assert time.monotonic() - begin < 1
        assert rss_bytes(pid_of(running)) - before < 20e6
        for job_id in job_ids:
            ask(running.port, "DELETE", f"/{job_id}")
        for job_id in job_ids:
            job = running.wait(job_id)
            assert (job["state"], job["output_bytes"]) == ("stopped", 1_000_000)
            assert job["dropped_bytes"] > 0
            assert running.attach(job_id) == b"y\n" * 500_000
            kept = sum(path.stat().st_size for path in (running.data_dir / "jobs" / job_id).iterdir())
            assert kept < 1_000_000 + (1 << 20) + 65536


def test_19_a_fork_bomb_holds_nobody_up_and_ends(deck: Server) -> None:
    """Two hundred processes, each in a session of its own; all gone when the job is killed."""
    job_id = deck.submit("for i in {1..200}; do setsid bash -c 'sleep 60 & sleep 60' & done; echo $$; wait")
    while not deck.attach(job_id, "?follow=false"):
        time.sleep(0.01)
    time.sleep(0.3)
    begin = time.monotonic()
    assert deck.attach(deck.submit("echo quick")) == b"quick\n"
    tell(f"beside a bomb of 400 processes a job took {time.monotonic() - begin:.2f} s")
    assert deck.ask("GET", "/healthz")[0] == 200
    marked = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if sleeps(pid)]
    assert len(marked) >= 100
    ask(deck.port, "DELETE", f"/{job_id}")
    assert deck.wait(job_id)["signal"] == 9
    assert not [pid for pid in marked if alive(pid)]


def sleeps(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x0060\0"
    except OSError:
        return False


def test_20_a_job_that_kills_the_keeper_harms_no_other(tmp_path: Path) -> None:
    """A job has the rights of its user and may do so; all others keep their output and exact codes."""
    with server(tmp_path / "data") as running:
        others = {running.submit(f"echo begin; sleep 1.2; echo end; exit {code}"): code for code in range(20, 26)}
        keeper = min(keeper_pids(running.data_dir))
        killer = running.submit(f"kill -9 {keeper}; echo done")
        assert running.attach(killer) == b"done\n"
        assert running.wait(running.submit("exit 9"))["exit_code"] == 9
        for job_id, code in others.items():
            assert running.attach(job_id) == b"begin\nend\n"
            job = running.wait(job_id)
            assert (job["state"], job["exit_code"]) == ("failed", code)
        assert running.wait(killer)["exit_code"] == 0


def test_21_the_keeper_is_for_its_user_alone(deck: Server) -> None:
    """Another local user is refused by the folder, and by the keeper itself where the folder would let it pass."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as another user")
    script = (
        "import os, socket, sys\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "s.settimeout(5)\n"
        "s.connect(sys.argv[1])\n"
        's.sendall(b\'\\x1b\\0\\0\\0{"op":"list","n":1}         \')\n'
        "print(s.recv(100))\n"
    )
    deck.data_dir.parent.chmod(0o711)

    def other() -> subprocess.CompletedProcess[str]:
        path = str(deck.data_dir / "keeper.sock")
        words = ["/usr/bin/env", "python3", "-c", script, path]
        return subprocess.run(words, capture_output=True, text=True, timeout=20, check=False, user=65534, group=65534)

    assert "Permission denied" in other().stderr
    mode = deck.data_dir.stat().st_mode
    try:
        deck.data_dir.chmod(0o755)
        (deck.data_dir / "keeper.sock").chmod(0o777)
        told = other()
        assert told.stdout == "b''\n" or "ConnectionResetError" in told.stderr or "BrokenPipe" in told.stderr, told
    finally:
        deck.data_dir.chmod(mode)
    assert deck.attach(deck.submit("echo still here")) == b"still here\n"


# -- 23: what is no message --

CLOSES = {1000, 1002, 1003, 1007, 1009, 4408, 4416}
FAR_OFF: tuple[bytes | str, ...] = (
    *("text", "", b"", b"\xff", b"\x9f" * 5000, b"\x81" * 60_000, b"\xbf\x61a" * 1000, b"\xd9\xd9\xf7" * 99),
    b"\xc2\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\xa2\x64kind\x66attach\x64kind\x66attach",
    bytes((1 << 20) + 1),
)


def mutations() -> list[bytes | str]:
    """Messages that are nearly right, and some that are far from it."""
    chance = random.Random(23)
    whole = [
        attach_wire.Attach(offset=0).to_map(),
        attach_wire.Credit(upto=1 << 40).to_map(),
        attach_wire.Stdin(offset=0, data=b"x" * 100).to_map(),
        attach_wire.Signal(signal=28).to_map(),
        events_wire.Since(since=0).to_map(),
    ]
    made = list(FAR_OFF)
    offsets: tuple[object, ...] = (1 << 63, "0", None, [], {}, 1.5, True)
    made += [codec.encode({"kind": "attach", "offset": offset}) for offset in offsets]
    made += [codec.encode({"kind": kind}) for kind in ("", "nope", "attach" * 100, "output", "exit")]
    for _ in range(200):
        data = bytearray(codec.encode(chance.choice(whole)))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 3))
        made.append(bytes(data))
    return made


@pytest.mark.parametrize("protocol", [attach_wire.SUBPROTOCOL, events_wire.SUBPROTOCOL])
async def test_23_what_is_no_message_closes_its_channel_and_nothing_else(deck: Server, protocol: str) -> None:
    """Said first, or after a good one: the close code is one of the protocol's, and no bug is logged."""
    job_id = deck.submit("sleep 30")
    attach = protocol == attach_wire.SUBPROTOCOL
    path = f"/{job_id}/attach" if attach else "/v1/events"
    good = attach_wire.Attach(offset=0).to_map() if attach else events_wire.Since(since=0).to_map()
    closes: list[int] = []

    async def say(number: int, message: bytes | str) -> None:
        async with limiter, websocket(deck.url + path, protocol) as opened:
            with contextlib.suppress(ConnectionClosed):
                if number % 2:
                    await opened.send_message(codec.encode(good))
                await opened.send_message(message)
                with trio.move_on_after(0.6):
                    while True:
                        await opened.get_message()
            if opened.closed is not None:
                closes.append(closed_with(opened)[0])

    limiter = trio.CapacityLimiter(40)
    before = rss_bytes(pid_of(deck))
    with trio.fail_after(50):
        async with trio.open_nursery() as nursery:
            for number, message in enumerate(mutations()):
                nursery.start_soon(say, number, message)
    assert set(closes) <= CLOSES
    assert len(closes) > 60
    assert rss_bytes(pid_of(deck)) - before < 30e6
    assert "Traceback" not in deck.log.read_text()
    assert deck.job(job_id)["state"] in ("running", "failed")  # a mutated message may be a good signal
    ask(deck.port, "DELETE", f"/{job_id}")
    assert deck.attach(deck.submit("echo still here")) == b"still here\n"
