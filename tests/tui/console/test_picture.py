"""The picture of the README: fixed data, the real screens, and nothing that a page would fetch."""

from __future__ import annotations

import re
from html import unescape

from assets.scene import picture
from tests.tui.console.harness import ui


@ui
async def test_it_shows_the_list_and_the_output_and_fetches_nothing() -> None:
    svg = await picture((110, 34))
    text = unescape(re.sub(r"<[^>]*>", "", svg)).replace("\u00a0", " ")
    for words in (
        "▶",
        "2",
        "1,284",
        "make test",
        "SIGTERM",
        "warning: locale de_DE",
        "following",
        "tests/test_cart.py",
    ):
        assert words in text
    assert set(re.findall(r"https?://[^\s\"'<)]+", svg)) <= {"http://www.w3.org/2000/svg", "http://127.0.0.1:8080"}
    assert "@import" not in svg
    assert "@font-face" not in svg
