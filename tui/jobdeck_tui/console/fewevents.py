"""What events tell of few things (``few``): one table says which event is of which kind, and how it is read. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jobdeck_protocol import contextinfo, packageinfo, workerinfo
from jobdeck_tui.console.few import FewGone, FewTold, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["few_message"]

_TOLD: Mapping[str, tuple[Kind, Callable[[Mapping[str, Any]], Any]]] = MappingProxyType(
    {
        "worker": (Kind.WORKERS, workerinfo.from_wire),
        "context": (Kind.CONTEXTS, contextinfo.from_wire),
        "package": (Kind.PACKAGES, packageinfo.from_wire),
    }
)
_GONE: Mapping[str, tuple[Kind, str]] = MappingProxyType(
    {
        "worker_removed": (Kind.WORKERS, "id"),
        "context_removed": (Kind.CONTEXTS, "id"),
        "package_removed": (Kind.PACKAGES, "name"),
    }
)


def few_message(event: str, data: Mapping[str, Any]) -> FewTold | FewGone | None:
    """What an event tells; None where it is of nothing of which there are few, or not understood by this console."""
    try:
        if event in _TOLD:
            kind, read = _TOLD[event]
            return FewTold(kind=kind, item=read(data))
        if event in _GONE:
            kind, key = _GONE[event]
            return FewGone(kind=kind, id=str(data[key]))
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
    return None
