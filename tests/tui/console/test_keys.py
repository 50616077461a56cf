"""Keys that come together are obeyed one after the other, whoever obeys them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.widgets import Input

from jobdeck_tui.console.keys import KeyOrder
from jobdeck_tui.console.screens.jobs import JobsScreen
from jobdeck_tui.console.widgets.job_table import JobTable
from tests.tui.console.harness import ui, until
from tests.tui.console.lists import stage, with_jobs


def send(app: App[Any], *keys: str) -> None:
    """As a terminal sends them: all at once."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


@ui
async def test_a_filter_typed_at_once_after_other_keys_is_typed_in_the_filter() -> None:
    async with stage(with_jobs(50)) as it:
        send(it.app, "tab", "shift+tab", "G", "slash", *"nxq", "enter")
        await until(it.pilot, lambda: it.app.screen.filter.input.value == "nxq")  # type: ignore[attr-defined]  # of the list
        await until(it.pilot, lambda: isinstance(it.app.screen.focused, JobTable))
        assert isinstance(it.app.screen, JobsScreen)  # no dialog, no question


@ui
async def test_a_key_after_the_end_of_a_filter_is_the_lists() -> None:
    async with stage(with_jobs(50)) as it:
        send(it.app, "slash", "p", "enter", "G")
        await until(it.pilot, lambda: it.cursor == 1)  # the oldest, at the end
        assert it.app.screen.filter.input.value == "p"  # type: ignore[attr-defined]  # of the list


class _Vanishing(KeyOrder[None]):
    """Its field is gone as soon as it hears of ``x``."""

    BINDINGS = [Binding("f5", "note", priority=True)]  # noqa: RUF012  # as App declares it

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    def compose(self) -> ComposeResult:
        yield Input(id="first")
        yield Input(id="second")

    async def on_input_changed(self, event: Input.Changed) -> None:
        if event.value.endswith("x") and event.input.id == "first":
            self.query_one("#second", Input).focus()
            await event.input.remove()

    def action_note(self) -> None:
        self.noted += [each.value for each in self.query(Input)]


@ui
async def test_a_widget_that_goes_with_its_key_holds_up_none() -> None:
    app = _Vanishing()
    async with app.run_test() as pilot:
        send(app, "a", "x")
        await until(pilot, lambda: len(app.query(Input)) == 1)
        send(app, "b", "f5", "c", "f5")
        await until(pilot, lambda: app.noted == ["b", "bc"])


class _SlowInput(Input):
    """What comes after ``s`` is meant for the second field, and that takes a while."""

    async def on_key(self, event: events.Key) -> None:
        if event.key == "s":
            await asyncio.sleep(0.7)
            self.screen.query_one("#second", Input).focus()


class _Slow(KeyOrder[None]):
    """Two fields."""

    def compose(self) -> ComposeResult:
        yield _SlowInput(id="first")
        yield Input(id="second")


@ui
async def test_a_key_that_takes_long_is_waited_for() -> None:
    app = _Slow()
    async with app.run_test() as pilot:
        send(app, "s", "b", "c")
        await until(pilot, lambda: [each.value for each in app.query(Input)] == ["s", "bc"])


@ui
async def test_what_is_pasted_comes_in_its_turn() -> None:
    app = _Vanishing()
    async with app.run_test() as pilot:
        send(app, "a")
        app.post_message(events.Paste("bc"))
        send(app, "f5", "d", "f5")
        await until(pilot, lambda: app.noted == ["abc", "", "abcd", ""])


class _Late(KeyOrder[None]):
    """Can be told that its last key is late."""

    def compose(self) -> ComposeResult:
        yield Input()

    async def be_late(self) -> None:
        await self._late(self._key_number, self.query_one(Input), 1)


@ui
async def test_a_key_that_is_told_to_be_late_when_it_is_done_holds_up_none() -> None:
    app = _Late()
    async with app.run_test() as pilot:
        send(app, "a")
        await until(pilot, lambda: app.query_one(Input).value == "a" and not app.keys_waiting)
        await app.be_late()
        assert not app.keys_waiting


@pytest.mark.parametrize("count", [300])
def test_many_keys_at_once(count: int) -> None:
    async def run() -> None:
        app = _Vanishing()
        async with app.run_test() as pilot:
            send(app, *"ab" * (count // 2))
            await until(pilot, lambda: app.query_one("#first", Input).value == "ab" * (count // 2))

    ui(run)()
