"""The list of blobs as it is driven: filter, sorts, marks, and what is done to blobs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobdeck_protocol.blob import ARTIFACT
from jobdeck_tui.console import state as told
from jobdeck_tui.console.bloblist import BlobQuery
from jobdeck_tui.console.screens.artifact import ArtifactScreen
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.help import rows_of
from jobdeck_tui.console.screens.jobs import JobsScreen
from jobdeck_tui.console.screens.peek import PeekScreen
from jobdeck_tui.console.widgets.blob_table import BlobTable
from tests.tui.console.blobs import NO_SERVER, Store, stage
from tests.tui.console.harness import screen_text, ui, until


@ui
async def test_the_newest_come_first_and_news_are_live() -> None:
    store = Store().many(50)
    async with stage(store) as it:
        assert it.names[:2] == ["file-0050.csv", "file-0049.csv"]
        assert "1 / 50" in screen_text(it.app)
        it.tell(told.BlobTold(blob=store.put("new.zip", b"zip")))
        await it.see("new.zip", "2 / 51")
        it.tell(told.BlobGone(hash=store.blobs[-1].hash))
        await it.unseen("new.zip")
        it.tell(told.BlobTold(blob=replace(store.blobs[49], pinned=True)))
        await until(it.pilot, lambda: "●" in screen_text(it.app).splitlines()[2])


@ui
async def test_both_ends_of_a_long_list_are_one_key_away() -> None:
    async with stage(Store().many(5000)) as it:
        await it.press("G")
        await it.see("file-0001.csv")
        await it.press("g")
        await it.see("file-5000.csv")


@ui
async def test_the_filter_asks_the_server_while_one_types() -> None:
    store = Store().many(20)
    store.artifact("all.zip", {"a": b""})
    async with stage(store) as it:
        await it.press("slash", *"type:art")
        await until(it.pilot, lambda: it.names == ["all.zip"])
        assert it.app.pager.queries[-1] == BlobQuery(kind=ARTIFACT)
        await it.press("enter")
        await until(it.pilot, lambda: it.screen.table.has_focus)
        await it.press("S")
        await until(it.pilot, lambda: it.app.pager.queries[-1] == BlobQuery(kind=ARTIFACT, sort="-size"))
        await it.press("S")
        await until(it.pilot, lambda: it.app.pager.queries[-1].sort == "size")
        await it.press("escape")
        await until(it.pilot, lambda: it.app.pager.queries[-1] == BlobQuery(sort="size"))
        await until(it.pilot, lambda: it.names[0] == "all.zip")


@ui
async def test_a_pane_is_found_again_as_it_was_left() -> None:
    async with stage(Store().many(30)) as it:
        await it.press("slash", *"file-001", "enter")
        await it.see("1 / 10")
        await until(it.pilot, lambda: it.screen.table.has_focus)
        await it.press("down", "down")
        await it.see("3 / 10")
        await it.press("1")
        await it.on(JobsScreen)
        await it.press("2")
        await it.see("file-001", "3 / 10")
        cursor = it.screen.table.cursor
        assert cursor is not None
        await it.press("enter")
        await it.on(PeekScreen)
        await it.press("2")
        await it.see("3 / 10")
        assert it.screen.table.cursor is cursor


@ui
async def test_removing_asks_and_lists_what_goes() -> None:
    store = Store().many(5)
    store.artifact("all.zip", {"a": b""})
    store.blobs[3] = replace(store.blobs[3], pinned=True)
    async with stage(store) as it:
        await it.press("space", "space", "space", "d")
        await it.on(ConfirmScreen)
        text = screen_text(it.app)
        for words in ("Remove these 3 blobs?", "all.zip  (artifact 1)", "file-0005.csv  (file)", "1 blob is pinned"):
            assert words in text
        await it.press("n")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        assert it.asked("remove") == []
        await it.press("d")
        await it.on(ConfirmScreen)
        it.app.blobs.refused = [(store.blobs[3].hash, "It is pinned.")]
        await it.press("y")
        await until(it.pilot, lambda: len(it.app.toasts) == 2)
        hashes = [store.blobs[n].hash for n in (5, 4, 3)]
        assert it.asked("remove") == [("remove", *hashes, True)]
        assert it.app.toasts == [f"{hashes[2][:8]}: It is pinned.", "2 blobs removed"]
        assert not it.screen.table.marks


@ui
async def test_pins_are_turned() -> None:
    store = Store().many(3)
    async with stage(store) as it:
        await it.press("p")
        await until(it.pilot, lambda: it.app.toasts == ["1 blob pinned"])
        it.tell(told.BlobTold(blob=replace(store.blobs[2], pinned=True)))
        await until(it.pilot, lambda: it.screen.table.rows[0].pinned)
        await it.press("p")
        await until(it.pilot, lambda: it.asked("unpin") == [("unpin", store.blobs[2].hash)])
        it.app.blobs.failure = NO_SERVER
        await it.press("p")
        await until(it.pilot, lambda: it.app.toasts[-1].startswith("Pinning failed"))


@ui
async def test_hashes_and_curl_lines_are_copied() -> None:
    store = Store().many(3)
    async with stage(store) as it:
        await it.press("y")
        await until(it.pilot, lambda: it.app.clipboard == store.blobs[2].hash)
        await it.press("space", "space", "Y")
        await until(it.pilot, lambda: "curl" in it.app.clipboard)
        assert it.app.clipboard.splitlines() == [
            f"curl -sS -f -o file-000{n}.csv http://127.0.0.1:8080/v1/blobs/{store.blobs[n - 1].hash}/content"
            for n in (3, 2)
        ]


@ui
async def test_who_may_only_look_has_no_keys_that_change() -> None:
    async with stage(Store().many(3), read_only=True) as it:
        keys = {row.action for row in rows_of(it.app.screen)}
        assert {"save", "copy_hash", "open"} <= keys
        assert not {"upload", "pin", "remove"} & keys
        await it.press("d", "n", "p")
        assert it.app.blobs.asked == []


@ui
async def test_a_file_is_looked_into_and_an_artifact_is_unfolded() -> None:
    store = Store().many(1)
    store.artifact("all.zip", {"a.txt": b"hello"})
    async with stage(store) as it:
        await it.press("enter")
        await it.on(ArtifactScreen)
        assert any(isinstance(message, BlobTable.Opened) for message in it.messages)
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen is it.screen)
        await it.press("down", "enter")
        await it.on(PeekScreen)


@ui
async def test_an_empty_store_says_how_to_fill_it() -> None:
    for size in ((100, 24), (60, 16)):
        async with stage(Store(), size=size) as it:
            await it.see("No blobs yet.", "jobdeck blobs put data.bin")
            await it.press("enter", "d", "p", "s", "y", "space")
            assert it.app.blobs.asked == []


@pytest.mark.slow
@ui
async def test_each_width_has_whole_columns() -> None:
    store = Store()
    store.put("a-rather-long-name-of-a-file-that-goes-on.tar.gz", b"x" * 70_000, tags=("nightly", "main"), pinned=True)
    for size, columns in (((60, 16), 5), ((80, 24), 7), ((200, 60), 9)):
        async with stage(store, size=size) as it:
            await it.see("68.4 KiB", "a-rather-long-name")
            assert len(it.screen.table.columns) >= columns
            lines = screen_text(it.app).splitlines()
            head = next(line for line in lines if "NAME" in line)
            row = next(line for line in lines if "68.4" in line)
            assert head.index("SIZE") + 4 == row.index("KiB") + 3


@ui
async def test_foreign_names_are_shown_and_not_obeyed() -> None:
    store = Store()
    blob = store.put("\x1b[2J\u202e[bold]x.txt", b"x", tags=("\x07tag",))
    async with stage(store, size=(140, 24)) as it:
        await it.see("␛[2J<U+202E>[bold]x.txt", "␇tag")
        await it.press("d")
        await it.on(ConfirmScreen)
        await it.see("␛[2J<U+202E>[bold]x.txt  (file)")
        it.app.blobs.refused = [(blob.hash, "no\x1b[2J")]
        await it.press("y")
        await until(it.pilot, lambda: it.app.toasts == [f"{blob.hash[:8]}: no␛[2J"])
