"""The list of packages as it is driven: live rows, filter, details, uploads, and what is removed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from jobdeck_client.errors import ConflictError
from jobdeck_tui.console import state as told
from jobdeck_tui.console.few import FewFailed, Kind
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.help import rows_of
from jobdeck_tui.console.screens.packageupload import PackageUploadScreen
from jobdeck_tui.console.screens.startclass import StartClassScreen
from tests.tui.console.harness import screen_text, ui, until
from tests.tui.console.packages import NO_SERVER, package, some, stage


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@ui
async def test_rows_are_live_and_foreign_names_tame() -> None:
    everyone = some()
    async with stage(everyone) as it:
        assert it.names[1:4] == ["long-running", "spark-tests", "words"]
        await it.see("evil␛[2J<U+202E>name", "日本語", "1.2 MiB", "jar", "84.8 MiB in all")
        it.tell(replace(everyone[0], versions_count=4, size_bytes=2048))
        await it.see("2.0 KiB")
        it.tell_gone("spark-tests")
        await it.unseen("spark-tests")
        it.tell(package("brand-new", kind="egg"))
        await it.see("brand-new", " / 5")
        await it.press("slash", *"kind:egg", "enter")
        await until(it.pilot, lambda: it.names == ["brand-new", "long-running"])
        await it.press("S")
        await until(it.pilot, lambda: it.names == ["long-running", "brand-new"])
        await it.press("slash", *" nothing", "enter")
        await it.see("No package matches.", "esc shows all of them.")
        await it.press("escape")
        await until(it.pilot, lambda: len(it.names) == 5)
        it.app.fake.tell(told.LinkTold(up=False, at_us=0, error="gone"))
        await it.see("NO LINK since", "words")


@ui
async def test_the_classes_of_the_one_under_the_cursor_are_told() -> None:
    everyone = some()
    async with stage(everyone, size=(160, 24)) as it:
        await it.press("G", "up")
        await it.see("Package words", "jobs.deep.Failing", "before")
        it.app.packages.classes = ("jobs.New",)
        it.tell(replace(everyone[0], hash="e" * 40, uploaded_us=everyone[0].uploaded_us + 1))
        await it.see("jobs.New", "e" * 40)
        it.app.packages.failure = NO_SERVER
        await it.press("up")
        await it.see("Package spark-tests", "No server answers.")
        it.app.packages.failure = None
        await it.see("none was found that jobs can run")
        await it.press("p")
        await it.unseen("Package spark-tests")


@ui
async def test_without_packages_it_says_how_to_have_some() -> None:
    async with stage([], known=False) as it:
        await it.see("Loading…")
        it.app.fake.tell(FewFailed(kind=Kind.PACKAGES, error="not \x1b[31mallowed"))
        await it.see("The list cannot be had:", "not")
        it.app.watch_over.read()
        await it.see("No packages yet", "u uploads one", "jobdeck packages put")
        await it.press("n", "d", "enter")
        assert it.app.screen is it.screen


@ui
async def test_who_may_only_look_can_change_nothing() -> None:
    async with stage(some(), read_only=True) as it:
        words = {row.words for row in rows_of(it.app.screen)}
        assert not words & {"Upload wheels, eggs or jars", "Start a class out of it", "Remove it with all its versions"}
        await it.press("enter", "n", "u", "d")
        assert it.app.screen is it.screen


@ui
async def test_every_key_is_told(folder: Path) -> None:
    async with stage(some(), size=(60, 16)) as it:
        rows = {row.words: row.keys for row in rows_of(it.app.screen)}
        assert rows["Start a class out of it"] == ("n",) or rows["Start a class out of it"] == ("⏎",)
        assert rows["Upload wheels, eggs or jars"] == ("u",)
        assert rows["Unmark all"] == ("U",)
        await it.see("u Upload", "? Help")
        await it.press("space", "space", "y")
        await until(it.pilot, lambda: it.app.toasts == ["Copied 2 names"])
        await it.press("U", "y")
        await until(it.pilot, lambda: it.app.toasts[-1].startswith("Copied "))


@ui
async def test_packages_are_uploaded_under_the_name_that_their_file_proposes(folder: Path) -> None:
    for name in ("word_count-1.0-py3-none-any.whl", "other-2.egg", "notes.txt"):
        (folder / name).write_bytes(b"x" * 1000)
    async with stage(some()) as it:
        await it.press("u")
        await it.on(PackageUploadScreen)
        await it.press(*"wo", "tab")
        await it.see("name  word_count")
        it.app.packages.pause = asyncio.Event()
        await it.press("enter")
        await it.see("500 B of 1000 B, 50 %")
        it.app.packages.pause.set()
        await it.see("wheel word_count  1000 B")
        await it.press(*"other-2.egg", "ctrl+t", *"words", "enter", "enter")
        await it.see("egg words, 4 versions kept")
        await it.press(*"notes.txt", "enter")
        await it.see("notes.txt is no package: their names end with .whl, .egg, .jar.")
        await it.press(*("backspace",) * len("notes.txt"), *"*-*", "ctrl+t", "x", "enter", "enter")
        await it.see("One name is for one file")
        assert it.asked("upload") == [
            ("upload", "word_count", "word_count-1.0-py3-none-any.whl", "wheel"),
            ("upload", "words", "other-2.egg", "egg"),
        ]
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        await until(it.pilot, lambda: it.screen.table.cursor.name == "words")


@ui
async def test_an_upload_is_stopped_and_a_refusal_told(folder: Path) -> None:
    (folder / "a-1.whl").write_bytes(b"no zip")
    async with stage([]) as it:
        await it.press("u")
        await it.on(PackageUploadScreen)
        it.app.packages.pause = asyncio.Event()
        await it.press(*"a-1.whl", "enter")
        await it.see("50 %")
        await it.press("escape")
        await it.see("stopped; nothing of it was stored")
        it.app.packages.failure = ConflictError(400, "bad", "Binary is not of the right format")
        await it.press(*"a-1.whl", "enter")
        await it.see("Binary is not of the right format")
        assert it.app.watch_over.packages == []


@ui
async def test_packages_are_removed_when_that_is_confirmed_and_refusals_tell_their_jobs() -> None:
    async with stage(some()) as it:
        await it.press("G", "up", "d")
        await it.on(ConfirmScreen)
        await it.see("Remove this package?", "2 older versions go, too.")
        await it.press("n")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        assert it.asked("remove") == []
        it.app.packages.refused = [("long-running", "Binary is in use by job(s): 5453779a")]
        await it.press("space", "g", "j", "space", "d")
        await it.on(ConfirmScreen)
        await it.see("Remove these 2 packages?")
        await it.press("y")
        refusal = "long-running: Binary is in use by job(s): 5453779a"
        await until(it.pilot, lambda: it.app.toasts == [refusal, "1 package removed"])
        assert len(it.asked("remove")) == 1
        await until(it.pilot, lambda: len(it.names) == 4)
        assert "long-running" in it.names


@pytest.mark.slow
@ui
async def test_the_pane_is_legible_at_each_size() -> None:
    for size in ((60, 16), (200, 60)):
        async with stage(some(), size=size) as it:
            await it.see("long-running", "1.2 MiB", "egg")
            await it.press("G", "n")
            await it.on(StartClassScreen)
            await it.see("3 found: WordCount", "Context", "Callback", "Config", "Start (^s)")
            assert all(len(line) <= size[0] for line in screen_text(it.app).splitlines())
