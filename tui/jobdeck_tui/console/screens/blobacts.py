"""What can be done to blobs from their list: upload, save, pin, remove, copy."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from jobdeck_protocol.blob import ARTIFACT
from jobdeck_tui.console.bindings import key
from jobdeck_tui.console.blobcolumns import age_of, type_word
from jobdeck_tui.console.curl import curl_of_blob
from jobdeck_tui.console.screens.blobupload import BlobUploadScreen
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.download import DownloadScreen, Wanted
from jobdeck_tui.console.screens.listacts import ListActs, count_of
from jobdeck_tui.console.workers import start
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType

    from jobdeck_protocol.blob import Blob

__all__ = ["BlobActs"]

_HASH_CELLS = 8


_key = partial(key, "blobs")


class BlobActs(ListActs["Blob"]):
    """Keys that act on blobs; see ``ListActs``."""

    NOUN = "blob"
    CHANGES = frozenset({"upload", "pin", "remove"})
    NEEDS = frozenset({"save", "pin", "remove", "copy_hash", "copy_curl"})
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("n", "upload", "upload", "Upload files", "Upload", show=True),
        _key("s", "save", "save", "Save it to a file: an artifact as a zip", "Save", show=True),
        _key("d", "remove", "remove", "Remove it, and what only it links to", "Remove", show=True),
        _key("y", "copy_hash", "copy_hash", "Copy the hash"),
        _key("Y", "copy_curl", "copy_curl", "Copy as a curl line that fetches it"),
    ]

    # -- keeping and removing --

    def action_pin(self) -> None:
        """Pin them; if all of them are pinned, unpin them."""
        blobs = self.chosen()
        on = not all(blob.pinned for blob in blobs)
        start(self, partial(self._pinned, [blob.hash for blob in blobs], on=on), "pin")

    async def _pinned(self, hashes: Sequence[str], *, on: bool) -> None:
        refused = await self.deck_app.ask(self.deck_app.api.blobs.pin(hashes, on=on), "Pinning failed")
        self.tell_done(len(hashes), refused, "pinned" if on else "unpinned")

    def action_remove(self) -> None:
        """Ask, then remove them."""
        blobs = self.chosen()

        def answered(yes: bool | None) -> None:
            if yes:
                start(self, partial(self._removed, [blob.hash for blob in blobs]), "remove")

        one = len(blobs) == 1
        title = "Remove this blob?" if one else f"Remove these {len(blobs):,} blobs?"
        notes = []
        if any(blob.type == ARTIFACT for blob in blobs):
            notes.append("Files that only they link to go, too.")
        pinned = sum(blob.pinned for blob in blobs)
        if pinned:
            notes.append(f"{count_of(pinned, 'blob')} {'is' if pinned == 1 else 'are'} pinned and will refuse.")
        self.app.push_screen(ConfirmScreen(title, _lines(blobs), verb="Remove", note=" ".join(notes)), answered)

    async def _removed(self, hashes: Sequence[str]) -> None:
        refused = await self.deck_app.ask(self.deck_app.api.blobs.remove(hashes, recursive=True), "Removing failed")
        self.tell_done(len(hashes), refused, "removed")

    # -- moving --

    def action_upload(self) -> None:
        """The dialog."""

        def ended(blob: Blob | None) -> None:
            if blob is not None:
                self.told_new(blob)

        self.app.push_screen(BlobUploadScreen(), ended)

    def action_save(self) -> None:
        """One at a time: each has a name of its own."""
        blobs = self.chosen()
        if len(blobs) > 1:
            self.deck_app.tell("One blob is saved at a time; jobdeck blobs get saves many")
            return
        blob = blobs[0]
        self.app.push_screen(DownloadScreen(Wanted(hash=blob.hash, name=blob.name, size_bytes=blob.size_bytes)))

    # -- copying --

    def action_copy_hash(self) -> None:
        """One hash, or a line for each."""
        hashes = [blob.hash for blob in self.chosen()]
        self.copy(hashes, f"Copied {hashes[0]}" if len(hashes) == 1 else f"Copied {len(hashes)} hashes")

    def action_copy_curl(self) -> None:
        """One command, or a line for each."""
        app = self.deck_app
        lines = [curl_of_blob(app.state.url, blob.hash, blob.name, token=app.has_token) for blob in self.chosen()]
        self.copy(lines, "Copied a curl line" if len(lines) == 1 else f"Copied {len(lines)} curl lines")


def _lines(blobs: Sequence[Blob]) -> list[str]:
    now_us = time.time_ns() // 1000
    return [
        f"{blob.hash[:_HASH_CELLS]}  {age_of(blob, now_us):>5}  {bytes_text(blob.size_bytes):>9}  "
        f"{blob.name or '(no name)'}  ({type_word(blob)})"
        for blob in blobs
    ]
