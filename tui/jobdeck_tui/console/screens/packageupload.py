"""Upload wheels, eggs and jars as packages: the name is proposed from the file's, the kind is by how that ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.widgets import Input

from jobdeck_protocol.packageinfo import PackageInfo
from jobdeck_tui.console.packagefacts import SUFFIXES, meant_by
from jobdeck_tui.console.screens.upload import Errand, UploadScreen
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jobdeck_tui.console.app import ConsoleApp
    from jobdeck_tui.console.blobapi import Told

__all__ = ["PackageUploadScreen"]

_ENDINGS = ", ".join(SUFFIXES)


class PackageUploadScreen(UploadScreen[PackageInfo]):
    """See the top of this file; ``Errand.what`` is name and kind of the package."""

    HEAD: ClassVar[str] = "Upload packages"
    OTHER: ClassVar[str] = "name"
    HINT: ClassVar[str] = "as the file's, without its version"
    EXAMPLE: ClassVar[str] = "a wheel, egg or jar, or a pattern such as *.whl"
    HELP: ClassVar[str] = "Enter uploads · Tab completes · *.whl means many · Ctrl-T name · Esc closes"

    @on(Input.Changed)
    def _propose(self, event: Input.Changed) -> None:
        """While no name is typed, the one that the file would have stands there."""
        if event.input is self.path:
            found = meant_by(event.value.strip().rpartition("/")[2])
            self.other.placeholder = self.HINT if found is None or "*" in found[0] else clean_line(found[0])

    def errands(self, paths: Sequence[Path], other: str) -> list[Errand]:
        """Each under its own name, unless one was typed for the only one."""
        name = other.strip()
        if name and len(paths) > 1:
            raise ValueError(f"One name is for one file; without it {len(paths):,} files have their own.")
        found = []
        for path in paths:
            meant = meant_by(path.name)
            if meant is None:
                raise ValueError(f"{path.name} is no package: their names end with {_ENDINGS}.")
            found.append(Errand(path=path, what=(name or meant[0], meant[1])))
        self.other.value = ""
        return found

    async def send(self, errand: Errand, tell: Told) -> tuple[PackageInfo, str]:
        """The name is told of what was stored, and how many versions of it there are now."""
        app = cast("ConsoleApp", self.app)
        name, kind = errand.what
        package = await app.api.packages.upload(name, errand.path, kind, tell)
        count = package.versions_count
        versions = "" if count == 1 else f", {count:,} versions kept"
        return package, f"{package.kind} {package.name}{versions}  {bytes_text(package.size_bytes)}"
