"""Every key that works on the screen below, with what it does: made from the bindings, so it cannot be out of date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import ActiveBinding, BindingType
    from textual.screen import Screen

__all__ = ["HelpRow", "HelpScreen", "rows_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HelpRow:
    """One thing that can be done.

    Attributes:
        area: Where the keys work: the first word of the binding's id (``jobs``, ``log``, ``app``).
        keys: All of them, as they are told to people.
        action: What they do, as Textual's bindings name it.
        words: What they do, in words.
    """

    area: str
    keys: tuple[str, ...]
    action: str
    words: str


_AREAS = {
    "jobs": "Jobs",
    "blobs": "Blobs",
    "workers": "Workers",
    "packages": "Packages",
    "contexts": "Contexts",
    "outcome": "Result",
    "tree": "Tree",
    "peek": "File",
    "log": "Output",
    "pane": "Panes",
    "app": "Everywhere",
}


def rows_of(screen: Screen[object]) -> list[HelpRow]:
    """What can be done on a screen now, in the order of the areas; keys of one action together."""
    found: dict[tuple[str, str], HelpRow] = {}
    for key, active in screen.active_bindings.items():
        area = (active.binding.id or "").partition(".")[0]
        if area not in _AREAS or not active.enabled:
            continue
        told = screen.app.get_key_display(active.binding) if active.binding.key_display is None else None
        name = told or active.binding.key_display or key
        before = found.get((area, active.binding.action))
        keys = (*before.keys, name) if before is not None else (name,)
        words = before.words if before is not None else _words(active)
        found[area, active.binding.action] = HelpRow(
            area=area, keys=tuple(dict.fromkeys(keys)), action=active.binding.action, words=words
        )
    order = list(_AREAS)
    return sorted(found.values(), key=lambda row: order.index(row.area))


def _words(active: ActiveBinding) -> str:
    return active.tooltip or active.binding.tooltip or active.binding.description


class HelpScreen(ModalScreen[None]):
    """A list of keys.

    Args:
        rows: From ``rows_of`` the screen below.
    """

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen VerticalScroll {
        width: 76; max-width: 100%; height: auto; max-height: 100%;
        padding: 0 2; border: round $primary; border-title-color: $text-primary; background: $surface;
    }
    HelpScreen Static { width: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "Close"),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, rows: Sequence[HelpRow]) -> None:
        super().__init__()
        self._rows = rows

    def compose(self) -> ComposeResult:
        """One text, so that it wraps and scrolls as one."""
        self._scroll = VerticalScroll(Static(self._text()))
        self._scroll.border_title = "Keys"
        self._scroll.border_subtitle = "Esc closes"
        yield self._scroll

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines."""
        self._scroll.scroll_relative(y=lines, animate=False)

    def _text(self) -> Content:
        wide = max((len(_keys(row)) for row in self._rows), default=0)
        parts: list[Content] = []
        area, names = "", dict(_AREAS)
        if any(row.area == "peek" for row in self._rows):
            names["log"] = "Lines"  # the same window, on a file
        for row in self._rows:
            if row.area != area:
                area = row.area
                parts.append(Content.styled(("\n" if parts else "") + names[area], "bold $text-accent"))
            parts.append(Content.assemble((f"{_keys(row):<{wide}}", "$text-primary"), "  ", row.words))
        return Content("\n").join(parts)


def _keys(row: HelpRow) -> str:
    return " ".join(row.keys)
