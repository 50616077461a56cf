"""How the programs of this package end when they cannot do what they were started for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

REFUSED = 2
"""The exit code."""


def run_or_refuse(main: Callable[[], Awaitable[None]], refusals: tuple[type[Exception], ...]) -> int:
    """Run a program to its end.

    Args:
        main: It.
        refusals: What it raises when it cannot start or go on: each is said on standard error in a line.

    Returns:
        The exit code: 0, or ``REFUSED``.
    """
    code = 0
    try:
        trio.run(main)
    except* refusals as group:
        for error in _leaves(group):
            print(f"jobdeck: {error}", file=sys.stderr)  # noqa: T201  # the operator's terminal
        code = REFUSED
    return code


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
