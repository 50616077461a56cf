"""The dialog that starts a class: what is found and typed, the configuration checked beside it, what is sent."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from jobdeck_client.errors import NotFoundError, RefusedError
from jobdeck_protocol.contextinfo import ContextInfo, ContextState
from jobdeck_tui.console.classrequest import context_words, takes
from jobdeck_tui.console.few import FewCame, Kind
from jobdeck_tui.console.screens.output import OutputScreen
from jobdeck_tui.console.screens.startclass import StartClassScreen
from jobdeck_tui.console.widgets import hocon_edit
from jobdeck_tui.console.widgets.choice_input import choice_words
from tests.tui.console.harness import ui, until
from tests.tui.console.packages import NO_SERVER, STARTED, Stage, package, stage


async def opened(it: Stage) -> StartClassScreen:
    await it.press("enter")
    await it.on(StartClassScreen)
    screen = it.app.screen
    assert isinstance(screen, StartClassScreen)
    await until(it.pilot, lambda: screen.class_line.choices or "type the name" in it.text or it.app.packages.failure)
    return screen


def test_choices_are_told_without_what_they_share() -> None:
    names = ("a.b.C", "a.b.D", "a.e.F")
    assert choice_words(names, "") == "3 found: b.C · b.D · e.F"
    assert choice_words(names, "a.b.D") == "2 of 3, then e.F · b.C"
    assert choice_words(("a.b.C",), "a.b.C") == "1 of 1"
    assert choice_words(("C", "a.b.C"), "x") == "2 found: C · a.b.C"
    assert choice_words((), "x") == "0 found: "


def test_contexts_that_take_a_class() -> None:
    plain = ContextInfo(id="1", name="py")
    spark = ContextInfo(id="2", name="sp", kind="spark", master="local[2]", slots_count=8, queued_count=2)
    python = replace(spark, settings={"context-factory": "spark.jobserver.python.PythonSparkContextFactory"})
    jvm = replace(spark, settings={"context-factory": "spark.jobserver.context.SessionContextFactory"})
    assert [takes(each, "jar") for each in (plain, spark, python, jvm)] == [False, True, False, True]
    assert [takes(each, "wheel") for each in (plain, spark, python, jvm)] == [True, True, True, False]
    assert not any(takes(replace(spark, state=state), "egg") for state in (ContextState.STOPPING, ContextState.ERROR))
    assert context_words(spark, "jar") == "spark on local[2], 0 of 8 in use, 2 waiting"
    assert context_words(plain, "jar") == "✗ a jar needs a context on Spark: py runs Python alone"
    assert context_words(jvm, "egg") == "✗ sp runs classes out of jars alone"
    assert context_words(replace(plain, adhoc=True), "egg") == "✗ it is of another job alone"
    assert not context_words(None, "jar")


def contexts(*told: ContextInfo) -> FewCame:
    return FewCame(kind=Kind.CONTEXTS, items=told)


@ui
async def test_a_class_that_was_found_is_started_in_a_context_and_its_output_shown() -> None:
    async with stage([package("words")]) as it:
        it.app.fake.tell(
            contexts(
                ContextInfo(id="1", name="py1"),
                ContextInfo(id="2", name="a-jobs.WordCount", adhoc=True),
                ContextInfo(id="3", name="going", state=ContextState.STOPPING),
                ContextInfo(id="4", name="Main"),
            )
        )
        screen = await opened(it)
        await it.see("Start a class out of words", "↑↓ 3 found: WordCount · LongRunning · deep.Failing")
        await it.press("down", "tab", "down")
        await it.see("↑↓ 1 of 3, then LongRunning · deep.Failing")
        assert screen.class_line.value == "jobs.WordCount"
        assert screen.context_line.choices == ("", "Main", "py1")
        assert screen.context_line.value == "Main"
        await it.see("(wheel)", "plain, 0 of ")
        await it.press("down", "tab", *"http://h/hook", "tab", *"a = 1", "enter", *"b = 2")
        await it.see("✓ can be read")
        await it.press("ctrl+y", "ctrl+s")
        await it.on(OutputScreen)
        assert isinstance(it.app.screen, OutputScreen)
        assert it.app.screen.job_id == STARTED.id
        order = {
            "main_class": "jobs.WordCount",
            "packages": ["words"],
            "config": "a = 1\nb = 2",
            "context": "py1",
            "callback_url": "http://h/hook",
        }
        assert it.asked("start") == [("start", order)]
        assert '"main_class": "jobs.WordCount"' in it.app.clipboard


@pytest.mark.slow
@ui
async def test_what_was_started_last_stands_there_the_next_time() -> None:
    async with stage([package("words"), package("other")]) as it:
        await it.press("G")
        screen = await opened(it)
        await it.press("down", "tab", "tab", "tab", *"x = 1", "ctrl+s")
        await it.on(OutputScreen)
        await it.press("4")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        screen = await opened(it)
        assert screen.class_line.value == "jobs.WordCount"
        assert screen.config.text == "x = 1"
        # Another class has a configuration of its own; what is typed stays.
        await it.press("down")
        await until(it.pilot, lambda: screen.config.text == "")
        await it.press("up")
        await until(it.pilot, lambda: screen.config.text == "x = 1")
        await it.press("tab", "tab", "tab", *"y", "shift+tab", "shift+tab", "shift+tab", "down")
        await until(it.pilot, lambda: screen.class_line.value == "jobs.LongRunning")
        assert "y" in screen.config.text
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen is it.screen)


@ui
async def test_a_configuration_is_checked_while_one_types_and_its_fault_marked() -> None:
    async with stage([package("words")]) as it:
        screen = await opened(it)
        await it.press("down", "tab", "tab", "tab", *"a = 1", "enter", *"b! = 2", "enter", *"c = 3")
        await it.see("✗ line 2: a key may not hold '!'", "2✗ b! = 2")
        await it.press("ctrl+s")
        await until(it.pilot, lambda: screen.config.area.cursor_location == (1, 1))
        assert it.asked("start") == []
        # Typing never waits: an answer that is under way is dropped when the text goes on.
        it.app.packages.pause = asyncio.Event()
        await it.press("delete")
        await until(it.pilot, lambda: it.asked("check")[-1] == ("check", "a = 1\nb = 2\nc = 3"))
        assert screen.config.found is None
        await it.press("!")
        assert "b! = 2" in screen.config.text
        it.app.packages.pause.set()
        await it.see("✗ line 2")
        it.app.packages.failure = NO_SERVER
        await it.press("x")
        await it.see("Not checked: No server answers")
        it.app.packages.failure = None
        await it.see("✗ line 2")
        await it.press("f7", "delete")
        await it.unseen("Not checked")
        await it.press("ctrl+s")
        await it.on(OutputScreen)
        assert it.asked("start") == [("start", {"main_class": "jobs.WordCount", "packages": ["words"]})]


@pytest.mark.slow
@ui
async def test_a_text_is_not_checked_before_it_has_stood_for_a_moment() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hocon_edit, "CONFIG_WAIT_S", 1e6)
        async with stage([package("words")]) as it:
            screen = await opened(it)
            await it.press("tab", "tab", "tab", *"a = 1")
            await until(it.pilot, lambda: screen.config.text == "a = 1")
            await it.pilot.pause()
            assert it.asked("check") == []


@ui
async def test_faults_and_refusals_are_told_and_nothing_typed_is_lost() -> None:
    async with stage([package("words")]) as it:
        it.app.packages.failure = NotFoundError(404, "no", "There is no package words.")
        screen = await opened(it)
        await it.see("There is no package words.")
        it.app.packages.failure = None
        await it.press("ctrl+s")
        await it.see("which class?")
        await it.press(*"jobs.Own", "tab", "tab", *"ftp://h", "ctrl+s")
        await it.see("begins with http:// or https://")
        assert screen.callback_line.has_focus
        await it.press(*("backspace",) * 7)
        await it.unseen("begins with")
        it.app.packages.failure = RefusedError(400, "bad", "Invalid job type \x1b[2Jfor this context")
        await it.press("ctrl+s")
        await it.see("Invalid job type", "jobs.Own")
        it.app.packages.failure, it.app.packages.pause = None, asyncio.Event()
        await it.press("ctrl+s", "ctrl+s")
        await until(it.pilot, lambda: len(it.asked("start")) == 2)
        it.app.packages.pause.set()
        await it.on(OutputScreen)
        assert len(it.asked("start")) == 2


@ui
async def test_a_name_that_looks_like_markup_is_a_name() -> None:
    name = "[b]x[/b] [@click=app.quit]q[/] [/oops]"
    async with stage([package(name)], size=(150, 24)) as it:
        it.app.packages.classes = ("[/b].A", "[b].B")
        await it.see(f"Package {name}"[:40])
        screen = await opened(it)
        await it.see(f"Start a class out of {name}", "2 found: [/b].A · [b].B")
        assert screen.class_line.value == ""


@pytest.mark.slow
@ui
async def test_what_is_typed_before_the_classes_are_known_stays() -> None:
    async with stage([package("words")]) as it:
        it.app.packages.pause, it.app.packages.slow = asyncio.Event(), True
        it.app.packages.classes = ("jobs.Only",)
        await it.press("enter")
        await it.on(StartClassScreen)
        screen = it.app.screen
        assert isinstance(screen, StartClassScreen)
        await it.press("tab", "tab", *"http://h", "tab", *"a = 1")
        it.app.packages.pause.set()
        await until(it.pilot, lambda: screen.class_line.value == "jobs.Only")
        assert (screen.callback_line.value, screen.config.text) == ("http://h", "a = 1")


@pytest.mark.slow
@ui
async def test_a_package_without_classes_is_started_by_name_and_its_only_class_at_once() -> None:
    async with stage([package("words")], size=(60, 16)) as it:
        it.app.packages.classes = ()
        screen = await opened(it)
        await it.see("no class was found in it: type the name of one")
        await it.press("down", "up", *"a.B", "enter", "enter", *"x", "enter", *"k = 1")
        assert screen.class_line.value == "a.B"
        assert screen.config.text == "k = 1"
        assert it.asked("start") == []
        # What is typed and left is there again.
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        screen = await opened(it)
        assert (screen.class_line.value, screen.callback_line.value, screen.config.text) == ("a.B", "x", "k = 1")
        await it.press(*("backspace",) * 3, "escape")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        it.app.packages.classes = ("jobs.Only", "evil\x1b[2J")
        screen = await opened(it)
        await until(it.pilot, lambda: screen.class_line.value == "jobs.Only")
        assert screen.class_line.choices == ("jobs.Only",)
