"""A search in one log: how many hits there are, and the way from one to the next. The server searches all of the log.

The hits are counted once, up to a limit, while they are found. The next one is asked for by itself, from the line where
reading goes on, so it is found however many there are, and in what was written since. It is always in another line:
the hits within a line are seen together.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from jobdeck_client import ClientError
from jobdeck_client.lines import Hit, Progress
from jobdeck_tui.console.finder import Finder
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.settings import HITS_LIMIT_COUNT

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_client.lines import Found
    from jobdeck_tui.console.api import Api
    from jobdeck_tui.console.state import LogKey

__all__ = ["Search"]


class Search:
    """See the top of this file.

    Args:
        api: What is asked.
        key: The log.
        pattern: Words, or a regular expression.
        regex: Which of the two.
        case: Upper and lower case are told apart.

    Attributes:
        finder: Marks the matches on the screen.
        more: There are more hits than were counted.
        counted: Counting has ended.
        offset: How far counting has come, in bytes.
        trouble: Why they could not be counted, empty if they could.

    Raises:
        ValueError: It is no regular expression.
    """

    def __init__(self, api: Api, key: LogKey, pattern: str, *, regex: bool, case: bool) -> None:
        self.finder = Finder(pattern, regex=regex, case=case)
        self.more = False
        self.counted = False
        self.offset = 0
        self.trouble = ""
        self._api = api
        self._key = key
        self._pattern = pattern
        self._how = {"regex": regex, "case": case, "stream": key[1]}
        self._hits: list[tuple[int, int]] = []  # line and column, in order

    @property
    def hit_count(self) -> int:
        """Hits that were counted so far."""
        return len(self._hits)

    def place(self, line: int, column: int) -> int | None:
        """Which of the hits stands there, from 1; None if it was not counted."""
        at = bisect_left(self._hits, (line, column))
        return at + 1 if at < len(self._hits) and self._hits[at] == (line, column) else None

    async def count(self, tell: Callable[[], None]) -> None:
        """Count the hits; ``tell`` is called whenever there is something new."""

        def take(found: Found) -> None:
            if isinstance(found, Hit):
                self._hits.append((found.line, found.column))
            elif isinstance(found, Progress):
                self.offset = found.offset
            else:
                self.more, self.counted = found.more, True
            tell()

        try:
            await self._api.find(self._key[0], self._pattern, take, limit=HITS_LIMIT_COUNT, **self._how)
        except ClientError as error:
            self.trouble = str(error)
            tell()
        except GuestEndedError:
            pass

    async def next_hit(self, start: int | None, *, backward: bool) -> Hit | None:
        """The first hit at or behind a line; going backward, the last one at or before it.

        Args:
            start: The line, negative from the end; None for all of the log.
            backward: The direction.

        Raises:
            ClientError: The server cannot be asked, or refuses.
        """
        hits: list[Hit] = []

        def take(found: Found) -> None:
            if isinstance(found, Hit):
                hits.append(found)

        await self._api.find(self._key[0], self._pattern, take, start=start, backward=backward, limit=1, **self._how)
        return hits[0] if hits else None
