"""Jobs on a worker beside the same jobs on the server's own machine: worker and server here share that machine.

Four questions. How much later does a line reach a client, with and without TLS? What becomes of that while other jobs
of the same worker write as fast as they can? How fast can one job's output come to the server's disk, against a plain
copy over TCP? How many jobs a second can be started?

Lines bear the time at which they were written and come some 50 ms apart, at random, so that nothing can fall into step
with them. A flood is ``yes``, of which so much is kept that the worker has to send of it for as long as is measured.
Ten of them take all processors, too; ten that have written the same and are silent leave the worker with as much to
send and the processors free.
"""

from __future__ import annotations

import json
import re
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import trio

from benchmarks import peers
from benchmarks.asking import post_all
from benchmarks.clients import LIMIT_S, connect, get_bytes
from benchmarks.fleet import Site, make_certificate, site
from benchmarks.measure import MIB, Figure, Plan, Sample, Side, Table, cpu_ns, quantile, run_rounds
from jobdeck_client.client import Client
from jobdeck_client.trust import Trust
from jobdeck_protocol.attach import Output

_AGES = (Figure("p50", "ms"), Figure("p90", "ms"), Figure("p99", "ms"))
_COPY = (
    Figure("rate", "MiB/s"),
    Figure("receiver cpu", "CPU-s per GiB"),
    Figure("sender cpu", "CPU-s per GiB"),
)
_STARTS = (
    Figure("accepted", "jobs/s"),
    Figure("finished", "jobs/s"),
    Figure("cpu", "ms for each job, of all who take part"),
)
_STAMP = re.compile(rb"@(\d+)\n")
_GAP_S = 0.05
_LINES = """
import os, random, sys, time
time.sleep(0.3)
for _ in range(int(sys.argv[1])):
    time.sleep(random.uniform(0.5, 1.5) * float(sys.argv[2]))
    os.write(1, b"@%d\\n" % time.clock_gettime_ns(time.CLOCK_MONOTONIC))
"""
_LOOK_S = 0.001
_BLOCK_BYTES = 256 * 1024
_SETTLE_S = 0.5
_AT_ONCE_COUNT = 8
_TLS = {False: "", True: ", TLS"}
_SCENES = {
    "quiet": (0, (), 0),
    "beside 1 flood": (1, ("yes",), 256),
    "beside 10 floods": (10, ("yes",), 48),
    "beside 10 that were floods": (10, ("sh", "-c", "yes | head -c 48M; sleep 1000"), 48),
}
"""Word to the number of floods, their command, and the limit of each one's output in MiB."""

Ages = list[float]
"""Of lines when they came, in milliseconds."""


def run(plan: Plan) -> list[Table]:
    """Lines over HTTP, lines to our own client, lines beside floods, a copy, starts."""
    with ExitStack() as stack:
        sites = {
            tls: stack.enter_context(site(plan.folder / ("tls" if tls else "plain"), tls=tls)) for tls in (False, True)
        }
        return [
            _lines(sites, plan, "plain HTTP", _over_http),
            _lines(sites, plan, "CBOR, jobdeck_client", _to_client),
            _fairness(sites, plan),
            _copies(sites, plan, stack),
            _starts(sites, plan),
        ]


# -- lines --


def _lines(sites: dict[bool, Site], plan: Plan, way: str, read: Callable[[Site, str, int], Ages]) -> Table:
    count = plan.pick(80, 20, 3)
    sides: dict[str, Side] = {
        f"{place}{_TLS[tls]}": partial(_line_ages, sites[tls], place == "worker", count, read)
        for tls in (False, True)
        for place in ("local", "worker")
    }
    title = f"a line written to that line at a client ({way}), {count} lines some 50 ms apart"
    samples = run_rounds(sides, plan)
    return Table(title=title, figures=_AGES, samples=samples, notes=_added(samples, ("", ", TLS")))


