"""The files of one artifact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_tui.console.screens.files import FilesScreen
from jobdeck_tui.console.tree import ARTIFACT, Branch, Tree

if TYPE_CHECKING:
    from jobdeck_protocol.blob import Blob
    from jobdeck_tui.console.state import State

__all__ = ["ArtifactScreen"]


class ArtifactScreen(FilesScreen):
    """Shows what is in this artifact; its own row would only be in the way."""

    def __init__(self, blob: Blob) -> None:
        super().__init__()
        self.blob = blob
        self.inside = Branch(id=blob.hash, name=blob.name, kind=ARTIFACT, blob=blob.hash, complete=False)
        self.files = Tree([self.inside])

    def on_mount(self) -> None:
        """Read it."""
        blob, files = self.blob, self.blob.entry_count
        word = "artifact" if files is None else f"artifact of {files:,} file{'' if files == 1 else 's'}"
        self.top.tell(blob.name or blob.hash, word, blob.hash, blob.size_bytes)
        self.table.words = ("Loading…",)
        assert self.inside is not None
        self.fold(self.inside, on=True)

    def show_rows(self) -> None:
        """Say so where there are none."""
        super().show_rows()
        if self.inside is not None and self.inside.complete:
            self.table.words = () if self.table.rows else ("This artifact has no files.",)

    def draw(self, state: State) -> None:
        """Nothing of the state is shown: an artifact never changes."""
