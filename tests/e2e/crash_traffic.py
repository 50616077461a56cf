"""The crash tests' traffic: jobs sent, stopped and followed over HTTP, whatever happens to the other end meanwhile."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import trio

from tests.e2e.crash_clients import BrokenError, Events, Follower, Link
from tests.e2e.crash_judge import NAME, Row, Sent, Verdict
from tests.e2e.crash_kinds import Halt, Plan

_ROOM_LIMIT_S = 5.0
_PAGE_COUNT = 200
_FRESH_COUNT = 10  # attachers follow one of so many newest jobs
_AWAY = b'{"error":"worker unreachable"}\n'  # the scheduler API's jobs do not wait for their worker
_ID_FIELDS = {"/": "ID", "/start": "job_id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much of it, and of what.

    Attributes:
        make_plan: A job by its name.
        make_follower: An attacher of a job.
        feed: Gives a job its standard input, to the end of it; needed where a plan has some.
        jobs_limit_count: No more jobs than these.
        pause_s: Longest pause of a submitter between two.
        follow_pause_s: Longest pause of an attacher between two.
        open_limit_count: Submitters wait while more jobs are open.
    """

    make_plan: Callable[[str], Plan]
    make_follower: Callable[[str], Follower]
    feed: Callable[[Plan, str], Awaitable[None]] | None = None
    submitters_count: int = 5
    attachers_count: int = 4
    jobs_limit_count: int | None = None
    pause_s: float = 0.04
    follow_pause_s: float = 0.0
    open_limit_count: int = 30


@dataclass(slots=True, kw_only=True)
class Traffic:
    """What a campaign's clients share.

    Attributes:
        sent: Each job sent, by its name.
        followers: Those that have come to their end.
        done: No more is to be sent.
    """

    link: Link
    events: Events
    rnd: random.Random
    verdict: Verdict
    load: Load
    sent: dict[str, Sent] = field(default_factory=dict)
    followers: list[Follower] = field(default_factory=list)
    done: bool = False
    _ids: list[str] = field(default_factory=list)

    def start(self, nursery: trio.Nursery) -> None:
        """Begin; the nursery ends when ``done`` is set and what was begun is finished."""
        for _ in range(self.load.submitters_count):
            nursery.start_soon(self._submit_all, nursery)
        for _ in range(self.load.attachers_count):
            nursery.start_soon(self._attach_all)

    @property
    def full(self) -> bool:
        """Whether all jobs that there may be were sent."""
        return self.load.jobs_limit_count is not None and len(self.sent) >= self.load.jobs_limit_count

    async def _submit_all(self, nursery: trio.Nursery) -> None:
        while not (self.done or self.full):
            name = f"jdt-{len(self.sent):06d}"
            sent = self.sent[name] = Sent(self.load.make_plan(name))
            await self._submit(sent)
            if sent.ids and sent.plan.halt is not None:
                nursery.start_soon(self.halt, sent, next(iter(sent.ids)))
            if sent.ids and sent.plan.feed and self.load.feed is not None:
                nursery.start_soon(self.load.feed, sent.plan, next(iter(sent.ids)))
            await trio.sleep(self.rnd.random() * self.load.pause_s)
            await self._room()

    async def _room(self) -> None:
        """Wait while very many jobs are open: the queue is to be used, not to grow without end."""
        with trio.move_on_after(_ROOM_LIMIT_S):
            await self.events.wait_for(lambda events: self.done or len(events.open) <= self.load.open_limit_count)

    async def _submit(self, sent: Sent) -> None:
        """Send a job: with a key until it is acknowledged, and sometimes once more; without one only once."""
        plan = sent.plan
        headers = {"Idempotency-Key": plan.name} if plan.keyed else {}
        again = plan.keyed and self.rnd.random() < 0.1
        while True:
            sent.sends_count += 1
            try:
                status, body = await self.link.ask("POST", plan.path, plan.body, headers)
            except BrokenError:
                if plan.keyed:
                    continue
                return
            if plan.path == "/start" and (status, body) == (500, _AWAY):
                sent.refused = True
                return
            if status not in (200, 201):
                self.verdict.fault("answers", f"{plan.name}: {status} {body!r}")
                return
            sent.ids.add(json.loads(body)[_ID_FIELDS.get(plan.path, "id")])
            if not again:
                self._ids.extend(sent.ids)
                return
            again = False

    async def halt(self, sent: Sent, job_id: str) -> None:
        """Stop a job, and see to it until the server has taken it."""
        halt = sent.plan.halt
        assert halt is not None
        sent.halting = True
        await trio.sleep(halt.delay_s)
        while halt.wait_ready:
            _, body = await self.link.insist("GET", f"/v1/jobs/{job_id}/output")
            if b"ready" in body or self.events.ended(job_id):
                break
            await trio.sleep(0.05)
        while True:
            status, body = await self.link.insist(*_halting(halt, sent.plan, job_id))
            if halt.how != "scheduler" or (status, body) != (500, _AWAY):
                break
            await trio.sleep(0.2)
        if status not in (200, 202):
            self.verdict.fault("answers", f"{sent.plan.name}: stop: {status} {body!r}")

    async def _attach_all(self) -> None:
        while not self.done:
            if not self._ids:
                await trio.sleep(0.05)
                continue
            each = self.load.make_follower(self.rnd.choice(self._ids[-_FRESH_COUNT:]))
            try:
                await each.run(self.link)
            except* (AssertionError, trio.TooSlowError) as group:
                text = f"{each.over} {each.stream} {each.job_id} after {len(each.data)} bytes: {group.exceptions!r}"
                self.verdict.fault("attach", text)
            else:
                self.followers.append(each)
            await trio.sleep(self.rnd.random() * self.load.follow_pause_s)

    # When it is over

    async def drain(self) -> None:
        """Stop what nobody else can, since it was never acknowledged, and wait until no job is left."""
        while True:
            _, body = await self.link.insist("GET", f"/v1/jobs?state=queued,starting,running&limit={_PAGE_COUNT}")
            rows = json.loads(body)["items"]
            if not rows:
                return
            async with trio.open_nursery() as nursery:
                for row in rows:
                    name = NAME.search(row["command"])
                    sent = self.sent.get(name[0]) if name else None
                    if sent is not None and sent.plan.halt is not None and not sent.halting:
                        nursery.start_soon(self.halt, sent, row["id"])
            await trio.sleep(0.1)

    async def rows(self) -> list[Row]:
        """All jobs, as the server tells them."""
        rows: list[Row] = []
        cursor: str | None = ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            _, body = await self.link.insist("GET", f"/v1/jobs?sort=created&limit={_PAGE_COUNT}{more}")
            page: dict[str, Any] = json.loads(body)
            rows += page["items"]
            cursor = page["next"]
        return rows

    async def told(self, rows: list[Row]) -> None:
        """Wait until the events have told the end of all these."""
        await self.events.wait_for(lambda events: all(events.told(row) for row in rows))


def _halting(halt: Halt, plan: Plan, job_id: str) -> tuple[str, str, Any]:
    """Method, path and body by which a job is stopped."""
    if halt.how == "delete":
        return "DELETE", f"/{job_id}", None
    if halt.how == "scheduler":
        return "POST", "/stop", {"worker_id": plan.body["worker_id"], "job_id": job_id}
    return "POST", f"/v1/jobs/{job_id}/stop", {}
