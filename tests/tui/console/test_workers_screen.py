"""The list of workers as it is driven: live rows, filter, sorts, and what is done to workers."""

from __future__ import annotations

from dataclasses import replace

from jobdeck_client.errors import RefusedError
from jobdeck_protocol.job import JobState
from jobdeck_protocol.workerinfo import WorkerState
from jobdeck_tui.console import state as told
from jobdeck_tui.console.few import FewFailed, Kind
from jobdeck_tui.console.query import Query
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.help import rows_of
from jobdeck_tui.console.screens.jobs import JobsScreen
from jobdeck_tui.console.screens.output import OutputScreen
from jobdeck_tui.console.screens.rename import RenameScreen
from jobdeck_tui.console.screens.workers import WorkersScreen
from jobdeck_tui.console.workerbook import Book
from tests.tui.console.harness import screen_text, ui, until
from tests.tui.console.lists import with_jobs
from tests.tui.console.workers import job_on, own, some, stage, uid, worker


@ui
async def test_rows_are_live() -> None:
    workers = some()
    async with stage(workers) as it:
        assert it.names == ["arm-builder", "deck", "gpu-a", "gpu-b", "mac-mini", "old-box"]
        await it.see("! unreachable", "gpu-b", "13m", "+4.7s", "14 of 94 slots in use")
        it.tell(replace(workers[1], state=WorkerState.DRAINING, running_count=2))
        await it.see("■■······     2/8")
        it.tell_gone(5)
        await it.unseen("old-box")
        it.tell(worker(77, "brand-new"))
        await it.see("brand-new", " / 6")
        # the cursor stays on its worker
        await it.press("G")
        await until(it.pilot, lambda: it.screen.table.cursor.name == "mac-mini")
        it.tell(worker(78, "aaa"))
        await it.see("aaa", "7 / 7")
        assert it.screen.table.cursor.name == "mac-mini"
        it.app.fake.tell(told.LinkTold(up=False, at_us=0, error="gone"))
        await it.see("NO LINK since", "gpu-a")


@ui
async def test_it_is_read_again_only_while_it_is_seen() -> None:
    async with stage(some(), size=(150, 24)) as it:
        looks = it.app.watch_over.looks
        await until(it.pilot, lambda: looks[-1] == (uid(6), True))
        await it.press("down")
        await until(it.pilot, lambda: looks[-1] == (uid(1), True))
        await it.press("r")
        await it.on(RenameScreen)
        assert looks[-1] == (uid(1), True)  # it is seen behind the dialog
        await it.press("escape", "1")
        await it.on(JobsScreen)
        await until(it.pilot, lambda: looks[-1][1] is False)
        await it.press("3")
        await until(it.pilot, lambda: looks[-1] == (uid(1), True))
        reads = it.app.watch_over.reads
        await it.press("ctrl+r")
        await until(it.pilot, lambda: it.app.watch_over.reads > reads)


@ui
async def test_a_filter_and_each_order() -> None:
    async with stage(some()) as it:
        x = screen_text(it.app).splitlines()[1].index("SLOTS")
        await it.pilot.click(it.screen.table, offset=(x, 0))
        await until(it.pilot, lambda: it.names[0] == "gpu-a")
        await it.press("N")
        await until(it.pilot, lambda: it.names[0] == "arm-builder")
        await it.press("slash", *"state:online linux", "enter")
        await until(it.pilot, lambda: it.names == ["arm-builder", "gpu-a"])
        await it.unseen("No worker matches.")
        await until(it.pilot, lambda: it.screen.table.has_focus)
        await it.press("N")
        await until(it.pilot, lambda: it.names == ["gpu-a", "arm-builder"])
        await it.press("escape", "S")
        await until(it.pilot, lambda: it.names[0] == "gpu-b")
        await it.press("U")
        await until(it.pilot, lambda: it.names[0] == "gpu-a")
        await it.press("L", "L")
        await until(it.pilot, lambda: it.names[-1] == "gpu-a")
        await it.press("A", "A")
        await until(it.pilot, lambda: it.names[0] == "old-box")
        await it.press("slash", *"nothing like it", "enter")
        await it.see("No worker matches.")


@ui
async def test_enter_shows_the_jobs_of_a_worker() -> None:
    workers = some()
    server = with_jobs(6, JobState.RUNNING)
    server.jobs[1] = replace(server.jobs[1], worker=workers[2].id)
    async with stage(workers, server=server) as it:
        await it.press("down", "down", "down", "enter")
        await it.on(JobsScreen)
        await it.see("worker:gpu-b", "make part-2", "1 / 1")
        assert it.app.fake.queries[-1] == Query(worker=workers[2].id, places=frozenset({workers[2].id}))
        await it.press("escape")
        await it.see("make part-6", "1 / 6")


@ui
async def test_the_details_tell_all_and_lead_to_jobs() -> None:
    workers = some()
    jobs = [job_on(workers[1], 1, "train one"), job_on(workers[1], 2, "train two")]
    async with stage(workers, jobs, size=(150, 24)) as it:
        await it.press("down", "down")
        await it.see("Worker gpu-a", "4 waiting for it", "gpu linux big", "train one", "train two", "10.0.0.12:51234")
        it.app.fake.tell(told.JobTold(job=replace(jobs[0], state=JobState.SUCCEEDED, exit_code=0)))
        await it.see("✓ succeeded")
        await it.press("tab", "down", "enter")
        await it.on(OutputScreen)
        assert isinstance(it.app.screen, OutputScreen)
        assert it.app.screen.job_id == jobs[1].id
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        await it.press("p")
        await it.unseen("Worker gpu-a")


