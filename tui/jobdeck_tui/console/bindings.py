"""Keys of panes, in the one form that footer, help and palette read: an id by pane and name, words for all of them."""

from __future__ import annotations

from textual.binding import Binding

__all__ = ["key", "panes"]

_PANES = (("1", "jobs"), ("2", "blobs"), ("3", "workers"), ("4", "packages"), ("5", "contexts"))
"""Their keys, and their names, by which the app's actions are called, too."""


def key(
    pane: str,
    keys: str,
    action: str,
    name: str,
    words: str,
    label: str = "",
    *,
    show: bool = False,
    priority: bool = False,
) -> Binding:
    """A key of a pane.

    Args:
        pane: What it belongs to; each pane makes its own maker of keys of it (``partial``).
        keys: As Textual names them, with commas between.
        action: What it does.
        name: Its own, within the pane.
        words: What it does, for help and palette.
        label: The same in a word or two, for the footer.
        show: Whether the footer has it.
        priority: Obeyed before what has the focus gets it.
    """
    return Binding(keys, action, label or words, id=f"{pane}.{name}", show=show, tooltip=words, priority=priority)


def panes(but: str) -> list[Binding]:
    """The keys of all panes but one, for the footer of that one."""
    return [
        Binding(number, f"app.{name}", name.capitalize(), id=f"pane.{name}_shown", tooltip=f"The list of {name}")
        for number, name in _PANES
        if name != but
    ]
