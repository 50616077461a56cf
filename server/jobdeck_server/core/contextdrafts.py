"""Contexts as they begin: drafted from what the operator, a query and a body say, and checked. Part of ``Contexts``."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jobdeck_protocol.contextinfo import ContextInfo, ContextState
from jobdeck_server.core import contextsettings
from jobdeck_server.core.errors import ContextInitError
from jobdeck_server.core.live import now_us

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from jobdeck_server.core.contextdefaults import Defaults
    from jobdeck_server.core.contextkinds import Kind
    from jobdeck_server.core.hocon import JobConfig
    from jobdeck_server.settings import Settings

__all__ = ["ContextDrafts"]

_ID_SHOWN_COUNT = 8


class ContextDrafts:
    """See the top of this file. All raise ``BadRequestError``, ``ContextInitError`` or ``TooLargeError``.

    Args:
        settings: Those that begin with ``context_``.
        kinds: What there is, by names.
        defaults: What the operator's file says.
    """

    def __init__(self, settings: Settings, *, kinds: Mapping[str, Kind], defaults: Defaults) -> None:
        self._settings = settings
        self._kinds = kinds
        self._defaults = defaults

    @property
    def configured_names(self) -> Collection[str]:
        """Of the contexts that the operator's file names."""
        return self._defaults.contexts

    def configured(self, name: str) -> ContextInfo:
        """One of those."""
        return self.of(name, contextsettings.joined(self._defaults.settings, self._defaults.contexts[name]))

    def new(self, name: str, query: Mapping[str, str], body: JobConfig) -> ContextInfo:
        """One that somebody asks for."""
        return self.of(name, contextsettings.merged(self._defaults.settings, query, body))

    def adhoc(self, main_class: str, query: Mapping[str, str], config: JobConfig, *, jar: bool) -> ContextInfo:
        """One for a job alone, out of a jar or not."""
        settings = contextsettings.merged(self._defaults.settings, query, config)
        context_id = str(uuid.uuid4())
        name = f"{context_id[:_ID_SHOWN_COUNT]}-{main_class}"
        return replace(self.of(name, settings, jar=jar), id=context_id, adhoc=True, slots_count=1)

    def of(self, name: str, settings: Mapping[str, Any], *, jar: bool = False) -> ContextInfo:
        """One with these settings, all of them."""
        kind = self._kinds.get(contextsettings.kind_of(settings, master=self._settings.spark_master, jar=jar))
        if kind is None:
            raise ContextInitError("This server has no engine for contexts on Spark.")
        kind.check(settings)
        contextsettings.ends_with_failure(settings)  # refused now, not when a job has failed
        return ContextInfo(
            id=str(uuid.uuid4()),
            name=name,
            kind=kind.name,
            state=ContextState.STARTING,
            settings=settings,
            slots_count=contextsettings.slots_of(settings, self._settings.context_slots_count),
            created_us=now_us(),
        )
