"""What the operator says of contexts, in a file of HOCON that is read when the server starts.

    spark.context-settings { num-cpu-cores = 4 }        of all contexts, where nobody says anything else
    contexts { low-latency { max-jobs-per-context = 2 } }   made at each start, and by a reset

``spark.contexts`` is read as ``contexts`` is. Files and environment variables are not read from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import trio

from jobdeck_server.core import contextsettings
from jobdeck_server.core.errors import BadRequestError, JobdeckError
from jobdeck_server.core.hocon import ConfigReader

if TYPE_CHECKING:
    from pathlib import Path


class DefaultsError(Exception):
    """The operator's file cannot be used: the server does not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """See the top of this file.

    Attributes:
        settings: Of all contexts.
        contexts: Settings of those that are made, by their names.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    contexts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    async def read(cls, path: Path | None) -> Self:
        """What a file says; nothing without one.

        Raises:
            DefaultsError: It cannot be read or understood.
        """
        if path is None:
            return cls()
        try:
            config = await ConfigReader().read(await trio.Path(path).read_bytes())
            tree = await trio.to_thread.run_sync(config.tree)
            return cls(settings=contextsettings.block_of(tree, "spark.context-settings"), contexts=_contexts(tree))
        except OSError as error:
            raise DefaultsError(f"cannot read {path}: {error.strerror}") from error
        except JobdeckError as error:
            raise DefaultsError(f"{path}: {error}") from error


def _contexts(tree: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for path in ("spark.contexts", "contexts"):
        for name, settings in contextsettings.block_of(tree, path).items():
            contextsettings.check_name(name)
            if not isinstance(settings, dict):
                raise BadRequestError(f"{path}.{name} is no object")
            found[name] = settings
    return found
