"""What the tests of the console share: running a test on asyncio with a time limit, and the screen as text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from textual.app import App
    from textual.pilot import Pilot

P = ParamSpec("P")

_LIMIT_S = 50.0
_POLL_S = 0.02


def ui(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an asynchronous test on asyncio, not on trio as pytest-trio would."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), _LIMIT_S))

    return run


def screen_text(app: App[Any]) -> str:
    """What the screen shows, a line a row, without styles; blanks at the ends of rows removed."""
    width, height = app.size
    lines = app.screen._compositor.render_strips(app.size)
    return "\n".join("".join(segment.text for segment in strip).rstrip()[:width] for strip in lines[:height])


async def until(pilot: Pilot[Any], true: Callable[[], object], *, for_s: float = 20.0) -> None:
    """Wait until a condition holds; shows the screen when it does not."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + for_s
    while not true():
        if loop.time() > deadline:
            raise AssertionError("it never came to be; the screen:\n" + screen_text(pilot.app))
        await asyncio.sleep(_POLL_S)
