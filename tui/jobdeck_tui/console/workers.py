"""Starting what waits for the server beside the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from textual.dom import DOMNode
    from textual.worker import WorkType

__all__ = ["start"]


def start(node: DOMNode, work: Callable[[], Coroutine[Any, Any, None]], group: str, *, exclusive: bool = True) -> None:
    """Run a coroutine function for as long as a node is there.

    A function and not a coroutine, since a worker may be cancelled before it began, and a coroutine that never began is
    a warning. It handles its own errors: one that it lets out is dropped, and the console goes on.

    Args:
        node: Who has it run.
        work: What is run.
        group: Its name among the node's workers.
        exclusive: It takes the place of what runs under this name.
    """
    node.run_worker(cast("WorkType[None]", work), group=group, exclusive=exclusive, exit_on_error=False)
