"""The two doors of a server to addresses that clients choose, each with rules of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from jobdeck_server.core import callbacks, fetching
from jobdeck_server.core.outbound.door import Door
from jobdeck_server.core.outbound.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobdeck_server.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """See the top of this file.

    Attributes:
        callbacks: To where ends of jobs are told.
        fetching: To where packages come from.
    """

    callbacks: Door
    fetching: Door

    @classmethod
    def of(cls, settings: Settings, own: Sequence[tuple[str, int]], *, loopback_only: bool) -> Self:
        """As the server is set.

        Args:
            settings: What may be called, and the limits.
            own: (host, port) of the server's listeners, which are not called.
            loopback_only: All of them are on loopback.

        Raises:
            PatternError: A pattern of what may be called is none.
        """

        def door(schemes: Sequence[str], patterns: Sequence[str] | None, setting: str) -> Door:
            rules = Rules(schemes, patterns, loopback_only=loopback_only, setting=setting)
            return Door(settings, rules, own=own)

        return cls(
            callbacks=door(callbacks.SCHEMES, settings.callback_allow, "callback_allow"),
            fetching=door(fetching.SCHEMES, settings.fetch_allow, "fetch_allow"),
        )
