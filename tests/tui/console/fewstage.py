"""What a test of a pane of few things has in its hands; see ``workers``, ``packages`` and ``contexts``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from textual.message import Message

from jobdeck_tui.console.few import FewGone, FewTold, Kind
from jobdeck_tui.console.screens.fewscreen import FewScreen
from tests.tui.console.blobs import press
from tests.tui.console.harness import screen_text, until
from tests.tui.console.lists import ListApp

if TYPE_CHECKING:
    from textual.pilot import Pilot

A = TypeVar("A", bound=ListApp)
S = TypeVar("S", bound=FewScreen[Any])


@dataclass
class FewStage(Generic[A, S]):
    """See the top of this file.

    Attributes:
        KIND: Of the things.
        SCREEN: On which they are listed.
        messages: All that were posted, where the test wants to know.
    """

    KIND: ClassVar[Kind]
    SCREEN: ClassVar[type[FewScreen[Any]]]

    app: A
    pilot: Pilot[int]
    messages: list[Message] = field(default_factory=list)

    @property
    def screen(self) -> S:
        return cast("S", next(each for each in self.app.screen_stack if isinstance(each, self.SCREEN)))

    @property
    def names(self) -> list[str]:
        """Of the things on the list."""
        return [each.name for each in self.screen.table.rows]

    @property
    def text(self) -> str:
        return screen_text(self.app)

    async def press(self, *keys: str) -> None:
        await press(self.pilot, *keys)

    async def see(self, *words: str) -> None:
        """Wait until all of this is on the screen."""
        await until(self.pilot, lambda: all(word in self.text for word in words))

    async def unseen(self, words: str) -> None:
        await until(self.pilot, lambda: words not in self.text)

    async def on(self, kind: type[Any]) -> None:
        """Wait until such a screen is on top."""
        await until(self.pilot, lambda: isinstance(self.app.screen, kind) and self.app.screen.is_mounted)

    def tell(self, changed: Any) -> None:
        """An event of one of the things."""
        self.app.fake.tell(FewTold(kind=self.KIND, item=changed))

    def tell_left(self, item_id: str) -> None:
        """An event of one that was removed, or forgotten."""
        self.app.fake.tell(FewGone(kind=self.KIND, id=item_id))
