"""Files in folders: what the screens of an artifact and of a job's results share.

Artifacts are read page by page when they are unfolded, and shown as far as they came.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding
from textual.reactive import reactive

from jobdeck_client import ClientError, NotFoundError
from jobdeck_tui.console.bindings import key
from jobdeck_tui.console.curl import curl_of_blob
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.peek import Target
from jobdeck_tui.console.screens.base import DeckScreen
from jobdeck_tui.console.screens.download import DownloadScreen, Wanted
from jobdeck_tui.console.screens.peek import PeekScreen
from jobdeck_tui.console.settings import RETRY_S, TREE_LIMIT_COUNT, TREE_PAINT_S
from jobdeck_tui.console.tree import ARTIFACT, FOLDER, VALUE, Tree, TreeList
from jobdeck_tui.console.widgets.list_foot import ListFoot, Standing
from jobdeck_tui.console.widgets.peek_parts import PeekHead
from jobdeck_tui.console.widgets.tree_table import TreeTable
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from jobdeck_tui.console.tree import Branch

__all__ = ["FilesScreen"]

_FIRST = "0"


_key = partial(key, "tree")


class FilesScreen(DeckScreen):
    """See the top of this file.

    Attributes:
        files: What there is.
        inside: The rows are what is below this one; None for the roots.
        reachable: The cursor is on something that can be fetched.
        any_rows: The cursor is on something.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="tree.back", tooltip="Back to where it was opened"),
        Binding("backspace", "leave", "Back", id="tree.back_too", show=False, tooltip="Back to where it was opened"),
        _key("s", "save", "save", "Save it to a file: an artifact as a zip", "Save", show=True),
        _key("y", "copy_hash", "copy_hash", "Copy the hash of the blob"),
        _key("Y", "copy_curl", "copy_curl", "Copy as a curl line that fetches it"),
    ]

    reachable = reactive(False, bindings=True)
    any_rows = reactive(False, bindings=True)

    def __init__(self) -> None:
        super().__init__()
        self.files = Tree()
        self.inside: Branch | None = None
        self._cursors: dict[str, str] = {}  # where artifacts are read on, by row; absent before and after
        self._trouble: str | None = None
        self._painted_s = 0.0

    def body(self) -> ComposeResult:
        """What it is, the rows, how they stand."""
        self.top = PeekHead()
        self.table = TreeTable()
        self._foot = ListFoot()
        yield self.top
        yield self.table
        yield self._foot

    def on_mount(self) -> None:
        """Keys go to the rows."""
        self.set_focus(self.table)

    # -- what is shown --

    def show_rows(self) -> None:
        """The rows as they are now."""
        self._painted_s = time.monotonic()
        self.table.take(TreeList(rows=self.files.rows(inside=self.inside)))
        self._tell()

    def _tell(self) -> None:
        rows = len(self.table.rows)
        branch = self.branch
        self.any_rows = rows > 0
        self.reachable = branch is not None and branch.kind not in (FOLDER, VALUE)
        self._foot.standing = Standing(
            at=self.table.cursor_index if rows else None,
            held_count=rows,
            total=rows,
            busy="… loading" if self._cursors else "",
            error=self._trouble,
        )

    @property
    def branch(self) -> Branch | None:
        """What the cursor is on."""
        row = self.table.cursor
        return None if row is None else self.files.get(row.id)

    @on(TreeTable.Moved)
    def _moved(self) -> None:
        self._tell()

    # -- folding --

    @on(TreeTable.Folded)
    def _folded(self, event: TreeTable.Folded) -> None:
        branch = self.files.get(event.row.id)
        if branch is not None:
            self.fold(branch, on=event.on)

    def fold(self, branch: Branch, *, on: bool) -> None:
        """Unfold or fold; what was never unfolded is read."""
        branch.open = on
        if on and branch.kind == ARTIFACT and not branch.complete and branch.id not in self._cursors:
            self._cursors[branch.id] = _FIRST
            self._read(branch)
        self.show_rows()

    def _read(self, branch: Branch) -> None:
        start(self, partial(self._read_pages, branch), f"read {branch.blob}")

    async def _read_pages(self, branch: Branch) -> None:
        """All files of an artifact; after a failure where it stopped."""
        try:
            while (cursor := self._cursors.get(branch.id)) is not None:
                entries, following = await self.deck_app.api.blobs.entry_page(branch.blob, cursor)
                self.files.add(branch, entries)
                self._trouble = None
                if following is None or branch.file_count >= TREE_LIMIT_COUNT:
                    del self._cursors[branch.id]
                    branch.complete = following is None
                    if following is not None:
                        self._trouble = f"the first {branch.file_count:,} files of more; s saves all of them"
                else:
                    self._cursors[branch.id] = following
                if following is None or time.monotonic() - self._painted_s >= TREE_PAINT_S:
                    self.show_rows()
        except NotFoundError as error:
            self._cursors.pop(branch.id, None)
            self._trouble = clean_line(str(error))
        except ClientError as error:
            self._trouble = clean_line(str(error))
            self.set_timer(RETRY_S, partial(self._read, branch))
        except GuestEndedError:
            return
        self.show_rows()

    # -- keys --

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done with what the cursor is on."""
        del parameters
        return self.reachable or action not in ("save", "copy_hash", "copy_curl")

    def action_leave(self) -> None:
        """Back."""
        self.dismiss()

    @on(TreeTable.Opened)
    def _opened(self, event: TreeTable.Opened) -> None:
        branch = self.files.get(event.row.id)
        if branch is None:
            return
        if branch.folds:
            self.fold(branch, on=not branch.open)
            return
        start(self, partial(self._look, branch), "look")

    async def _look(self, branch: Branch) -> None:
        """Open a file; what turns out to be an artifact itself unfolds instead."""
        if branch.record is not None and branch.path is not None and await self._is_artifact(branch.record):
            branch.kind, branch.blob, branch.path, branch.complete = ARTIFACT, branch.record, None, False
            self.fold(branch, on=True)
            return
        target = Target(hash=branch.blob, name=branch.name, path=branch.path, value=branch.value)
        self.app.push_screen(PeekScreen(target))

    async def _is_artifact(self, record: str) -> bool:
        try:
            return (await self.deck_app.api.blobs.show(record)).type == "complex"
        except (ClientError, GuestEndedError):
            return False  # looking at it tells why

    def action_save(self) -> None:
        """Ask where to."""
        branch = self.branch
        if branch is not None:
            size_bytes = None if branch.kind == ARTIFACT else branch.size_bytes
            wanted = Wanted(hash=branch.blob, path=branch.path, name=branch.name, size_bytes=size_bytes)
            self.app.push_screen(DownloadScreen(wanted))

    def action_copy_hash(self) -> None:
        """Of the record, where it has one of its own."""
        branch = self.branch
        if branch is not None:
            blob = branch.record or branch.blob
            self.app.copy_to_clipboard(blob)
            self.deck_app.tell(f"Copied {blob}")

    def action_copy_curl(self) -> None:
        """Copy the command."""
        branch, app = self.branch, self.deck_app
        if branch is not None:
            app.copy_to_clipboard(
                curl_of_blob(app.state.url, branch.blob, branch.name, token=app.has_token, path=branch.path)
            )
            app.tell("Copied a curl line")
