"""How fast a kept log leaves: 1 reader of all of it, and 20 readers of a part each.

The limit is a blocking thread with ``socket.sendfile`` for each connection, the peer uvicorn with h11.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from benchmarks import peers
from benchmarks.clients import Drop, DropFrames, Reader, connect, get_bytes, open_http, open_websocket, read_all
from benchmarks.measure import MIB, Figure, Plan, Sample, Side, Table, run_rounds, timed
from tests.e2e.program import Server, server

_FIGURES = (Figure("rate", "MiB/s"), Figure("cpu", "CPU-s of the server per GiB"))
_MANY_COUNT = 20

Open = Callable[[int, int], Reader]
"""From an offset and a length to a reader that has asked for these bytes (to the log's end)."""


def run(plan: Plan) -> list[Table]:
    """Both tables."""
    size = plan.pick(512, 64, 4) * MIB
    part = plan.pick(32, 4, 1) * MIB
    with ExitStack() as stack:
        deck = stack.enter_context(server(plan.folder / "data"))
        job = deck.submit(f"head -c {size} /dev/zero")
        assert deck.wait(job, 120)["output_bytes"] == size
        log = deck.data_dir / "jobs" / job / "output"
        sources = _ours(deck, job)
        limit = stack.enter_context(peers.peer("benchmarks.peers", "sendfile", str(log), "{port}"))
        sources["sendfile thread"] = (limit.pid, partial(_open_limit, limit.port))
        notes = []
        if peers.has_uvicorn():
            uvicorn = stack.enter_context(peers.uvicorn(BENCH_FILE=str(log)))
            sources["uvicorn h11"] = (uvicorn.pid, partial(_open_uvicorn, uvicorn.port))
        else:
            notes.append(peers.NO_UVICORN)
        return [
            _compare(f"kept log of {size // MIB} MiB, 1 reader", sources, plan, [(0, size)], notes),
            _compare(
                f"kept log, {_MANY_COUNT} readers of {part // MIB} MiB each",
                sources,
                plan,
                [(size - part, part)] * _MANY_COUNT,
                notes,
            ),
        ]


def _compare(
    title: str, sources: dict[str, tuple[int, Open]], plan: Plan, ranges: list[tuple[int, int]], notes: list[str]
) -> Table:
    sides: dict[str, Side] = {name: partial(_one, pid, open_, ranges) for name, (pid, open_) in sources.items()}
    for side in sides.values():
        side()  # connections, caches and code paths are warm in the first round already
    samples = run_rounds(sides, plan)
    return Table(
        title=title, figures=_FIGURES, samples=samples, bases=("sendfile thread", "uvicorn h11"), notes=tuple(notes)
    )


def _one(pid: int, open_: Open, ranges: list[tuple[int, int]]) -> Sample:
    with timed(pid) as cost:
        readers = [open_(offset, length) for offset, length in ranges]
        read_all(readers)
    wanted = sum(length for _, length in ranges)
    taken = sum(reader.taken_bytes for reader in readers)
    assert wanted <= taken < wanted * 1.02 + 10_000, (wanted, taken)
    return {"rate": wanted / MIB / cost.wall_s, "cpu": cost.cpu_s / wanted * 1024 * MIB}


def _ours(deck: Server, job: str) -> dict[str, tuple[int, Open]]:
    assert deck.process is not None
    pid, port = deck.process.pid, deck.port
    return {
        "HTTP chunked": (pid, lambda offset, _: Drop(open_http(port, job, offset))),
        "WebSocket CBOR": (pid, lambda offset, _: DropFrames(open_websocket(port, job, cbor=True, offset=offset))),
        "WebSocket raw": (pid, lambda offset, _: DropFrames(open_websocket(port, job, cbor=False, offset=offset))),
    }


def _open_limit(port: int, offset: int, length: int) -> Reader:
    sock = connect(port)
    sock.sendall(b"%d %d" % (offset, length))
    return Drop(sock)


def _open_uvicorn(port: int, offset: int, length: int) -> Reader:
    sock = connect(port)
    sock.sendall(get_bytes(f"/file?{offset}-{length}", close=True))
    return Drop(sock)
