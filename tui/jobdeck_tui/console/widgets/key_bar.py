"""The line at the bottom: the keys that matter here and now.

Textual's own ``Footer`` makes a widget of each key, all anew whenever one may have changed; that costs more than all
the rest of a picture. This is one line, painted when its words change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import Reactive
from textual.widget import Widget

from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from textual import events
    from textual.screen import Screen

__all__ = ["KeyBar", "KeyWord"]

_GAP = 2


@dataclass(frozen=True, slots=True)
class KeyWord:
    """A key as Textual names it, as people do, and what it does; ``everywhere`` if it is not of this screen."""

    key: str
    shown: str
    words: str
    everywhere: bool

    @property
    def width(self) -> int:
        """Cells with the blank between."""
        return Content(f"{self.shown} {self.words}").cell_length


class KeyBar(Widget):
    """See the top of this file. A click on a word is its key.

    Attributes:
        keys: All that may be shown; those of this screen fall away first where there is no room.
    """

    DEFAULT_CSS = """
    KeyBar { dock: bottom; height: 1; padding: 0 1; background: $footer-background; color: $footer-foreground; }
    """

    keys: Reactive[tuple[KeyWord, ...]] = Reactive(())

    def on_mount(self) -> None:
        """Be told of each change."""
        self._asked = False
        self.screen.bindings_updated_signal.subscribe(self, self._changed)
        self._changed(self.screen)

    def on_unmount(self) -> None:
        """Nobody looks any more."""
        self.screen.bindings_updated_signal.unsubscribe(self)

    def _changed(self, screen: Screen[object]) -> None:
        if not self._asked and self.is_attached and screen is self.screen:
            self._asked = True  # several changes at once are one look
            self.call_after_refresh(self._look)

    def _look(self) -> None:
        self._asked = False
        if not self.is_attached:
            return
        found: dict[str, KeyWord] = {}
        for node, binding, enabled, _ in self.screen.active_bindings.values():
            if binding.show and enabled and binding.action not in found:
                shown = clean_line(self.app.get_key_display(binding))
                found[binding.action] = KeyWord(binding.key, shown, binding.description, node is self.app)
        self.keys = tuple(found.values())

    def fitting(self) -> list[KeyWord]:
        """Those that have room, in order."""
        room = self.content_size.width + _GAP
        room -= sum(each.width + _GAP for each in self.keys if each.everywhere)
        fitting = []
        for each in self.keys:
            if not each.everywhere:
                room -= each.width + _GAP
                if room < 0:
                    continue
            fitting.append(each)
        return fitting

    def render(self) -> Content:
        """Keys in colour, words beside them."""
        parts = [
            Content.assemble((each.shown, "bold $footer-key-foreground"), f" {each.words}") for each in self.fitting()
        ]
        return Content(" " * _GAP).join(parts)

    def on_click(self, event: events.Click) -> None:
        """Press the key whose word was clicked."""
        x = event.x - self.gutter.left
        for each in self.fitting():
            if 0 <= x < each.width:
                self.app.simulate_key(each.key)
            x -= each.width + _GAP
