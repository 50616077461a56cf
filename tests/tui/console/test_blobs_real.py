"""The list of blobs on a real server: uploaded, seen as they come, looked into, saved, removed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jobdeck_client import Client
from jobdeck_tui.console.api import Api
from jobdeck_tui.console.app import ConsoleApp
from jobdeck_tui.console.deck import Deck
from jobdeck_tui.console.guest import Guest, trio_side
from jobdeck_tui.console.screens.artifact import ArtifactScreen
from jobdeck_tui.console.screens.blobs import BlobsScreen
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.download import DownloadScreen
from jobdeck_tui.console.screens.peek import PeekScreen
from jobdeck_tui.console.screens.upload import UploadScreen
from jobdeck_tui.console.widgets.blob_table import BlobTable
from tests.tui.conftest import Server
from tests.tui.console.blobs import press
from tests.tui.console.harness import screen_text, ui, until

if TYPE_CHECKING:
    from textual.pilot import Pilot

_WORDS = b"".join(b"line %d of a text\n" % n for n in range(1, 5001))


async def drive(app: ConsoleApp, pilot: Pilot[int], guest: Guest, client: Client, folder: Path) -> None:
    """The story, by keys."""

    async def see(*words: str) -> None:
        await until(pilot, lambda: all(word in screen_text(app) for word in words))

    async def on(kind: type[Any]) -> None:
        await until(pilot, lambda: isinstance(app.screen, kind) and app.screen.is_mounted)

    await press(pilot, "2")
    await on(BlobsScreen)
    # The server may have blobs of other tests.
    await press(pilot, "slash", *"console-", "enter")
    await until(pilot, lambda: app.state.blobs.query.text == "console-" and app.state.blobs.known)
    await until(pilot, lambda: isinstance(app.focused, BlobTable))

    await press(pilot, "n")
    await on(UploadScreen)
    await press(pilot, *"console-w", "tab")
    await see("/console-words.txt")
    await press(pilot, "enter")
    await until(pilot, lambda: app.state.blobs.rows)
    words = app.state.blobs.rows[0]
    await see(words.hash)
    await press(pilot, "escape")
    await see("console-words.txt", words.hash[:8])

    # Another client's artifact is there as soon as it is stored.
    record = {
        "name": "console-all.zip",
        "size": 1,
        "mime": "application/zip",
        "contentType": "complex",
        "content": {
            "deep/er/words.txt": {"content": words.hash, "contentType": "softLink"},
            "gone.txt": {"content": "0" * 40, "contentType": "softLink"},
        },
    }
    await guest.call(client.blobs.store, record)
    await see("console-all.zip", "artifact 2")
    await press(pilot, "home", "enter")
    await on(ArtifactScreen)
    await see("deep/", "gone.txt")
    await press(pilot, "right", "down", "right", "down", "enter")
    await on(PeekScreen)
    await see("deep/er/words.txt", "line 1 of a text")
    await press(pilot, "slash", *"line 4321", "enter")
    await see("1 of 1", "4,321 /")
    await press(pilot, "escape")
    await press(pilot, "x")
    await see("00000000  6c 69 6e 65")
    await press(pilot, "G")
    await see(f"{len(_WORDS) // 16 * 16:08x}")

    await press(pilot, "s")
    await on(DownloadScreen)
    await press(pilot, *("backspace",) * len("words.txt"), *"copy.txt", "enter")
    await until(pilot, lambda: (folder / "copy.txt").exists())
    assert (folder / "copy.txt").read_bytes() == _WORDS
    await on(PeekScreen)
    await press(pilot, "escape")
    await on(ArtifactScreen)
    assert sorted(path.name for path in folder.iterdir()) == ["console-words.txt", "copy.txt"]

    await press(pilot, "escape")
    await on(BlobsScreen)
    await press(pilot, "p")
    await until(pilot, lambda: any(blob.pinned for blob in app.state.blobs.rows))
    await press(pilot, "p")
    await until(pilot, lambda: not any(blob.pinned for blob in app.state.blobs.rows))
    await press(pilot, "ctrl+a", "d")
    await on(ConfirmScreen)
    await press(pilot, "y")
    await see("No blob matches.")


@pytest.mark.slow
@ui
async def test_blobs_are_uploaded_looked_into_saved_and_removed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "console-words.txt").write_bytes(_WORDS)
    monkeypatch.chdir(tmp_path)
    client = Client(server.url)
    app = ConsoleApp(server.url)

    async def live() -> None:
        async with client:
            await deck.run()

    async with trio_side(app.crashed) as guest:
        deck = Deck(client, app.take_state)
        app.connect(deck, Api(guest, deck))
        guest.start_soon(live)
        async with app.run_test(size=(100, 24)) as pilot:
            await drive(app, pilot, guest, client, tmp_path)
