"""Every key of the screen below, with what it does."""

from __future__ import annotations

from textual.screen import ModalScreen


class HelpScreen(ModalScreen[None]):
    """Made from the bindings that are active below it, so it cannot be out of date."""
