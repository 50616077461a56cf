"""Clients of the workers' crash test: ``jobdeck_client``, as any program would use it, over links that break."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import trio

from jobdeck_client import Client, ClientError, EndedError
from jobdeck_protocol.attach import Exit, Hello, Output
from tests.e2e.crash_clients import ATTACH_LIMIT_S, Link
from tests.e2e.crash_kinds import Plan

_PIECE_BYTES = 7_000  # of standard input


@dataclass(slots=True, kw_only=True)
class ClientFollower:
    """A reader of a job's output by the client library, which mends its link by itself; see ``crash_clients.Attach``.

    Attributes:
        client: Shared by all.
        limit_s: Within which the job must have come to its end.
    """

    client: Client
    job_id: str
    over: str = "client"
    stream: str | None = None
    data: bytearray = field(default_factory=bytearray)
    links_count: int = 0
    end: Mapping[str, str] | None = None
    limit_s: float = ATTACH_LIMIT_S

    async def run(self, link: Link) -> None:
        """Read to the end.

        Raises:
            trio.TooSlowError: It never came.
            AssertionError: A message made no sense, or the client gave up.
        """
        await link.up.wait()
        try:
            with trio.fail_after(self.limit_s):
                async with self.client.attach(self.job_id, stream=self.stream, patient=True) as attach:
                    async for message in attach:
                        self._take(message)
        except ClientError as error:
            raise AssertionError(f"{type(error).__name__}: {error}") from error
        assert self.end is not None, "it stopped without an end"

    def _take(self, message: object) -> None:
        if isinstance(message, Hello):
            self.links_count += 1
        elif isinstance(message, Output):
            assert self.stream or not message.data or message.offset == len(self.data), (message.offset, len(self.data))
            self.data += message.data
        elif isinstance(message, Exit):
            found = {"state": message.state.value, "exit-code": message.code, "signal": message.signal}
            self.end = {f"jobdeck-{name}": str(value) for name, value in found.items() if value is not None}


async def feed(client: Client, plan: Plan, job_id: str) -> None:
    """Write a job's standard input, to its end, and wait for the job's; a job that has ended takes none."""
    async with client.attach(job_id, patient=True) as attach, trio.open_nursery() as nursery:

        async def write() -> None:
            try:
                for at in range(0, len(plan.feed), _PIECE_BYTES):
                    await attach.send_stdin(plan.feed[at : at + _PIECE_BYTES])
                await attach.send_eof()
            except EndedError:
                pass

        nursery.start_soon(write)
        async for _ in attach:
            pass
        nursery.cancel_scope.cancel()
