"""Uploads and downloads by dialogs: completion, progress, giving up, and what is never overwritten unasked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jobdeck_tui.console.screens.download import DownloadScreen
from jobdeck_tui.console.screens.upload import UploadScreen
from tests.tui.console.blobs import NO_SERVER, Store, stage
from tests.tui.console.harness import ui, until


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@ui
async def test_files_go_up_and_their_hashes_are_shown(folder: Path) -> None:
    for name in ("report-1.csv", "report-2.csv"):
        (folder / name).write_bytes(b"x" * 1000)
    async with stage(Store()) as it:
        await it.press("n")
        await it.on(UploadScreen)
        await it.press(*"rep", "tab")
        await it.see("report-1.csv  report-2.csv")
        await it.press("1", "tab", "ctrl+t", *"a, b", "enter")
        it.app.blobs.pause = asyncio.Event()
        await it.press("enter")
        await it.see("report-1.csv", "500 B of 1000 B, 50 %")
        it.app.blobs.pause.set()
        blobs = it.app.blobs.store.blobs
        await until(it.pilot, lambda: blobs)
        await it.see(blobs[0].hash)
        await it.press(*"*.csv", "enter")
        await until(it.pilot, lambda: len(blobs) == 3)
        await it.see(blobs[2].hash)
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        assert it.asked("upload") == [("upload", f"report-{n}.csv", "a", "b") for n in (1, 1, 2)]


@ui
async def test_uploads_are_stopped_and_failures_told(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).write_bytes(b"x" * 1000)
    async with stage(Store()) as it:
        await it.press("n")
        await it.on(UploadScreen)
        it.app.blobs.pause = asyncio.Event()
        await it.press("?", "enter")
        await it.see("50 %", "waits")
        await it.press("escape")
        await it.see("stopped; nothing of it was stored")
        assert isinstance(it.app.screen, UploadScreen)
        assert it.app.blobs.store.blobs == []
        it.app.blobs.pause, it.app.blobs.failure = None, NO_SERVER
        await it.press("a", "enter")
        await it.see("No server answers.")
        await it.press(*"nothing-here", "enter")
        await it.see("There is no file")
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen is it.screen)


@ui
async def test_a_file_comes_down_and_replaces_none_unasked(folder: Path) -> None:
    store = Store()
    store.put("../../evil\x1b[2J.txt", b"data")
    target = folder / "evil_[2J.txt"
    async with stage(store) as it:
        await it.press("s")
        await it.on(DownloadScreen)
        it.app.blobs.pause = asyncio.Event()
        await it.press("enter")
        await it.see("2 B of 4 B, 50 %")
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        assert [toast.partition(";")[0] for toast in it.app.toasts] == ["Given up"]
        it.app.toasts.clear()
        assert list(folder.iterdir()) == []
        it.app.blobs.pause = None
        await it.press("s")
        await it.on(DownloadScreen)
        await it.press("enter")
        await until(it.pilot, lambda: it.app.toasts == [f"4 B saved to {target}"])
        assert target.read_bytes() == b"data"

        await it.press("s")
        await it.on(DownloadScreen)
        asked = len(it.asked("download"))
        await it.press("enter")
        await it.see("exists already. Enter again replaces it.")
        assert len(it.asked("download")) == asked
        await it.press("x", "backspace", "enter")
        await it.see("exists already")
        assert len(it.asked("download")) == asked
        await it.press("enter")
        await until(it.pilot, lambda: len(it.app.toasts) == 2)
        assert it.asked("download")[-1][-1] is True


@ui
async def test_why_a_file_did_not_come_is_told(folder: Path) -> None:
    async with stage(Store().many(2)) as it:
        for failure, words in (
            (FileExistsError(17, "x"), "came to be meanwhile"),
            (PermissionError(13, "Permission denied"), "Permission denied"),
            (NO_SERVER, "No server answers."),
        ):
            it.app.blobs.failure = failure
            await it.press("s")
            await it.on(DownloadScreen)
            await it.press("enter")
            await it.see(words)
            await it.press("escape")
            await until(it.pilot, lambda: it.app.screen is it.screen)
        await it.press("space", "space", "s")
        await until(it.pilot, lambda: it.app.toasts and "One blob is saved at a time" in it.app.toasts[-1])
