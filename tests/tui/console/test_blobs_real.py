"""The list of blobs on a real server: uploaded, seen as they come, looked into, saved, removed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobdeck_tui.console.screens.artifact import ArtifactScreen
from jobdeck_tui.console.screens.blobs import BlobsScreen
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.download import DownloadScreen
from jobdeck_tui.console.screens.peek import PeekScreen
from jobdeck_tui.console.screens.upload import UploadScreen
from jobdeck_tui.console.widgets.blob_table import BlobTable
from tests.tui.conftest import Server
from tests.tui.console.blobs import press
from tests.tui.console.harness import ui, until
from tests.tui.console.real import Real, console

if TYPE_CHECKING:
    pass

_WORDS = b"".join(b"line %d of a text\n" % n for n in range(1, 5001))


async def drive(it: Real, folder: Path) -> None:
    """The story, by keys."""

    app, pilot, guest, client = it.app, it.pilot, it.guest, it.client
    see, on = it.see, it.on
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
    async with console(server.url) as it:
        await drive(it, tmp_path)
