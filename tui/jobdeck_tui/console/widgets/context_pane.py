"""The context under the cursor: all that is known of it, and the jobs in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_tui.console.contextfacts import facts
from jobdeck_tui.console.widgets.few_pane import FewPane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobdeck_protocol.contextinfo import ContextInfo

__all__ = ["ContextPane"]


class ContextPane(FewPane):
    """See the top of this file."""

    NOUN = "Context"

    def facts(self, item: ContextInfo, now_us: int) -> Iterator[tuple[str, str]]:
        """See ``contextfacts``."""
        return facts(item, now_us)
