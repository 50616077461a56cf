"""Lists that come a page at a time, read as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from jobdeck_protocol.job import Job

__all__ = ["Page", "every"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_PAGE_COUNT = 500


class _Page(Protocol[T_co]):
    """What a page must have."""

    @property
    def items(self) -> tuple[T_co, ...]:
        """What is on it; maybe nothing, although more pages follow."""

    @property
    def next(self) -> str | None:
        """The cursor of the following page, None at the end."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of jobs, and the cursor of the next one; None at the end. A page may be short or empty."""

    items: tuple[Job, ...]
    next: str | None


async def every(
    page: Callable[..., Awaitable[_Page[T]]], *, limit: int | None, **wanted: Any
) -> AsyncGenerator[T, None]:
    """The items of all pages, at most ``limit``.

    Args:
        page: Asks for one, by ``limit``, ``cursor`` and what is ``wanted``.
        limit: None for all there are.
        wanted: Handed on.
    """
    cursor: str | None = None
    left = limit
    while left is None or left > 0:
        found = await page(limit=min(left or _PAGE_COUNT, _PAGE_COUNT), cursor=cursor, **wanted)
        for item in found.items:
            yield item
        left = None if left is None else left - len(found.items)
        cursor = found.next
        if cursor is None:
            return
