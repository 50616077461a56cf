"""What can be done to blobs from their list: upload, save, pin, remove, copy."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.reactive import reactive

from jobdeck_protocol.blob import ARTIFACT
from jobdeck_tui.console.blobcolumns import age_of, type_word
from jobdeck_tui.console.curl import curl_of_blob
from jobdeck_tui.console.screens.base import DeckScreen
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.download import DownloadScreen, Wanted
from jobdeck_tui.console.screens.upload import UploadScreen
from jobdeck_tui.console.workers import start
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType

    from jobdeck_protocol.blob import Blob

__all__ = ["BlobActs"]

_HASH_CELLS = 8
_CHANGES = frozenset({"upload", "pin", "remove"})
_ON_BLOBS = frozenset({"save", "pin", "remove", "copy_hash", "copy_curl"})


def _key(keys: str, action: str, name: str, words: str, label: str = "", *, show: bool = False) -> Binding:
    return Binding(keys, action, label or words, id=f"blobs.{name}", show=show, tooltip=words)


class BlobActs(DeckScreen):
    """Keys that act on blobs; whoever shows blobs says on which (``chosen``).

    Attributes:
        changeable: Whether anything may be changed from here; without it those keys are not there.
        any_chosen: Whether there is a blob to act on.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        _key("n", "upload", "upload", "Upload files", "Upload", show=True),
        _key("s", "save", "save", "Save it to a file: an artifact as a zip", "Save", show=True),
        _key("d", "remove", "remove", "Remove it, and what only it links to", "Remove", show=True),
        _key("y", "copy_hash", "copy_hash", "Copy the hash"),
        _key("Y", "copy_curl", "copy_curl", "Copy as a curl line that fetches it"),
    ]

    changeable = reactive(True, bindings=True)
    any_chosen = reactive(False, bindings=True)

    def chosen(self) -> Sequence[Blob]:
        """What is done is done to these."""
        raise NotImplementedError

    def told_new(self, blob: Blob) -> None:
        """A blob was uploaded from here."""
        raise NotImplementedError

    def done_with(self) -> None:
        """What was chosen was done."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that change something are there only for those who may; some need a blob."""
        del parameters
        if action in _CHANGES and not self.changeable:
            return False
        return self.any_chosen or action not in _ON_BLOBS

    # -- keeping and removing --

    def action_pin(self) -> None:
        """Pin them; if all of them are pinned, unpin them."""
        blobs = self.chosen()
        on = not all(blob.pinned for blob in blobs)
        start(self, partial(self._pinned, [blob.hash for blob in blobs], on=on), "pin")

    async def _pinned(self, hashes: Sequence[str], *, on: bool) -> None:
        refused = await self.deck_app.ask(self.deck_app.api.blobs.pin(hashes, on=on), "Pinning failed")
        self._tell_done(len(hashes), refused, "pinned" if on else "unpinned")

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
            notes.append(f"{_count(pinned)} {'is' if pinned == 1 else 'are'} pinned and will refuse.")
        self.app.push_screen(ConfirmScreen(title, _lines(blobs), verb="Remove", note=" ".join(notes)), answered)

    async def _removed(self, hashes: Sequence[str]) -> None:
        refused = await self.deck_app.ask(self.deck_app.api.blobs.remove(hashes, recursive=True), "Removing failed")
        self._tell_done(len(hashes), refused, "removed")

    def _tell_done(self, count: int, refused: Sequence[tuple[str, str]] | None, what: str) -> None:
        if refused is not None:
            self.deck_app.tell_done(_count(count - len(refused)) if count > len(refused) else "", refused, what)
            self.done_with()

    # -- moving --

    def action_upload(self) -> None:
        """The dialog."""

        def ended(blob: Blob | None) -> None:
            if blob is not None:
                self.told_new(blob)

        self.app.push_screen(UploadScreen(), ended)

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
        self.app.copy_to_clipboard("\n".join(hashes))
        self.deck_app.tell(f"Copied {hashes[0]}" if len(hashes) == 1 else f"Copied {len(hashes)} hashes")

    def action_copy_curl(self) -> None:
        """One command, or a line for each."""
        app = self.deck_app
        lines = [curl_of_blob(app.state.url, blob.hash, blob.name, token=app.has_token) for blob in self.chosen()]
        self.app.copy_to_clipboard("\n".join(lines))
        app.tell("Copied a curl line" if len(lines) == 1 else f"Copied {len(lines)} curl lines")


def _lines(blobs: Sequence[Blob]) -> list[str]:
    now_us = time.time_ns() // 1000
    return [
        f"{blob.hash[:_HASH_CELLS]}  {age_of(blob, now_us):>5}  {bytes_text(blob.size_bytes):>9}  "
        f"{blob.name or '(no name)'}  ({type_word(blob)})"
        for blob in blobs
    ]


def _count(count: int) -> str:
    return "1 blob" if count == 1 else f"{count:,} blobs"
