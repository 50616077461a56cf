"""Both machines against each other, over a network and on machines that fail in every way."""

from __future__ import annotations

from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobdeck_protocol.workerevents import Append
from jobdeck_protocol.workerreports import Ended
from jobdeck_protocol.workerwords import How
from tests.protocol.workerdisks import disk_files
from tests.protocol.workerworld import World

OFTEN = ("to_server", "to_worker", "server_send", "worker_send", "server_work", "worker_work", "turn", "turn")
SELDOM = (
    "connect", "cut_worker", "cut_server", "kill_server", "fail_power", "boot_worker", "submit", "withdraw", "stop",
    "write", "write", "write", "type", "end", "end", "sync", "late", "lose",
)  # fmt: skip
STEP = st.one_of(
    st.tuples(st.sampled_from(OFTEN), st.integers(1, 12)),
    st.tuples(st.sampled_from(SELDOM), st.integers(0, 500)),
)
BEGIN = [("submit", 0), ("submit", 0), ("connect", 0), ("flow", 0)]


def do(world: World, name: str, number: int) -> None:
    """One step; ``number`` says how often, or which and how much."""
    rows = list(world.server_disk.rows)
    chosen = rows[number % len(rows)] if rows else None
    if name in OFTEN:
        for _ in range(number):
            if name == "to_server":
                for wire in world.wires[-1:]:
                    world.to_server(wire)
            else:
                getattr(world, name)()
    elif name in ("connect", "cut_worker", "kill_server", "boot_worker"):
        getattr(world, name)()
    elif name == "submit":
        if len(rows) < 6:
            world.submit()
    elif name == "cut_server":
        world.cut_server(world.wire)
    elif name == "fail_power":
        world.kill_server(keep=(number % 5) / 4)
    elif name == "late":  # what is left of old connections arrives
        for wire in world.wires[:-1]:
            for _ in range(number):
                world.to_server(wire)
    elif name == "sync":
        world.server_sync()
    elif name == "flow":
        world.flow()
    elif chosen is not None and name == "lose":
        lose(world, chosen, number // 2, number)
    elif chosen is not None and name == "type":
        world.type(chosen, number, eof=number % 7 == 0)
    elif chosen is not None and name == "write":
        world.write(chosen, number)
    elif chosen is not None:
        getattr(world, name)(chosen)


def lose(world: World, name: str, output: int, runs: int) -> None:
    """The server could not keep what it was told of a job beyond these sizes, nor what waits to be written."""
    row, files = world.server_disk.rows[name], disk_files(world.server_disk, name)
    waiting = [event for event in world.server_todo if isinstance(event, Append | Ended) and event.job_id == name]
    lost = len(files.output) > output or any(isinstance(event, Append) for event in waiting)
    if row.end is not None or not lost:
        return
    del files.output[output:]
    del files.runs[runs - runs % 32 :]
    files.synced = (min(files.synced[0], len(files.output)), min(files.synced[1], len(files.runs)))
    for event in waiting:
        world.server_todo.remove(event)
        if isinstance(event, Append):
            world.host.jobs.taken(event)
    world.host.jobs.rewind(name, output=len(files.output), runs=len(files.runs))


def settle(world: World) -> None:
    """All jobs end, and all that was lost is made good."""
    world.flow()
    for name in world.server_disk.rows:
        world.end(name)
    world.flow()


def check(world: World) -> None:
    """Every job was started as often as it should, and its bytes and its end are those of the worker."""
    assert set(world.closes) <= {4409, 4423}  # connections that came late; nobody broke the protocol
    assert world.most_held <= world.window_bytes
    assert world.most_flying <= world.window_bytes
    assert len(world.host.jobs) == len(world.agent.jobs) == 0
    for name, row in world.server_disk.rows.items():
        job, files = world.worker_disk.jobs[name], world.server_disk.files[name]
        assert row.end == job.end
        assert row.ends == 1
        assert files.output == job.output
        assert files.runs == job.runs
        assert job.released
        assert job.end is not None
        assert world.worker_disk.starts.get(name, 0) == (0 if job.end.how is How.NEVER else 1)
        if job.end.how is How.NEVER:
            assert row.withdrawn or row.stopped
        else:
            assert job.spec == row.spec
            assert files.input[: len(job.input)] == job.input
            assert job.eof is None or job.eof == len(files.input) == len(job.input)


@settings(max_examples=120, deadline=None)
@given(steps=st.lists(STEP, max_size=100), window=st.sampled_from([1024, 1500, 4096, 50_000]), begun=st.booleans())
@example(steps=[("write", 500), ("end", 0)], window=1024, begun=True)
def test_whatever_fails_each_job_runs_once_and_nothing_is_lost(
    steps: list[tuple[str, int]], window: int, begun: bool
) -> None:
    world = World(window_bytes=window)
    for name, number in (BEGIN if begun else []) + steps:
        do(world, name, number)
    settle(world)
    check(world)


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_long_walks_end_well(seed: int) -> None:
    """Longer than lists of steps become, and each with failures of its own kinds."""
    random = Random(seed)
    world = World(window_bytes=random.choice([1024, 1500, 4096, 50_000]))
    often = random.choice([0.6, 0.8, 0.9])
    weights = [random.choice([0, 1, 3]) for _ in SELDOM[:-1]] + [1]
    for name, number in BEGIN if random.random() < 0.7 else []:
        do(world, name, number)
    for _ in range(random.choice([50, 200, 500])):
        if random.random() < often:
            do(world, random.choice(OFTEN), random.randint(1, 12))
        else:
            do(world, random.choices(SELDOM, weights)[0], random.choice([random.randint(0, 500), random.randint(0, 8)]))
        if random.random() < 0.02:
            world.flow()
    settle(world)
    check(world)
