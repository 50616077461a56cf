"""What is read of contexts, and when: against a client that lives in the test."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import trio
import trio.testing

from jobdeck_client import Client
from jobdeck_client.errors import NotFoundError
from jobdeck_client.pages import Page
from jobdeck_protocol.contextinfo import ContextInfo, ContextState
from jobdeck_protocol.job import Job
from jobdeck_tui.console import state as told
from jobdeck_tui.console.contextwatch import ContextWatch
from jobdeck_tui.console.few import FewGone, FewTold, Kind
from jobdeck_tui.console.settings import FEW_EVERY_S
from jobdeck_tui.console.state import LinkTold, State, apply
from tests.tui.console.contexts import context, job_in, uid

MAIN, OTHER = context(1, "main"), context(2, "other")


@dataclass
class FakeClient:
    """Answers at once."""

    known: list[ContextInfo]
    listed: list[Job] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    missing: bool = False

    async def contexts(self) -> list[ContextInfo]:
        self.asked.append("all")
        if self.missing:
            raise NotFoundError(404, "no", "No such page.")
        return self.known

    async def jobs(self, **wanted: Any) -> Page:
        self.asked.append(wanted["context"])
        return Page(tuple(self.listed), None)


async def test_contexts_are_read_while_they_are_seen_with_the_jobs_of_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    client, state = FakeClient([MAIN, OTHER]), State(url="http://h")

    def tell(message: told.Message) -> None:
        nonlocal state
        state = apply(state, message)

    watch = ContextWatch(cast("Client", client), tell, lambda: state)
    tell(LinkTold(up=True, at_us=0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        await trio.sleep(100)
        assert client.asked == []
        here, there = job_in(MAIN, 1, "a.B"), job_in(OTHER, 2, "a.B")
        own = replace(job_in(MAIN, 3, "a.B"), engine="context")
        client.listed = [here, there, own]  # as a server that does not know this filter lists them
        watch.look(MAIN.id)
        await trio.testing.wait_all_tasks_blocked()
        assert client.asked == ["all", "main"]
        assert list(state.contexts.items) == [MAIN.id, OTHER.id]
        assert state.contexts.jobs is not None
        assert state.contexts.jobs.jobs == (here,)
        tell(told.JobTold(job=Job(id=here.id, dialect="v1", progress=0.5)))
        assert state.contexts.jobs.jobs[0].progress == 0.5
        tell(FewGone(kind=Kind.CONTEXTS, id=MAIN.id))
        client.known = [OTHER]
        await trio.sleep(FEW_EVERY_S + 0.5)
        assert client.asked == ["all", "main", "all"]  # its jobs are nobody's any more
        # What dies is told by an event, and stays until its name is another's; of one job's own the job tells.
        for number, fields in ((2, {}), (3, {"adhoc": True})):
            dead = context(number, f"dead{number}", state=ContextState.ERROR, **fields)
            tell(FewTold(kind=Kind.CONTEXTS, item=dead))
        client.known = []
        await trio.sleep(FEW_EVERY_S + 0.5)
        assert list(state.contexts.items) == [uid(2)]
        client.known = [context(4, "dead2")]
        await trio.sleep(FEW_EVERY_S + 0.5)
        assert list(state.contexts.items) == [uid(4)]
        client.missing = True
        await trio.sleep(FEW_EVERY_S + 0.5)
        assert state.contexts.error is not None
        assert list(state.contexts.items) == [uid(4)]
        nursery.cancel_scope.cancel()
