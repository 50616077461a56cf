"""The start dialog and the question: keys, what is shown, what is sent."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any, cast

from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Button, Input, Static, TextArea

from jobdeck_client import RefusedError
from jobdeck_protocol.job import Job
from jobdeck_tui.console.api import Api
from jobdeck_tui.console.history import History
from jobdeck_tui.console.request import Fields
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.start import StartScreen
from jobdeck_tui.console.state import State
from tests.tui.console.harness import screen_text, ui, until

JOB = Job(id="0" * 36, dialect="v1")


class FakeApi:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.stdin: list[bytes] = []
        self.refuse: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def submit(self, **request: Any) -> Job:
        await self.gate.wait()
        if self.refuse is not None:
            raise self.refuse
        self.sent.append(request)
        return JOB

    async def write_stdin(self, job_id: str, data: bytes) -> None:
        assert job_id == JOB.id
        self.stdin.append(data)


class Host(App[None]):
    """As much of the console's app as a dialog asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State(url="http://127.0.0.1:1")
        self.fake = FakeApi()
        self.api = cast("Api", self.fake)
        self.has_token = False
        self.answers: list[Any] = []
        self.told: list[str] = []

    def tell(self, text: str) -> None:
        self.told.append(text)


async def opened(pilot: Pilot[None], history: History, fields: Fields | None = None) -> StartScreen:
    app = cast("Host", pilot.app)
    screen = StartScreen(fields, history=history)
    app.push_screen(screen, app.answers.append)
    await pilot.pause()
    return screen


def told(screen: StartScreen, name: str) -> str:
    return str(screen.query_one(f"#{name}", Static).render())


@ui
async def test_what_is_typed_is_shown_as_curl_and_sent(tmp_path: Path) -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        history = History(tmp_path / "history")
        screen = await opened(pilot, history)
        screen.query_one("#command", Input).value = "make test"
        screen.query_one("#labels", Input).value = "nightly"
        screen.query_one("#stdin", TextArea).text = "yes\n"
        await pilot.pause()
        assert '{"command": "make test", "labels": ["nightly"], "stdin": true}' in told(screen, "curl")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.answers)
        assert app.answers == [JOB]
        assert app.fake.sent == [{"command": "make test", "labels": ["nightly"], "stdin": True}]
        assert app.fake.stdin == [b"yes\n"]
        assert [entry.command for entry in history.entries] == ["make test"]


@ui
async def test_faults_are_told_beside_their_fields_once_touched(tmp_path: Path) -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, History(tmp_path / "history"))
        assert told(screen, "command-wrong") == ""
        screen.query_one("#cwd", Input).value = "tmp"
        await pilot.pause()
        assert told(screen, "cwd-wrong") == "begins with /"
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert told(screen, "command-wrong") == "what is to run?"
        assert screen.focused is screen.query_one("#command")
        assert app.fake.sent == app.answers == []


@ui
async def test_a_refusal_keeps_the_dialog_open_with_the_servers_words(tmp_path: Path) -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        history = History(tmp_path / "history")
        screen = await opened(pilot, history, Fields(command="x"))
        app.fake.refuse = RefusedError(400, "Bad Request", "cwd \x1b[2Jdoes not exist")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "does not exist" in told(screen, "refused"))
        assert "\x1b" not in told(screen, "refused")
        assert history.entries == []
        app.fake.refuse = None
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.answers == [JOB])


@ui
async def test_it_is_sent_once_however_often_the_key_is_pressed(tmp_path: Path) -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, History(tmp_path / "history"), Fields(command="x"))
        app.fake.gate.clear()
        await pilot.press("ctrl+s", "ctrl+s", "enter")
        app.fake.gate.set()
        await until(pilot, lambda: app.answers)
        assert len(app.fake.sent) == 1


@ui
async def test_the_arrows_bring_back_what_was_started_and_what_was_typed(tmp_path: Path) -> None:
    app = Host()
    history = History(tmp_path / "history")
    for command in ("first", "second"):
        history.add(Fields(command=command, env="A=1"))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, history)

        def value() -> str:
            return screen.query_one("#command", Input).value

        screen.query_one("#command", Input).value = "typed"
        await pilot.press("up")
        assert (value(), screen.query_one("#env", TextArea).text) == ("second", "A")
        await pilot.press("up", "up")
        assert value() == "first"
        await pilot.press("down", "down")
        assert value() == "typed"
        await pilot.press("escape")
        await until(pilot, lambda: app.answers == [None])


@ui
async def test_it_fits_small_terminals(tmp_path: Path) -> None:
    for size in ((60, 16), (80, 24)):
        app = Host()
        async with app.run_test(size=size) as pilot:
            screen = await opened(pilot, History(tmp_path / "history"))
            assert "Start a job" in screen_text(app)
            screen.query_one("#start", Button).focus()
            await pilot.pause()
            assert "Start (^s)" in screen_text(app)


async def asked(pilot: Pilot[None], *lines: str, note: str = "", readable_at_s: float = 0.0) -> None:
    app = cast("Host", pilot.app)
    screen = ConfirmScreen("Kill 2 jobs?", lines, verb="Kill", note=note)
    app.push_screen(screen, app.answers.append)
    await pilot.pause()
    screen._readable_at_s = readable_at_s


@ui
async def test_a_stray_enter_does_nothing_and_y_does_it() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, "a", "b")
        await pilot.press("enter")
        assert app.answers == [False]
        await asked(pilot, "a", "b")
        await pilot.press("escape")
        await asked(pilot, "a", "b")
        await pilot.press("y")
        await asked(pilot, "a", "b")
        await pilot.press("tab", "enter")
        assert app.answers == [False, False, True, True]


@ui
async def test_it_lists_what_it_is_about_safely_and_scrolls() -> None:
    app = Host()
    async with app.run_test(size=(60, 16)) as pilot:
        await asked(pilot, *(f"job {n} \x1b[2J[red]x" for n in range(40)), note="3 have ended and are left out")
        text = screen_text(app)
        assert "Kill 2 jobs?" in text
        assert "job 0 ␛[2J[red]x" in text
        assert "3 have ended and are left out" in text
        assert "Kill (y)" in text
        await pilot.press("down", "j")
        assert "job 0 " not in screen_text(app)
        assert "job 2 " in screen_text(app)


@ui
async def test_keys_typed_before_it_could_be_read_do_not_confirm() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, "a", readable_at_s=math.inf)
        await pilot.press("y", "tab", "enter", "y")
        assert app.answers == []
        await pilot.press("escape")
        assert app.answers == [False]
