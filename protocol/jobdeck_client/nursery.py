"""A nursery for helpers that never fail, which does not turn the errors of its block into groups."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def helpers() -> AsyncIterator[trio.Nursery]:
    """Run helper tasks for as long as the block lasts; they are cancelled at its end.

    An error of the block comes out as it is: a nursery of trio would put it into a group, and a user of ``attach``
    does not know that there is one.
    """
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            finally:
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1 and not isinstance(group.exceptions[0], trio.Cancelled):
            error = group.exceptions[0]
            raise error from error.__cause__
        raise
