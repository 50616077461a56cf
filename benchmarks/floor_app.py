"""The least that a Textual program can do: as many rows as a list of jobs has, and one line that a key changes."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Static

ROWS_COUNT = 36


class FloorApp(App[None]):
    """Counts how often space was pressed."""

    BINDINGS = [("space", "mark", "Mark")]  # noqa: RUF012  # as App declares it

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def compose(self) -> ComposeResult:
        yield Static("\n".join(f"make -j8 test PART={number}" for number in range(ROWS_COUNT)))
        self._foot = Static("0 marked")
        yield self._foot

    def action_mark(self) -> None:
        self._count += 1
        self._foot.update(f"{self._count} marked")


if __name__ == "__main__":
    FloorApp().run()
