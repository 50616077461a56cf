"""The list of contexts as it is driven: live rows, filter, sorts, making one, stopping them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from jobdeck_client.errors import RefusedError
from jobdeck_protocol.contextinfo import ContextState
from jobdeck_protocol.job import JobState
from jobdeck_tui.console import state as told
from jobdeck_tui.console.few import Few, FewFailed, Kind
from jobdeck_tui.console.query import Query
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.help import rows_of
from jobdeck_tui.console.screens.jobs import JobsScreen
from jobdeck_tui.console.screens.newcontext import NewContextScreen
from jobdeck_tui.console.screens.output import OutputScreen
from jobdeck_tui.sparksettings import fields_of
from tests.tui.console.contexts import changed, context, job_in, jobs_on_spark, on_spark, some, stage, uid
from tests.tui.console.harness import ui, until
from tests.tui.console.lists import with_jobs


@ui
async def test_rows_are_live_filtered_and_sorted() -> None:
    contexts = some()
    async with stage(contexts) as it:
        assert it.names == ["3c1f09aa-jobs.WordCount", "broken", "fresh", "main", "old", "reports"]
        await it.see(
            "plain ad-hoc", "● running", "◔ starting", "◐ stopping", "✗ error", "3/8", "■■■■■■■■     8/8      5"
        )
        await it.see("13 of 33 slots in use", "1 / 6")
        it.tell(changed(contexts[0], running_count=4))
        await it.see("■■■■····     4/8")
        it.tell_gone(6)
        await it.unseen("broken")
        it.tell(context(9, "a new one"))
        await it.see("a new one", " / 6")
        await it.press("U")
        await until(it.pilot, lambda: it.names[0] == "reports")
        await it.press("S")
        await until(it.pilot, lambda: it.names[0] == "fresh")
        await it.press("slash", *"is:made state:run e", "enter")
        await until(it.pilot, lambda: it.names == ["a new one", "reports"])
        await it.unseen("No context matches.")
        await it.press("escape")
        await it.press("slash", *"is:x")
        await it.see("is:adhoc or is:made")


@ui
async def test_its_jobs_are_beside_it_and_on_the_list_of_jobs() -> None:
    contexts = some()
    server = with_jobs(6, JobState.RUNNING)
    server.jobs[1] = replace(server.jobs[1], context="main")
    jobs = [job_in(contexts[0], 1, "jobs.One"), job_in(contexts[0], 2, "jobs.Two", progress=0.5)]
    async with stage(contexts, jobs, server=server, size=(150, 24)) as it:
        await it.press("j", "j", "j")
        await it.see("Context main", "spark.cores.max = 4", 'python.packages = ["numpy-1.26"]')
        await it.see("jobs.One", "jobs.Two", "░░ 50 %")
        looks = it.app.watch_over.looks
        assert looks[-1] == (uid(1), True)
        await it.press("tab", "down", "enter")
        await it.on(OutputScreen)
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        it.screen.set_focus(it.screen.table)
        await it.press("enter")
        await it.on(JobsScreen)
        await it.see("context:main", "make part-2", "1 / 1")
        assert it.app.fake.queries[-1] == Query(context="main")
        await until(it.pilot, lambda: looks[-1][1] is False)


@ui
async def test_one_is_made_and_waited_for() -> None:
    async with stage(some()) as it:
        await it.press("n")
        await it.on(NewContextScreen)
        await it.see("python.packages = [numpy-wheel]")
        await it.press("enter")
        await it.see("A context needs a name.")
        await it.press(*"mine", "tab", "tab", "tab", *"a = [")
        await it.see("line 1: a list that does not end")
        await it.press("ctrl+s")
        assert not it.asked("create")
        await it.press("end", *"1]")
        await it.see("can be read")
        it.app.acts.pause = asyncio.Event()
        await it.press("ctrl+s")
        await it.see("Making its environment…")
        await it.press("ctrl+s")
        assert it.asked("create") == [("create", "mine", "a = [1]")]
        it.app.acts.failure = RefusedError(422, "no", "context mine:\x1b[2J no wheel")
        it.app.acts.pause.set()
        await it.see("context mine:␛[2J no wheel")
        it.app.acts.failure = None
        await it.press("ctrl+s")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        assert it.app.toasts == ["Context mine is ready"]
        it.tell(context(77, "mine"))
        await until(it.pilot, lambda: it.screen.table.cursor.name == "mine")


@pytest.mark.slow
@ui
async def test_who_closes_the_dialog_is_told_later() -> None:
    async with stage(some()) as it:
        it.app.acts.pause = asyncio.Event()
        await it.press("n")
        await it.on(NewContextScreen)
        await it.press(*"mine", "enter")
        await it.see("Making its environment…")
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        it.app.acts.pause.set()
        await until(it.pilot, lambda: it.app.toasts[1:] == ["Context mine is ready"])


@ui
async def test_stopping_says_what_runs_there() -> None:
    async with stage(some()) as it:
        await it.press("G", "x")
        await it.on(ConfirmScreen)
        await it.see(
            "Stop this context?",
            "reports",
            "(8 jobs in it, 5 waiting)",
            "8 jobs in it will be ended.",
            "5 jobs that wait",
        )
        await it.press("n")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        assert not it.asked("stop")
        await it.press("g", "j", "x")
        await until(it.pilot, lambda: it.app.toasts == ["It has ended already"])
        it.app.acts.refused = [("main", "It is needed.")]
        await it.press("ctrl+a", "x")
        await it.on(ConfirmScreen)
        await it.see("Stop these 5 contexts?", "13 jobs in them will be ended.")
        await it.press("y")
        await until(it.pilot, lambda: len(it.asked("stop")) == 1)
        assert sorted(it.asked("stop")[0][1:]) == ["3c1f09aa-jobs.WordCount", "fresh", "main", "old", "reports"]
        await until(it.pilot, lambda: it.app.toasts[1:] == ["main: It is needed.", "4 contexts asked to stop"])
        await it.press("u", "G", "y")
        await until(it.pilot, lambda: it.app.clipboard == "reports")
        it.app.fake.tell(told.ServerTold(version="", role="view", store=""))
        await until(it.pilot, lambda: not it.screen.changeable)
        assert not {"create", "stop(False)", "stop(True)", "restart"} & {row.action for row in rows_of(it.app.screen)}


@ui
async def test_none_and_none_to_be_had_and_foreign_names() -> None:
    async with stage([], size=(60, 16)) as it:
        await it.see("No contexts", "n makes one that stays", "jobdeck contexts create NAME")
        it.app.fake.state = replace(it.app.fake.state, contexts=Few())
        it.app.fake.tell(FewFailed(kind=Kind.CONTEXTS, error="No such page."))
        await it.see("The list cannot be had:", "No such page.")
        await it.press("enter", "x", "y", "space")
        assert it.app.acts.asked == []
        bad = context(2, "\x1b[2J\u202e[bold]x", state=ContextState.ERROR, error="\x07bell", settings={"a\x1b": "\x9b"})
        it.tell(bad)
        await it.see("␛[2J<U+202E>[bold]x")
        await it.press("p")
        await it.see("why       ␇bell", "a␛ = ")


@ui
async def test_contexts_on_spark_say_where_and_how_far() -> None:
    contexts = on_spark()
    async with stage(contexts, jobs_on_spark(contexts[0]), size=(80, 24)) as it:
        await it.see("◑ restarting  again  (connecting to spark:…", "coming  (starting Java)", "700 MiB", "MEMORY")
        await it.press("M")
        await until(it.pilot, lambda: it.names[:2] == ["warehouse", "wordcount"])
        await it.press("j", "p")
        await it.see(
            "Context wordcount", "master       local[2]", "2 of 4 in use, 3 waiting", "job 000007d1, with its log"
        )
        await it.see("…WordCount", "37 % stage 2 of 3, 14 of 200 tasks", "jobs.Waits3", "waits")
        job = it.app.watch_over.jobs[0]
        it.app.fake.tell(told.JobTold(job=replace(job, progress=0.5, progress_text="stage 3 of 3")))
        await it.see("█████░░░░░ 50 % stage 3 of 3")
        it.tell(changed(contexts[0], note="stopping Spark", state=ContextState.STOPPING))
        await it.see("◐ stopping: stopping Spark")
        await it.press("l")
        await it.on(OutputScreen)
        assert isinstance(it.app.screen, OutputScreen)
        assert it.app.screen.job_id == contexts[0].process
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        await it.press("slash", *"plain-one", "enter")
        await until(it.pilot, lambda: it.names == ["plain-one"])
        await it.press("l")
        await until(it.pilot, lambda: it.app.toasts == ["It has no process of its own: its jobs have logs"])


@ui
async def test_restarting_and_killing_say_what_ends() -> None:
    async with stage(on_spark()) as it:
        await it.press("G", "r")
        await it.on(ConfirmScreen)
        await it.see("Restart this context?", "2 jobs in it will be ended.", "3 jobs that wait will run when it is up")
        await it.press("y")
        await until(it.pilot, lambda: it.asked("restart") == [("restart", "wordcount")])
        await until(it.pilot, lambda: it.app.toasts == ["1 context asked to restart"])
        it.app.acts.refused = [("wordcount", "It is being stopped.")]
        await it.press("r")
        await it.on(ConfirmScreen)
        await it.press("y")
        await until(it.pilot, lambda: it.app.toasts[1:] == ["wordcount: It is being stopped."])
        it.app.acts.refused = []
        await it.press("X")
        await it.on(ConfirmScreen)
        await it.see("Kill this context?", "3 jobs that wait will not be run.")
        await it.press("y")
        await until(it.pilot, lambda: it.asked("kill") == [("kill", "wordcount")])


@ui
async def test_one_on_spark_is_made_by_fields_and_by_lines() -> None:
    async with stage(on_spark(), size=(60, 16)) as it:
        await it.press("n")
        await it.on(NewContextScreen)
        await it.press(*"sparky", "tab", "right", "tab", *"4", "tab", *("down",) * 2, "tab", *"6", "tab", *"2g")
        await it.see('spark.master = "local[6]"', "launcher.spark.driver.memory = 2g", "max-jobs-per-context = 4")
        await it.press("tab", "left", "tab", *"spark.ui.enabled = true")
        await it.see("○ never  ● always", "context-restart = always", "spark.ui.enabled = true")
        it.app.acts.pause = asyncio.Event()
        await it.press("ctrl+s")
        await it.see("Making it…")
        it.tell(context(77, "sparky", state=ContextState.STARTING, note="starting Java"))
        await it.see("Making it: starting Java")
        it.app.acts.failure = RefusedError(422, "no", "No Java.\n" + "\n".join(f"looked at {n}" for n in range(9)))
        it.app.acts.pause.set()
        await it.see("No Java.", "looked at 1")
        await it.press("tab", "end")
        await it.see("looked at 8")
        (made,) = it.asked("create")
        assert fields_of(made[2]) == {
            "master": "local[6]",
            "cores": "6",
            "memory": "2g",
            "jobs": "4",
            "restart": "always",
        }


@pytest.mark.slow
@ui
async def test_kinds_take_their_lines_with_them() -> None:
    async with stage([]) as it:
        await it.press("n")
        await it.on(NewContextScreen)
        await it.press("tab", "tab", "tab", *'spark.master = "local[3]"', "enter", *"a = 1")
        await it.see("● Spark", "Cores     3", "Master    local[3]")
        await it.press("shift+tab", "shift+tab", "shift+tab", "shift+tab", "shift+tab", "shift+tab", "left")
        await it.see("● plain", "a = 1")
        await it.unseen("spark.master")
        await it.press("space")
        await it.see('spark.master = "local[3]"', "Cores     3")


@pytest.mark.slow
@ui
async def test_from_a_job_to_its_context() -> None:
    contexts = on_spark()
    server = with_jobs(2, JobState.RUNNING)
    server.jobs[1] = replace(server.jobs[1], context="warehouse", engine="context", steps=())
    async with stage(contexts, server=server) as it:
        await it.press("slash", *"is:adhoc", "enter", "1")
        await it.on(JobsScreen)
        await it.see("context warehouse")
        await it.press("x")
        await it.on(ConfirmScreen)
        await it.see("Context warehouse and what runs in it will end, too.")
        await it.press("n")
        await it.on(JobsScreen)
        await it.press("C")
        await until(it.pilot, lambda: it.app.screen is it.screen and it.screen.table.cursor.name == "warehouse")
        await it.press("1")
        await it.on(JobsScreen)
        await it.press("G", "C")
        await until(it.pilot, lambda: it.app.toasts == ["It runs in no context"])
