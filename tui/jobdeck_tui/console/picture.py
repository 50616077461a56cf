"""A picture of the console as SVG, taken without a terminal. It fetches nothing when it is looked at."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from jobdeck_tui.console.app import ConsoleApp

__all__ = ["Size", "svg_of", "take"]

Size = tuple[int, int]
"""Columns and rows."""

_FONTS_AND_COMMENTS = re.compile(r"@font-face\s*\{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)
_SETTLED_S = 0.6
_LIMIT_S = 15.0
_LOOK_EVERY_S = 0.05


def svg_of(app: ConsoleApp) -> str:
    """What is on the screen. The rules that would load fonts from another host are taken out."""
    return _FONTS_AND_COMMENTS.sub("", app.export_screenshot(title="jobdeck", simplify=True))


async def take(app: ConsoleApp, path: Path, size: Size) -> None:
    """Run the app without a terminal until it shows what the server told, and write the picture."""
    async with app.run_test(size=size, notifications=True) as pilot:
        await _settle(app, pilot)
        await asyncio.to_thread(path.write_text, svg_of(app), encoding="utf-8")


async def _settle(app: ConsoleApp, pilot: Pilot[int]) -> None:
    """Wait until the list came and no news did for a while, at most for a time."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + _LIMIT_S
    quiet_s, last = loop.time(), app.state
    while loop.time() < end_s:
        await asyncio.sleep(_LOOK_EVERY_S)
        if app.state is not last:
            quiet_s, last = loop.time(), app.state
        if last.live and not last.list.loading and loop.time() - quiet_s > _SETTLED_S:
            break
    await pilot.pause()
