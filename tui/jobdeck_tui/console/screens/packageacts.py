"""What can be done to packages from their list: upload, start a class, remove, copy."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from jobdeck_tui.console.bindings import key
from jobdeck_tui.console.classrequest import ClassMemory
from jobdeck_tui.console.few import Kind
from jobdeck_tui.console.packagecolumns import age_text
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.fewscreen import FewScreen
from jobdeck_tui.console.screens.listacts import count_of
from jobdeck_tui.console.screens.output import OutputScreen
from jobdeck_tui.console.screens.packageupload import PackageUploadScreen
from jobdeck_tui.console.screens.startclass import StartClassScreen
from jobdeck_tui.console.workers import start
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType

    from jobdeck_protocol.job import Job
    from jobdeck_protocol.packageinfo import PackageInfo

__all__ = ["PackageActs"]


_key = partial(key, "packages")


class PackageActs(FewScreen["PackageInfo"]):
    """Keys that act on packages; see ``ListActs``.

    Attributes:
        memory: What was started from here.
    """

    KIND = Kind.PACKAGES
    NOUN = "package"
    CHANGES = frozenset({"upload", "start", "remove"})
    NEEDS = frozenset({"start", "remove", "copy_name", "copy_hash"})
    NAME_CELLS = 40
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("n", "start", "start", "Start a class out of it", "Start a class"),
        _key("u", "upload", "upload", "Upload wheels, eggs or jars", "Upload", show=True),
        _key("d", "remove", "remove", "Remove it with all its versions", "Remove", show=True),
        _key("y", "copy_name", "copy_name", "Copy the name"),
        _key("Y", "copy_hash", "copy_hash", "Copy the hash of the blob that holds it"),
    ]

    memory: ClassMemory

    def told_new(self, new: PackageInfo) -> None:
        """Go to a package that was uploaded from here."""
        self.table.await_row(new.name)

    # -- starting --

    def action_start(self) -> None:
        """The dialog, for the package under the cursor."""
        if self.table.cursor is not None:
            self.start_out_of(self.table.cursor)

    def start_out_of(self, package: PackageInfo) -> None:
        """Ask what to start out of a package; the output of what was started is shown at once."""

        def started(job: Job | None) -> None:
            if job is not None:
                self.app.push_screen(OutputScreen(job.id))

        self.app.push_screen(StartClassScreen(package, self.memory), started)

    # -- coming and going --

    def action_upload(self) -> None:
        """The dialog."""

        def ended(package: PackageInfo | None) -> None:
            self.deck_app.read_few(self.KIND)
            if package is not None:
                self.told_new(package)

        self.app.push_screen(PackageUploadScreen(), ended)

    def action_remove(self) -> None:
        """Ask, then remove them."""
        packages = self.chosen()

        def answered(yes: bool | None) -> None:
            if yes:
                start(self, partial(self._removed, [package.name for package in packages]), "remove")

        one = len(packages) == 1
        title = "Remove this package?" if one else f"Remove these {len(packages):,} packages?"
        note = "One that a job still needs stays, and that job is named."
        versions = sum(package.versions_count for package in packages) - len(packages)
        if versions:
            note = f"{count_of(versions, 'older version')} {'goes' if versions == 1 else 'go'}, too. {note}"
        self.app.push_screen(ConfirmScreen(title, _lines(packages), verb="Remove", note=note), answered)

    async def _removed(self, names: Sequence[str]) -> None:
        refused = await self.deck_app.ask(self.deck_app.api.packages.remove(names), "Removing failed")
        self.tell_done(len(names), refused, "removed")
        self.deck_app.read_few(self.KIND)

    # -- copying --

    def action_copy_name(self) -> None:
        """One name, or a line for each."""
        names = [package.name for package in self.chosen()]
        self.copy(names, f"Copied {names[0]}" if len(names) == 1 else f"Copied {len(names)} names")

    def action_copy_hash(self) -> None:
        """One hash, or a line for each."""
        hashes = [package.hash for package in self.chosen()]
        self.copy(hashes, f"Copied {hashes[0]}" if len(hashes) == 1 else f"Copied {len(hashes)} hashes")


def _lines(packages: Sequence[PackageInfo]) -> list[str]:
    now_us = time.time_ns() // 1000
    return [
        f"{package.kind:<5}  {bytes_text(package.size_bytes):>9}  {age_text(package, now_us):>8}  "
        f"{package.name[: PackageActs.NAME_CELLS]}"
        for package in packages
    ]
