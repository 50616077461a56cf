"""The worker under the cursor: all that is known of it, and the jobs that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_tui.console.widgets.few_pane import FewPane
from jobdeck_tui.console.workerfacts import facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobdeck_protocol.workerinfo import WorkerInfo

__all__ = ["WorkerPane"]


class WorkerPane(FewPane):
    """See the top of this file."""

    NOUN = "Worker"

    def facts(self, item: WorkerInfo, now_us: int) -> Iterator[tuple[str, str]]:
        """See ``workerfacts``."""
        return facts(item, now_us)