def _fairness(sites: dict[bool, Site], plan: Plan) -> Table:
    count = plan.pick(60, 20, 3)
    sides: dict[str, Side] = {}
    with ExitStack() as stack:
        for scene in list(_SCENES)[: plan.pick(4, 4, 2)]:
            floods_count, argv, limit_mib = _SCENES[scene]
            for tls in plan.pick((False, True), (False, True), (False,)):
                place = sites[tls]
                if floods_count:
                    limit = ("--output-limit", f"{limit_mib // plan.pick(1, 2, 16)}MiB")
                    place = stack.enter_context(site(plan.folder / f"{scene}{tls}", *limit, tls=tls))
                for on_worker in (False, True):
                    name = f"{'worker' if on_worker else 'local'}{_TLS[tls]}, {scene}"
                    sides[name] = partial(_beside, place, on_worker, count, (argv,) * floods_count)
        title = f"a line written to that line at a client (plain HTTP) beside other jobs of that machine, {count} lines"
        return Table(title=title, figures=_AGES, samples=run_rounds(sides, plan))


def _beside(place: Site, on_worker: bool, count: int, floods: Sequence[tuple[str, ...]]) -> Sample:
    flooding = [place.submit(argv, on_worker=on_worker) for argv in floods]
    for job in flooding:
        _wait_size(place.output_of(job), 1)
    ages = _line_ages(place, on_worker, count, _over_http)
    place.remove(flooding)
    time.sleep(_SETTLE_S if flooding else 0.0)
    return ages


