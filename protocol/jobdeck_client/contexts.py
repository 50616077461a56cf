"""The contexts in which a server runs jobs out of packages: ``/v1/contexts``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import trio

from jobdeck_client.errors import RefusedError, ServerFaultError
from jobdeck_protocol.contextinfo import ContextInfo, ContextState, from_wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_client.requests import Requests

__all__ = ["ContextDetails", "Contexts"]

_LOOK_S = 1.0  # between two looks at one that is coming up
_FAILED = 422  # as the server would have said


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextDetails:
    """A context, and the ids of its jobs that have not ended."""

    context: ContextInfo
    jobs: tuple[str, ...]


class Contexts:
    """See the top of this file."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def all(self) -> list[ContextInfo]:
        """Those that live, in the order of their coming."""
        wire = await self._requests.ask("GET", "/v1/contexts")
        items = wire.get("contexts") if isinstance(wire, dict) else None
        if not isinstance(items, list):
            raise ServerFaultError("The server's answer has no contexts.")
        return [_context(item) for item in items]

    async def show(self, name: str) -> ContextDetails:
        """The context of this name that lives, or the last one that ended.

        Raises:
            NotFoundError: There is none.
        """
        wire = await self._requests.ask("GET", _path(name))
        jobs = wire.get("jobs") if isinstance(wire, dict) else None
        if not isinstance(jobs, list):
            raise ServerFaultError("The server does not say what jobs the context has.")
        return ContextDetails(context=_context(wire), jobs=tuple(map(str, jobs)))

    async def create(self, name: str, settings: str | Mapping[str, Any] | None = None) -> ContextInfo:
        """Make a context; returns when it is up, however long that takes.

        Args:
            name: It begins with a letter.
            settings: HOCON, as a text, or an object.

        Raises:
            ConflictError: One that lives has this name.
            RefusedError: It cannot be made.
        """
        body = {"name": name, "settings": settings if isinstance(settings, str | None) else dict(settings)}
        made = _context(await self._requests.ask("POST", "/v1/contexts", body=body))
        while made.state is ContextState.STARTING:
            await trio.sleep(_LOOK_S)
            made = (await self.show(name)).context
        if made.state is not ContextState.RUNNING:
            raise RefusedError(_FAILED, "Unprocessable Entity", made.error or "It was stopped before it was up.")
        return made

    async def restart(self, name: str) -> ContextInfo:
        """Make a context anew, with the settings that it has; what runs in it ends, and is not run again.

        Args:
            name: Of one that lives, or of the last that ended.

        Returns:
            Its record: ``running`` if it is up again; if not, that takes long, and goes on.

        Raises:
            NotFoundError: There is none.
            RefusedError: It cannot be made anew.
        """
        return _context(await self._requests.ask("POST", f"{_path(name)}/restart"))

    async def stop(self, name: str, *, force: bool = False) -> bool:
        """Stop a context and its jobs.

        Args:
            name: Of one that lives.
            force: Kill its jobs at once.

        Returns:
            Whether it has ended; if not, that takes long, and goes on.

        Raises:
            NotFoundError: None that lives has this name.
        """
        query = {"force": "true"} if force else None
        wire = await self._requests.ask("DELETE", _path(name), query=query)
        if not isinstance(wire, dict) or type(wire.get("stopped")) is not bool:
            raise ServerFaultError("The server does not say whether the context has ended.")
        return bool(wire["stopped"])


def _path(name: str) -> str:
    return f"/v1/contexts/{quote(name, safe='')}"


def _context(wire: object) -> ContextInfo:
    try:
        return from_wire(wire)  # type: ignore[arg-type]  # what is no map raises
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ServerFaultError(f"The server's answer is no context: {error}.") from error
