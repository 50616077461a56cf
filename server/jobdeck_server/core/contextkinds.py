"""The kinds of contexts: what there is to do before the first job of one, and after its last.

A kind is looked up by its name, which stands on the context, and is told to the interpreter of each of its jobs
(``packages.plan.RunnerPlan.context_kind``). A plain one is nothing but a name and settings; all there is to make is
its interpreter. One that holds a connection to something makes that in ``start``, and what its jobs need to find it is
part of what ``start`` gives back.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from jobdeck_server.core import contextsettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from jobdeck_protocol.contextinfo import ContextInfo
    from jobdeck_server.core.venvs import Venvs


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a context once it is up.

    Attributes:
        python: The interpreter that its jobs have.
        process: The job that is its process; None where it has none. As the next ones, see ``ContextInfo``.
        master: See there.
        application: See there.
        ui: See there.
        memory_bytes: See there.
    """

    python: str
    process: str | None = None
    master: str | None = None
    application: str | None = None
    ui: str | None = None
    memory_bytes: int | None = None


class Registry(Protocol):
    """What a kind may tell of its contexts, and ask.

    Attributes:
        leaving: The server ends and stops all jobs: nothing is begun any more.
    """

    leaving: bool

    def lives(self, context_id: str) -> bool:
        """Whether a context has not ended."""

    def running_count(self, context_id: str) -> int:
        """How many jobs of a context run."""

    def tell(self, context_id: str, **facts: object) -> None:
        """Something is known of a context: fields of its record. Nothing happens if it has ended."""

    def lost(self, context_id: str, why: str, *, stopped: bool) -> None:
        """What a context runs in has died, or was ``stopped`` by somebody, not by the context's end."""


class Kind(Protocol):
    """See the top of this file."""

    name: str

    def check(self, settings: Mapping[str, Any]) -> None:
        """Refuse settings of which can be seen at once that no context can be made of them. Never blocks.

        Raises:
            BadRequestError, ContextInitError: See there.
        """

    async def look(self) -> None:
        """See that what all contexts of this kind need is on this machine.

        Raises:
            ContextInitError: It is not.
        """

    def turn(self, context: ContextInfo) -> AbstractAsyncContextManager[None]:
        """Wait until a context may be started; within this it is. What is waited here is no delay of its start."""

    async def start(self, context: ContextInfo) -> Facts:
        """Make all that the jobs of a context need. May be asked again for one that was up before a restart.

        Raises:
            ContextLostError: It was up, and what it ran in has died while no server was there.
            JobdeckError: It cannot be done, and why, for people.
        """

    async def stop(self, context: ContextInfo, *, force: bool) -> None:
        """Its last job has ended: give up what ``start`` made. May be asked for one that never came up, or again."""

    async def kill(self, context: ContextInfo) -> None:
        """It is to end by force: whatever ``start`` made goes at once. ``stop`` follows, or has been asked for."""

    async def alive(self, context: ContextInfo) -> bool:
        """Whether what ``start`` made is still there; if not, returns once ``Registry.lost`` was told."""

    def link(self, context: ContextInfo) -> Path | None:
        """Where jobs of a context that is up find what ``start`` made; None where they need not find anything.

        Raises:
            ContextLostError: It is not there.
        """


class Plain:
    """A name and settings."""

    name = contextsettings.PLAIN

    def __init__(self, venvs: Venvs) -> None:
        self._venvs = venvs

    def check(self, settings: Mapping[str, Any]) -> None:
        """The interpreter must be one that may be used."""
        self._venvs.check(settings)

    async def look(self) -> None:
        """It needs nothing."""

    def turn(self, context: ContextInfo) -> AbstractAsyncContextManager[None]:
        """It takes nothing that others would wait for."""
        return nullcontext()

    async def start(self, context: ContextInfo) -> Facts:
        """Its interpreter, so that the first job need not wait for it."""
        return Facts(python=await self._venvs.python(context.settings, user=context.id))

    async def stop(self, context: ContextInfo, *, force: bool) -> None:
        """Nothing was made that would not be shared: who keeps interpreters asks who uses them."""

    async def kill(self, context: ContextInfo) -> None:
        """Nothing was made."""

    async def alive(self, context: ContextInfo) -> bool:
        """There is nothing that could die."""
        return True

    def link(self, context: ContextInfo) -> Path | None:
        """There is nothing to be found."""