def _added(samples: dict[str, list[Sample]], kinds: Sequence[str]) -> tuple[str, ...]:
    """How much later than from the local engine lines come from the worker: of the median, in each round."""
    notes = []
    for kind in kinds:
        pairs = zip(samples[f"worker{kind}"], samples[f"local{kind}"], strict=True)
        more = sorted(worker["p50"] - local["p50"] for worker, local in pairs)
        middle = more[len(more) // 2]
        notes.append(f"worker{kind}: its median is {middle:.2f} ms ({more[0]:.2f} - {more[-1]:.2f}) above local{kind}")
    return tuple(notes)


def _line_ages(place: Site, on_worker: bool, count: int, read: Callable[[Site, str, int], Ages]) -> Sample:
    argv = (sys.executable, "-I", "-S", "-c", _LINES, str(count), str(_GAP_S))
    job = place.submit(argv, on_worker=on_worker)
    ages = read(place, job, count)
    assert len(ages) == count, (len(ages), count)
    place.remove([job])
    return {"p50": quantile(ages, 0.5), "p90": quantile(ages, 0.9), "p99": quantile(ages, 0.99)}


def _over_http(place: Site, job: str, count: int) -> Ages:
    ages: Ages = []
    with place.connect() as sock:
        sock.sendall(get_bytes(f"/{job}/attach", close=True))
        while len(ages) < count and (data := sock.recv(65536)):
            ages += _ages(data)
    return ages


def _to_client(place: Site, job: str, count: int) -> Ages:
    ages: Ages = []

    async def follow() -> None:
        trust = Trust(ca=place.ca) if place.ca is not None else None
        async with Client(place.server.url, trust=trust) as client, client.attach(job) as attach:
            async for message in attach:
                if isinstance(message, Output):
                    ages.extend(_ages(message.data))
                if len(ages) >= count:
                    return

    trio.run(follow)
    return ages


def _ages(data: bytes) -> Ages:
    """Of the lines in what has just come; a stamp is found whatever framing is around it."""
    now_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    return [(now_ns - int(stamp)) / 1e6 for stamp in _STAMP.findall(data)]


# -- a copy --


def _copies(sites: dict[bool, Site], plan: Plan, stack: ExitStack) -> Table:
    size = plan.pick(256, 64, 4) * MIB
    source, ca = plan.folder / "source", plan.folder / "ca.pem"
    source.write_bytes(bytes(size))
    certificate = make_certificate(plan.folder, ca)
    sides: dict[str, Side] = {}
    for tls in (False, True):
        words = ("benchmarks.copy_peer", str(source), "{port}", *((str(certificate),) if tls else ()))
        peer = stack.enter_context(peers.peer(*words))
        sides[f"plain copy{_TLS[tls]}"] = partial(_copy, peer, plan.folder / "copy", size, ca if tls else None)
        sides[f"worker{_TLS[tls]}"] = partial(_flood, sites[tls], size)
    title = f"{size // MIB} MiB of a job's output, from POST to the last byte on the server's disk"
    bases = ("plain copy", "plain copy, TLS")
    return Table(title=title, figures=_COPY, samples=run_rounds(sides, plan), bases=bases)


def _copy(peer: peers.Peer, target: Path, size: int, ca: Path | None) -> Sample:
    """What one process sends from a file, another writes to one: the least that this takes."""
    context = None if ca is None else ssl.create_default_context(cafile=str(ca))
    buffer = bytearray(_BLOCK_BYTES)
    view = memoryview(buffer)
    taken = 0
    start, own_s, peer_ns = time.perf_counter(), time.process_time(), cpu_ns(peer.pid)
    with connect(peer.port) as plain, target.open("wb", buffering=0) as file:
        sock = plain if context is None else context.wrap_socket(plain, server_hostname="127.0.0.1")
        while count := sock.recv_into(buffer):
            file.write(view[:count])
            taken += count
        sock.close()
    took_s, own_s, peer_s = time.perf_counter() - start, time.process_time() - own_s, cpu_ns(peer.pid) - peer_ns
    assert taken == size, (taken, size)
    target.unlink()
    gib = size / MIB / 1024
    return {"rate": size / MIB / took_s, "receiver cpu": own_s / gib, "sender cpu": peer_s / 1e9 / gib}


def _flood(place: Site, size: int) -> Sample:
    """One job writes it all in a moment; what is measured is its way to the server's disk."""
    start, server_ns, worker_ns = time.perf_counter(), cpu_ns(place.server_pid), cpu_ns(place.worker.pid)
    job = place.submit(("head", "-c", str(size), "/dev/zero"), on_worker=True)
    _wait_size(place.output_of(job), size)
    took_s = time.perf_counter() - start
    server_s, worker_s = (cpu_ns(place.server_pid) - server_ns) / 1e9, (cpu_ns(place.worker.pid) - worker_ns) / 1e9
    place.remove([job])
    gib = size / MIB / 1024
    return {"rate": size / MIB / took_s, "receiver cpu": server_s / gib, "sender cpu": worker_s / gib}


def _wait_size(path: Path, size: int) -> None:
    """Wait until a file has so many bytes, looking often: a look costs far less than what is looked at."""
    until = time.monotonic() + LIMIT_S
    while (path.stat().st_size if path.exists() else 0) < size:
        assert time.monotonic() < until, f"{path} does not grow to {size} bytes"
        time.sleep(_LOOK_S)


# -- starts --


def _starts(sites: dict[bool, Site], plan: Plan) -> Table:
    count = plan.pick(160, 48, 8)
    sides: dict[str, Side] = {
        "local": partial(_start_all, sites[False], False, count),
        "worker": partial(_start_all, sites[False], True, count),
        "worker, TLS": partial(_start_all, sites[True], True, count),
    }
    title = f"{count} jobs (true), {_AT_ONCE_COUNT} connections"
    return Table(title=title, figures=_STARTS, samples=run_rounds(sides, plan), bases=("local",))


def _start_all(place: Site, on_worker: bool, count: int) -> Sample:
    """Accepted until the last answer, finished until the server counts none as active any more."""
    before = place.cpu_s()
    with ExitStack() as stack:
        socks = [stack.enter_context(place.connect()) for _ in range(_AT_ONCE_COUNT)]
        start = time.perf_counter()
        request = place.post(("true",), on_worker=on_worker)
        jobs = [json.loads(body)["id"] for body, _ in post_all({sock.fileno(): sock for sock in socks}, count, request)]
        accepted_s = time.perf_counter() - start
    place.wait_quiet()
    finished_s = time.perf_counter() - start
    time.sleep(_SETTLE_S)
    spent_s = sum(spent - before.get(name, 0.0) for name, spent in place.cpu_s().items())
    states = {place.server.job(job)["state"] for job in jobs}
    assert states == {"succeeded"}, states
    place.remove(jobs)
    return {"accepted": count / accepted_s, "finished": count / finished_s, "cpu": 1000 * spent_s / count}
