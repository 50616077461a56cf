"""The wait for a job's ``validate``: an asynchronous start is answered when it is known whether the job was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from jobdeck_server.packages.outcome import read_validated

if TYPE_CHECKING:
    from pathlib import Path

# The job's interpreter takes some 30 ms to come so far at best; a job that takes its time is looked at more seldom.
_FIRST_S, _LONGEST_S, _GROWTH = 0.005, 0.1, 1.3


async def validated(folder: Path, over: trio.Event) -> tuple[str, ...] | None:
    """Wait for what ``validate`` says. How long is the caller's to bound.

    Args:
        folder: The job's.
        over: Set when the job has ended.

    Returns:
        The problems, none if it found none; None if the job ended without a word of it.
    """
    pause_s = _FIRST_S
    while True:
        was_over = over.is_set()  # before looking: what was told before the end is there then
        said = await trio.to_thread.run_sync(read_validated, folder)
        if said is not None or was_over:
            return said
        with trio.move_on_after(pause_s):
            await over.wait()
        pause_s = min(pause_s * _GROWTH, _LONGEST_S)
