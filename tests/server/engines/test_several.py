"""Several engines as one: each job's own is asked."""

from __future__ import annotations

from jobdeck_server.engines.base import Ended, Launch, Stop
from jobdeck_server.engines.several import Engines
from tests.server.engines.parts import Core, Local, run

STOP = Stop(signal=15, grace_s=1.0)
END = Ended(how="exit", code=0, finished_us=1)


async def test_each_jobs_own_engine_is_asked() -> None:
    here, away, core = Local(), Local(name="away"), Core(engines={"a": "executor", "b": "away", "c": "local"})
    engines = Engines(here, away)
    async with run(engines, core):
        for job_id, name in (*core.engines.items(), ("strange", "unheard of")):
            engines.submit(Launch(job_id=job_id, spec={}, engine=name))
            await engines.stop(job_id, STOP)
            await engines.signal(job_id, 2)
            await engines.input(job_id, eof_bytes=None)
    assert [launch.job_id for launch in here.submitted] == ["a", "c", "strange"]
    assert [launch.job_id for launch in away.submitted] == ["b"]
    assert away.done == ["stop b", "signal b", "input b"]
    assert here.done == [f"{verb} {job_id}" for job_id in ("a", "c", "strange") for verb in ("stop", "signal", "input")]


async def test_what_is_kept_is_kept_here() -> None:
    here, away, core = Local(known={"a": END}), Local(name="away", known={"b": END}), Core(engines={"b": "away"})
    engines = Engines(here, away)
    async with run(engines, core):
        assert await engines.status(["a", "b", "strange"]) == {"a": END, "b": END, "strange": None}
        await engines.forget("b")
        await engines.forget_output("b")
        assert await engines.kept() == ["a"]
        assert engines.follow("b") == here.follow("b")
    assert here.done == ["forget b", "forget output b"]
    assert engines.capacity_count == here.capacity_count


async def test_before_there_is_a_core_all_jobs_are_here() -> None:
    here, away = Local(known={"b": END}), Local(name="away")
    assert await Engines(here, away).status(["b"]) == {"b": END}
