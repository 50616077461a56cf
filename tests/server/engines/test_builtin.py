"""The built-in executor's order of things: what is asked again, stopped, or fails, at any moment."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from jobdeck_server.core.errors import NoSpaceError
from jobdeck_server.engines.base import BUNDLES, LOCAL, PACKAGES, Ended, Launch, Noted, Planned, Report, Started, Stop
from jobdeck_server.engines.builtin import BuiltinExecutor
from jobdeck_server.engines.shelf import AwayError
from jobdeck_server.engines.workfiles import StatusError
from tests.server.engines.parts import STEP, Bench, Core, Local, Parts, run, running

STOP = Stop(signal=15, grace_s=1.0)
EXIT = Ended(how="exit", code=0, started_us=1, finished_us=2, output_bytes=5)


async def quiet(condition: Callable[[], object], limit_s: float = 1000.0, step_s: float = 0.01) -> None:
    """Let time pass until it is so."""
    with trio.fail_after(limit_s):
        while not condition():  # noqa: ASYNC110  # the clock jumps
            await trio.sleep(step_s)


async def made(parts: Parts, job_id: str) -> None:
    """A bundle whose program runs."""
    parts.submit(job_id)
    await quiet(lambda: any(launch.job_id == job_id for launch in parts.local.submitted))
    parts.engine.report(job_id, Started(started_us=1, step=0))


def committed(parts: Parts, job_id: str) -> None:
    del parts.core.engines[job_id]


async def test_what_is_no_bundle_passes(autojump_clock: MockClock) -> None:
    async with running() as parts:
        parts.core.engines["a"] = LOCAL
        launch = Launch(job_id="a", spec={"steps": []})
        parts.engine.submit(launch)
        for report in (Started(started_us=1, step=0), Noted(note="x"), EXIT):
            parts.engine.report("a", report)
        await parts.engine.stop("a", STOP)
        assert await parts.engine.signal("a", 2)
        await parts.engine.input("a", eof_bytes=None)
        await parts.engine.forget_output("a")
        await parts.engine.forget("a")
        await parts.engine.resync()
        assert parts.local.submitted == [launch]
        assert [report for _, report in parts.core.told] == [Started(started_us=1, step=0), Noted(note="x"), EXIT]
        assert parts.local.done == ["stop a", "signal a", "input a", "forget output a", "forget a"]
        assert parts.bench.done == ["clear a"]
        assert (parts.core.resyncs_count, parts.engine.capacity_count) == (1, 7)
        assert parts.engine.follow("a") == parts.local.follow("a")


async def test_a_bundle_from_its_making_to_its_results(autojump_clock: MockClock) -> None:
    async with running(pause_s=1.0) as parts:
        parts.submit("a")
        parts.submit("a")  # asked for again while it is being made
        assert await parts.engine.status(["a"]) == {"a": Noted(note=None)}
        await quiet(lambda: parts.local.submitted)
        assert parts.local.submitted[0].spec["steps"] == ["made"]
        assert parts.core.told == [("a", Planned(steps=(STEP,)))]
        parts.engine.report("a", Started(started_us=1, step=0))
        for _ in range(3):
            parts.engine.report("a", EXIT)
        await quiet(lambda: parts.core.ends("a"))
        assert parts.core.ends("a")[0].results == {"all": "5 bytes"}
        await trio.sleep(100)
        assert parts.bench.left == {"a"}  # until it is committed
        committed(parts, "a")
        await quiet(lambda: not parts.bench.left)
        assert parts.bench.done == ["prepare a", "follow a", "collect a", "clear a"]
        assert len(parts.core.ends("a")) == 1


async def test_one_that_was_made_is_never_made_anew(autojump_clock: MockClock) -> None:
    """The keeper was lost and came back: the core asks for the start again of what it does not know."""
    async with running() as parts:
        await made(parts, "a")
        parts.submit("a")
        await trio.sleep(10)
        assert parts.bench.done.count("prepare a") == 1
        assert parts.local.submitted[1] is parts.local.submitted[0]


async def test_nor_is_one_whose_results_are_being_kept(autojump_clock: MockClock) -> None:
    async with running(pause_s=10.0) as parts:
        await made(parts, "a")
        parts.engine.report("a", EXIT)
        await trio.sleep(5)
        assert parts.core.told[-1] == ("a", Started(started_us=1, step=0))  # to the core it runs
        parts.submit("a")  # it was asked for before it began, and answered late
        await quiet(lambda: parts.core.ends("a"))
        assert parts.bench.done == ["prepare a", "follow a", "collect a"]
        assert len(parts.local.submitted) == 1


async def test_stopped_while_it_is_being_made(autojump_clock: MockClock) -> None:
    async with running(pause_s=10.0) as parts:
        parts.submit("a")
        await trio.sleep(5)
        await parts.engine.stop("a", STOP)
        assert parts.local.submitted == []
        assert parts.local.done == ["stop a"]
        assert parts.bench.left == set()  # before the stop was passed on
        parts.engine.report("a", Ended(how="never", finished_us=1))
        assert [end.how for end in parts.core.ends("a")] == ["never"]


@pytest.mark.parametrize(
    ("error", "text", "started"),
    [
        (StatusError("FAILED_UNZIP", "no zip"), "FAILED_UNZIP: no zip", False),
        (StatusError("FAILED_EXECUTOR_CONFIG", "bad", was_started=True), "FAILED_EXECUTOR_CONFIG: bad", True),
        (OSError(errno.EIO, "I/O error"), "FAILED_SOURCE_COULD_NOT_BE_OBTAINED: [Errno 5] I/O error", False),
        (ZeroDivisionError("a fault of ours"), "FAILED_SOURCE_COULD_NOT_BE_OBTAINED: ZeroDivisionError", False),
    ],
)
async def test_one_that_cannot_be_made(autojump_clock: MockClock, error: Exception, text: str, started: bool) -> None:
    async with running() as parts:
        parts.bench.failures.append(error)
        parts.submit("bad")
        await quiet(lambda: parts.core.ends("bad"))
        parts.submit("good")
        await quiet(lambda: parts.local.submitted)
        (end,) = parts.core.ends("bad")
        assert (end.how, end.started_us is not None) == ("error", started)
        assert (end.text or "").startswith(text)
        assert [launch.job_id for launch in parts.local.submitted] == ["good"]
        assert parts.bench.left == {"good"}


@pytest.mark.parametrize("error", [NoSpaceError(), OSError(errno.ENOSPC, "full"), OSError(errno.EMFILE, "too many")])
async def test_results_wait_for_better_times(autojump_clock: MockClock, error: Exception) -> None:
    async with running() as parts:
        parts.bench.failures += [error] * 5
        parts.core.engines["a"] = "executor"
        parts.engine.report("a", EXIT)
        await quiet(lambda: parts.core.ends("a"))
        notes = [report.note for _, report in parts.core.told if isinstance(report, Noted)]
        assert notes == [f"results wait to be kept: {error}"] * 5
        assert parts.core.ends("a")[0].results


async def test_a_server_that_is_away_is_waited_for_as_long_as_it_takes(autojump_clock: MockClock) -> None:
    async with running(patience_s=60.0) as parts:
        parts.bench.failures += [*[AwayError("nobody there")] * 100, NoSpaceError()]
        parts.core.engines["a"] = "executor"
        began_s = trio.current_time()
        parts.engine.report("a", EXIT)
        await quiet(lambda: parts.core.ends("a"), 1e5, step_s=5.0)
        assert parts.core.ends("a")[0].results
        assert 2000 < trio.current_time() - began_s < 3100, "ever more seldom, up to 30 s"
        notes = [report.note for _, report in parts.core.told if isinstance(report, Noted)]
        assert notes[0] == "results wait for the server: nobody there"


async def test_nor_is_it_waited_for_once_nobody_wants_them(autojump_clock: MockClock) -> None:
    async with running() as parts:
        parts.bench.failures += [AwayError("nobody there")] * 1000
        parts.core.engines["a"] = "executor"
        parts.engine.report("a", EXIT)
        await trio.sleep(100)
        await parts.engine.stop("a", STOP)
        await quiet(lambda: parts.core.ends("a"), 5)


async def test_not_for_ever(autojump_clock: MockClock) -> None:
    async with running(patience_s=60.0) as parts:
        parts.bench.failures += [NoSpaceError()] * 1000
        parts.core.engines["a"] = "executor"
        began_s = trio.current_time()
        parts.engine.report("a", EXIT)
        await quiet(lambda: parts.core.ends("a"))
        (end,) = parts.core.ends("a")
        assert 59 < trio.current_time() - began_s < 65
        assert (end.how, end.code) == ("error", None)
        assert (end.text or "").startswith("FAILED_TO_SAVE_ARTIFACT: There is no room")


async def test_whoever_stops_it_again_does_not_want_to_wait(autojump_clock: MockClock) -> None:
    async with running(patience_s=1e9) as parts:
        parts.bench.failures += [NoSpaceError()] * 1000
        parts.core.engines["a"] = "executor"
        parts.engine.report("a", EXIT)
        await trio.sleep(100)
        await parts.engine.stop("a", STOP)
        await quiet(lambda: parts.core.ends("a"), 5)


@pytest.mark.parametrize(
    "error",
    [
        StatusError("FAILED_TO_SAVE_ARTIFACT", "gone"),
        PermissionError(errno.EACCES, "forbidden"),
        ZeroDivisionError("a fault of ours"),
    ],
)
@pytest.mark.parametrize("code", [0, 3])
async def test_results_that_cannot_be_kept(autojump_clock: MockClock, error: Exception, code: int) -> None:
    """One that would have ended well has failed; one that failed by itself says why it did."""
    async with running() as parts:
        parts.bench.failures.append(error)
        parts.core.engines["a"] = "executor"
        parts.engine.report("a", Ended(how="exit", code=code, started_us=1, finished_us=2))
        await quiet(lambda: parts.core.ends("a"))
        (end,) = parts.core.ends("a")
        assert (end.how, end.code) == (("exit", 3) if code else ("error", None))
        assert code or (end.text or "").startswith("FAILED_TO_SAVE_ARTIFACT: ")
        committed(parts, "a")
        await made(parts, "b")  # the engine goes on


async def test_each_kind_of_jobs_has_its_own_shop(autojump_clock: MockClock) -> None:
    local, core, shops = Local(), Core(), {BUNDLES: Bench(), PACKAGES: Bench(unready="Not ready", unkept="Not kept")}
    async with run(BuiltinExecutor(local, dict(shops), patience_s=1.0), core) as _:
        engine = local.sink
        assert isinstance(engine, BuiltinExecutor)
        core.engines |= {"a": BUNDLES, "b": PACKAGES, "c": PACKAGES, "d": LOCAL}
        shops[PACKAGES].failures.append(PermissionError(errno.EACCES, "forbidden"))

        def handed_on(job_id: str) -> bool:
            return any(launch.job_id == job_id for launch in local.submitted)

        for job_id in ("c", "a", "b", "d"):
            engine.submit(Launch(job_id=job_id, spec={}, engine=core.engines[job_id]))
            await quiet(partial(core.ends if job_id == "c" else handed_on, job_id))
        for job_id in ("a", "b", "d"):
            engine.report(job_id, EXIT)
            await quiet(partial(core.ends, job_id))
            committed(Parts(engine, local, shops[BUNDLES], core), job_id)
        await trio.sleep(1)
        assert shops[BUNDLES].done == ["prepare a", "follow a", "collect a", "clear a"]
        assert shops[PACKAGES].done == ["prepare c", "clear c", "prepare b", "follow b", "collect b", "clear b"]
        assert (core.ends("c")[0].text or "").startswith("Not ready: ")
        core.engines["e"] = PACKAGES
        shops[PACKAGES].failures.append(PermissionError(errno.EACCES, "forbidden"))
        engine.report("e", EXIT)
        await quiet(lambda: core.ends("e"))
        assert (core.ends("e")[0].text or "").startswith("Not kept: ")
        await engine.forget("f")
        assert [shop.done[-1] for shop in shops.values()] == ["clear f", "clear f"]


async def test_a_server_that_comes_back_collects_again(autojump_clock: MockClock) -> None:
    async with running(pause_s=1.0) as parts:
        parts.core.engines["a"] = "executor"
        parts.local.known["a"] = EXIT
        assert await parts.engine.status(["a", "b"]) == {"a": Started(started_us=1, step=0), "b": None}
        assert await parts.engine.status(["a"]) == {"a": Started(started_us=1, step=0)}
        await quiet(lambda: parts.core.ends("a"))
        assert parts.bench.done == ["follow a", "collect a"]


async def test_one_that_could_not_be_started_has_results_too(autojump_clock: MockClock) -> None:
    async with running() as parts:
        parts.core.engines["a"] = "executor"
        parts.local.known["a"] = Ended(how="error", text="no such program", finished_us=2)
        assert await parts.engine.status(["a"]) == {"a": Noted(note=None)}
        await quiet(lambda: parts.core.ends("a"))
        assert (parts.core.ends("a")[0].how, parts.core.ends("a")[0].results) == ("error", {"all": "0 bytes"})


@pytest.mark.parametrize("late", [Started(started_us=1, step=0), Ended(how="lost", text="gone", finished_us=1), EXIT])
async def test_nothing_follows_a_job_for_ever(autojump_clock: MockClock, late: Report) -> None:
    """What is told late, or that it is lost, leaves no task behind."""
    async with running(pause_s=1.0) as parts:
        await made(parts, "a")
        await quiet(lambda: parts.bench.following)
        parts.engine.report("a", late)
        parts.engine.report("a", EXIT)
        await trio.sleep(0.5)
        parts.local.known["a"] = Started(started_us=1, step=0)  # read from disk before it ended
        await parts.engine.status(["a"])
        await trio.sleep(10)
        assert not parts.bench.following


async def test_a_bundle_is_not_made_while_what_an_earlier_try_left_is_removed(autojump_clock: MockClock) -> None:
    """A worker is given a job anew that it had made half ready when it was killed."""
    async with running() as parts:
        parts.bench.left.add("a")
        parts.bench.clearing_s = 5.0
        await parts.engine.kept()
        await trio.sleep(1.0)
        assert parts.bench.done == ["clear a"]
        parts.submit("a")
        await trio.sleep(1.0)
        assert parts.bench.done == ["clear a"]
        await quiet(lambda: parts.local.submitted)
        assert (parts.bench.done, parts.bench.left) == (["clear a", "prepare a"], {"a"})


async def test_leftovers_go_once_the_core_knows_its_jobs(autojump_clock: MockClock) -> None:
    async with running() as parts:
        parts.bench.left |= {"old", "live"}
        await trio.sleep(1000)
        assert parts.bench.left == {"old", "live"}  # the core may still be reading which jobs it has
        parts.core.engines["live"] = "executor"
        await parts.engine.kept()
        await quiet(lambda: parts.bench.left == {"live"}, 1)
        parts.bench.left.add("later")
        await quiet(lambda: parts.bench.left == {"live"}, 60)


@pytest.mark.parametrize("stage", ["making", "collecting"])
async def test_a_server_that_ends_waits_for_no_thread_and_tells_nothing(autojump_clock: MockClock, stage: str) -> None:
    async with running(pause_s=1000.0) as parts:
        if stage == "making":
            parts.submit("a")
        else:
            parts.core.engines["a"] = "executor"
            parts.engine.report("a", EXIT)
        await trio.sleep(5)
        began_s = trio.current_time()
    assert trio.current_time() - began_s <= 100  # the next look, and not the end of the work
    assert parts.core.ends("a") == []
    assert "clear a" not in parts.bench.done


async def test_what_is_accepted_while_the_server_ends_is_the_next_ones(autojump_clock: MockClock) -> None:
    async with running() as parts:
        pass
    parts.submit("a")
    assert parts.local.submitted == []
