"""What all tests of the console start from."""

from __future__ import annotations

import pytest

from jobdeck_tui.console.screens import confirm


@pytest.fixture(autouse=True)
def _questions_are_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests read faster than people; that people are given time has a test of its own."""
    monkeypatch.setattr(confirm, "CONFIRM_WAIT_S", 0.0)
