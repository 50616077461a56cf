"""How fast the output of a job that writes as fast as it can reaches a client, while it is kept on disk.

Against ``job | reader``: the same command on a pipe that Python reads in large pieces and throws away.
"""

from __future__ import annotations

import os
import subprocess
from functools import partial

from benchmarks.clients import LIMIT_S, Drop, DropFrames, Reader, open_http, open_websocket, read_all
from benchmarks.measure import MIB, Figure, Plan, Sample, Side, Table, children_cpu_s, keeper_pid, run_rounds, timed
from jobdeck_keeper import records
from tests.e2e.program import Server, server

_FIGURES = (
    Figure("rate", "MiB/s"),
    Figure("server cpu", "CPU-s per GiB"),
    Figure("shim cpu", "CPU-s of shim and job per GiB"),
)


def run(plan: Plan) -> list[Table]:
    """``head`` writes blocks of 8 KiB and ``dd`` of 1 MiB."""
    tables = []
    size = plan.pick(128, 24, 2) * MIB
    with server(plan.folder / "data") as deck:
        assert deck.wait(deck.submit("true"))["exit_code"] == 0
        for name, command in (
            ("head -c, blocks of 8 KiB", f"head -c {size} /dev/zero"),
            ("dd, blocks of 1 MiB", f"dd if=/dev/zero bs=1M count={size // MIB} status=none"),
        ):
            sides: dict[str, Side] = {
                "pipe": partial(_pipe, command, size),
                "HTTP chunked": partial(_attach, deck, command, size, "http"),
                "WebSocket CBOR": partial(_attach, deck, command, size, "cbor"),
                "WebSocket raw": partial(_attach, deck, command, size, "raw"),
                "kept, nobody reads": partial(_attach, deck, command, size, "none"),
            }
            title = f"live output of {size // MIB} MiB ({name}), POST to last byte"
            tables.append(Table(title=title, figures=_FIGURES, samples=run_rounds(sides, plan), bases=("pipe",)))
    return tables


def _pipe(command: str, size: int) -> Sample:
    buffer = bytearray(MIB)
    taken = 0
    with timed(None) as cost, subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE) as job:
        assert job.stdout is not None
        while count := os.readv(job.stdout.fileno(), [buffer]):
            taken += count
    assert taken == size, (taken, size)
    return {"rate": size / MIB / cost.wall_s}


def _attach(deck: Server, command: str, size: int, way: str) -> Sample:
    assert deck.process is not None
    keeper = keeper_pid(deck.data_dir)
    shims_s = children_cpu_s(keeper)
    posted_us = records.wall_us()
    with timed(deck.process.pid) as cost:
        job = deck.submit(command)
        if way == "none":
            deck.wait(job, LIMIT_S)
        else:
            reader = _reader(deck.port, job, way)
            read_all([reader])
            assert size <= reader.taken_bytes, (reader.taken_bytes, size)
    deck.wait(job)
    if way == "none":  # as its own record says, since asking costs time and CPU
        record = records.read_record(deck.data_dir / "jobs" / job / "record")
        cost.wall_s = (record["exit"]["t_us"] - posted_us) / 1e6
    deck.ask("DELETE", f"/v1/jobs/{job}")  # so that the disk has nothing to do with the next side
    gib = size / MIB / 1024
    return {
        "rate": size / MIB / cost.wall_s,
        "server cpu": cost.cpu_s / gib,
        "shim cpu": (children_cpu_s(keeper) - shims_s) / gib,
    }


def _reader(port: int, job: str, way: str) -> Reader:
    if way == "http":
        return Drop(open_http(port, job))
    return DropFrames(open_websocket(port, job, cbor=way == "cbor"))