@ui
async def test_draining_and_back() -> None:
    workers = some()
    async with stage(workers) as it:
        await it.press("d")
        await until(it.pilot, lambda: it.app.toasts == ["1 worker drained: nothing new goes there"])
        await it.press("down", "down", "down", "down", "d")
        await until(it.pilot, lambda: it.asked("undrain") == [("undrain", uid(4))])
        it.app.acts.failure = RefusedError(409, "no", "It is\x1b[2J not.")
        await it.press("d")
        await until(it.pilot, lambda: it.app.toasts[-1] == "Draining failed: It is␛[2J not.")
        # who may start jobs, and no more, has no keys for this
        it.app.fake.tell(told.ServerTold(version="", role="run", store=""))
        await until(it.pilot, lambda: not it.screen.changeable)
        keys = {row.action for row in rows_of(it.app.screen)}
        assert {"copy_id", "open"} <= keys
        assert not {"drain", "rename", "forget"} & keys


@ui
async def test_renaming_and_copying() -> None:
    async with stage(some()) as it:
        await it.press("space", "space", "y", "u", "g")
        await until(it.pilot, lambda: it.app.clipboard == f"{uid(6)}\n{uid(1)}")
        await it.press("r")
        await it.on(RenameScreen)
        await it.press(*"new name", "enter")
        await until(it.pilot, lambda: it.asked("rename") == [("rename", uid(6), "new name")])
        await it.press("r")
        await it.on(RenameScreen)
        await it.press("backspace", "space", "enter")
        await it.see("characters that can be seen")
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        assert len(it.asked("rename")) == 1


@ui
async def test_forgetting_says_what_becomes_of_its_jobs() -> None:
    async with stage(some()) as it:
        await it.press("down", "down", "space", "space", "x")
        await it.on(ConfirmScreen)
        await it.see("Forget these 2 workers?", "gpu-a  (8 jobs there)", "10 jobs", "LOST", "4 jobs that")
        await it.press("n")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        assert not it.asked("forget")
        it.app.acts.refused = [(uid(3), "It is needed.")]
        await it.press("x")
        await it.on(ConfirmScreen)
        await it.press("y")
        await until(it.pilot, lambda: it.asked("forget") == [("forget", uid(2), uid(3))])
        await until(it.pilot, lambda: it.app.toasts == [f"{uid(3)[:8]}: It is needed.", "1 worker forgotten"])
        await until(it.pilot, lambda: not it.screen.table.marks)


@ui
async def test_one_machine_alone_says_how_another_joins() -> None:
    async with stage([own()], size=(60, 16)) as it:
        await it.see("Only this machine", "jobdeck worker --server http://127.0.0.1:8080", "--token-file")
        await it.press("1", "n")
        await it.see("Time limit")
        assert "It must have" not in it.text  # where there is nothing to choose
        await it.press("escape", "3")
        await it.on(WorkersScreen)
        it.tell(worker(2, "far"))
        await it.unseen("Only this machine")
        await it.press("p")
        await it.see("Worker deck")


@ui
async def test_a_server_that_knows_no_workers() -> None:
    async with stage([]) as it:
        it.app.fake.state = replace(it.app.fake.state, workers=Book())
        it.app.fake.tell(FewFailed(kind=Kind.WORKERS, error="No such page."))
        await it.see("The list cannot be had:", "No such page.")
        await it.press("enter", "d", "r", "x", "y", "space")
        assert it.app.acts.asked == []


@ui
async def test_foreign_names_are_shown_and_not_obeyed() -> None:
    bad = worker(2, "\x1b[2J\u202e[bold]x", labels=("\x07tag",), address="\x1b]0;x", software="\x9b1m")
    async with stage([own(), bad], size=(200, 40)) as it:
        await it.see("␛[2J<U+202E>[bold]x", "␇tag")
        await it.press("g", "x")
        await it.on(ConfirmScreen)
        await it.see("␛[2J<U+202E>[bold]x  (no job")


# -- the worker of a job elsewhere --


@ui
async def test_jobs_tell_their_worker_where_there_are_several() -> None:
    workers = some()
    server = with_jobs(4, JobState.RUNNING)
    server.jobs[3] = replace(server.jobs[3], worker=workers[2].id, unreachable=True)
    server.jobs[2] = replace(server.jobs[2], state=JobState.QUEUED, note="waits for a worker with labels gpu")
    async with stage(workers, server=server, size=(110, 30), pane="1") as it:
        await it.see("WORKER", "! running", "gpu-b", "(unreachable)", "(waits for a worker")
        it.tell(replace(workers[2], name="renamed"))
        await it.see("renamed")


@ui
async def test_jobs_are_filtered_by_the_name_of_a_worker() -> None:
    workers = some()
    server = with_jobs(6, JobState.RUNNING)
    server.jobs[1] = replace(server.jobs[1], worker=workers[1].id)
    async with stage(workers, server=server, pane="1") as it:
        await it.press("slash", *"worker:gpu")
        await it.see("several workers are meant by 'gpu'")
        await it.press(*"-a")
        await it.see("make part-2", "1 / 1")
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen.focused is it.app._jobs.table)
        await it.press("slash", *"worker:deck", "enter")
        await it.see("1 / 5")
        await until(it.pilot, lambda: it.app.screen.focused is it.app._jobs.table)
        await it.press("slash", "end", "x")
        await it.see("no worker is called 'deckx'")


@ui
async def test_a_start_may_choose_where() -> None:
    workers = some()
    async with stage(workers, pane="1") as it:
        await it.press("n")
        await it.see("It must have")
        await it.press(*"make", "tab", "tab", "tab", "tab", "tab", *"gpu-a", "tab", *"gpu linux", "ctrl+s")
        wanted = {"command": "make", "worker": "gpu-a", "worker_labels": ["gpu", "linux"]}
        await until(it.pilot, lambda: it.app.asking.asked[-1:] == [("submit", wanted)])
