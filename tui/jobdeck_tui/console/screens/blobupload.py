"""Upload files as blobs, with tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from jobdeck_protocol.blob import Blob
from jobdeck_tui.console.screens.upload import Errand, UploadScreen
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jobdeck_tui.console.app import ConsoleApp
    from jobdeck_tui.console.blobapi import Told

__all__ = ["BlobUploadScreen"]


class BlobUploadScreen(UploadScreen[Blob]):
    """See the top of this file; ``Errand.what`` is a tuple of tags."""

    HEAD: ClassVar[str] = "Upload files"
    OTHER: ClassVar[str] = "tags"
    HINT: ClassVar[str] = "none; several with commas between"
    EXAMPLE: ClassVar[str] = "a file, or a pattern such as *.csv"
    HELP: ClassVar[str] = "Enter uploads · Tab completes · *.csv means many · Ctrl-T tags · Esc closes"

    def errands(self, paths: Sequence[Path], other: str) -> list[Errand]:
        """All of them with the same tags."""
        tags = tuple(dict.fromkeys(filter(None, (tag.strip() for tag in other.split(",")))))
        return [Errand(path=path, what=tags) for path in paths]

    async def send(self, errand: Errand, tell: Told) -> tuple[Blob, str]:
        """The hash is told of what was stored."""
        app = cast("ConsoleApp", self.app)
        blob = await app.api.blobs.upload(errand.path, errand.what, tell)
        return blob, f"{blob.hash}  {bytes_text(blob.size_bytes)}"
