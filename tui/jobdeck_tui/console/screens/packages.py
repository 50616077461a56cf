"""All packages: the list with its filter, and the package under the cursor where there is room; see ``fewscreen``.

What is done to packages is in ``packageacts``, what is seen in the widgets. The classes of a package are asked for when
the cursor stays on it, once for each of its versions.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on

from jobdeck_client import ClientError, NotFoundError
from jobdeck_tui.console.bindings import key, panes
from jobdeck_tui.console.classrequest import ClassMemory
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.packagelist import listed
from jobdeck_tui.console.screens.fewscreen import few_keys
from jobdeck_tui.console.screens.packageacts import PackageActs
from jobdeck_tui.console.settings import PREVIEW_WAIT_S, RETRY_S
from jobdeck_tui.console.standing import package_standing, package_words
from jobdeck_tui.console.widgets.filter_bar import PackageFilterBar
from jobdeck_tui.console.widgets.package_pane import PackagePane
from jobdeck_tui.console.widgets.package_table import PackageTable
from jobdeck_tui.console.workers import start

if TYPE_CHECKING:
    from textual.binding import BindingType

    from jobdeck_client import PackageDetails
    from jobdeck_protocol.packageinfo import PackageInfo
    from jobdeck_tui.console.few import Few
    from jobdeck_tui.console.packagelist import PackageList
    from jobdeck_tui.console.state import State
    from jobdeck_tui.console.widgets.list_foot import Standing

__all__ = ["PackagesScreen"]

_FILTER_WORDS = "Filter: text, kind:wheel, name:words"


_key = partial(key, "packages")


class PackagesScreen(PackageActs):
    """See the top of this file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *few_keys("packages", "package", _FILTER_WORDS),
        _key("N", "sort('name')", "sort_name", "Sort by name; again for the other way round"),
        _key("S", "sort('size')", "sort_size", "Sort by size"),
        _key("A", "sort('uploaded')", "sort_age", "Sort by when it was uploaded, the newest first"),
        _key("V", "sort('versions')", "sort_versions", "Sort by how many versions there are"),
        *panes("packages"),
    ]

    table: PackageTable
    details: PackagePane

    def __init__(self) -> None:
        super().__init__(PackageFilterBar(), PackageTable(), PackagePane())
        self.memory = ClassMemory()
        self._looked_at: PackageInfo | None = None

    def on_mount(self) -> None:
        """Look into a package when the cursor has stayed on it."""
        self._waiting = self.set_interval(PREVIEW_WAIT_S, self._look, pause=True)

    # -- what is shown --

    def draw(self, state: State) -> None:
        """The list, and what may be done to it."""
        super().draw(state)
        self.table.startable = self.changeable

    def known(self, state: State) -> Few[PackageInfo]:
        """The packages."""
        return state.packages

    def listed(self, known: Few[PackageInfo]) -> PackageList:
        """See ``packagelist``."""
        return listed(known, self.wanted)

    def words(self, state: State) -> tuple[str, ...]:
        """How to have one."""
        return package_words(state, self.wanted)

    def standing(self, state: State) -> Standing:
        """How many there are, and how much they weigh."""
        table = self.table
        return package_standing(state, table.shown, table.cursor_index, marked_count=len(table.marks))

    def show_details(self) -> None:
        """The package under the cursor; its classes are asked for soon."""
        package = self.table.cursor if self.details.display else None
        self.details.item = package
        if package != self._looked_at:
            if package is None or self._looked_at is None or package.name != self._looked_at.name:
                self.details.found = None
            self._looked_at = package
            self._waiting.reset()
            self._waiting.resume()

    def _look(self) -> None:
        self._waiting.pause()
        if self._looked_at is not None:
            start(self, partial(self._looked, self._looked_at), "look")

    async def _looked(self, package: PackageInfo) -> None:
        found: PackageDetails | str
        try:
            found = await self.deck_app.api.packages.show(package.name)
        except NotFoundError:
            return  # the list tells that it has gone
        except ClientError as error:
            found = str(error)
            self.set_timer(RETRY_S, lambda: self._again(package))
        except GuestEndedError:
            return
        if self._looked_at == package:
            self.details.found = found

    def _again(self, package: PackageInfo) -> None:
        if self._looked_at == package:
            self._look()

    @on(PackageTable.Opened)
    def _opened(self, event: PackageTable.Opened) -> None:
        if self.changeable:  # a click asks for it, too
            self.start_out_of(event.row)
