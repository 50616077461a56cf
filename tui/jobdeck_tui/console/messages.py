"""Messages of the console's own, from widgets upwards."""

from __future__ import annotations

from textual.message import Message


class StateChanged(Message):
    """The app has a newer state."""
