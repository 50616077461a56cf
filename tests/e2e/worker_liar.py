"""A worker by hand: a raw WebSocket to a real server, on which anything may be said.

What an honest one would say in the same place is at hand as well (``Liar.open``, ``started``), so that a lie comes
where it hurts: after a welcome, about a job that was given.
"""

from __future__ import annotations

import contextlib
import json
import random
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, TypeVar

import cbor2
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream

from jobdeck_protocol.message import Message
from jobdeck_protocol.worker import SERVER_KINDS, SUBPROTOCOL, Have, Hello, Kept, Welcome, decode, encode
from jobdeck_protocol.workerorders import Start, Want
from jobdeck_protocol.workerreports import State
from tests.e2e.worker_fleet import Fleet, make_token

M = TypeVar("M")
LIMIT_S = 40.0
_LOOK_S = 0.05


def now_us() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


async def blocking(call: Callable[..., Any], *words: Any, **more: Any) -> Any:
    """A call that blocks, in a thread."""
    return await trio.to_thread.run_sync(partial(call, *words, **more))


async def ask(fleet: Fleet, method: str, path: str, **fields: object) -> Any:
    """What the server answers to an admin, as JSON."""
    body = json.dumps(fields) if fields else None
    status, _, answer = await blocking(fleet.server.ask, method, path, body)
    assert status < 300, (status, answer)
    return json.loads(answer) if answer else None


async def record(fleet: Fleet, job_id: str, *states: str) -> dict[str, Any]:
    """A job's record; with states, once it has one of them.

    It says nothing of ``unreachable``: on a machine that is busy enough every worker is, for a moment.
    """
    with trio.fail_after(LIMIT_S):
        while True:
            found: dict[str, Any] = await ask(fleet, "GET", f"/v1/jobs/{job_id}")
            if not states or found["state"] in states:
                del found["unreachable"]
                return found
            await trio.sleep(_LOOK_S)


async def output_of(fleet: Fleet, job_id: str, expected: bytes) -> None:
    """Wait until the server has this output of a job, and see that it is this."""
    with trio.fail_after(LIMIT_S):
        while True:
            status, _, output = await blocking(fleet.server.ask, "GET", f"/v1/jobs/{job_id}/output")
            assert status == 200, output
            assert expected.startswith(output), (expected, output)
            if output == expected:
                return
            await trio.sleep(_LOOK_S)


class Liar:
    """One identity; ``dial`` makes a connection of it, and the newest one is talked on.

    Attributes:
        fleet: Whose server it talks to.
        worker: Its UUID.
        lives: As an honest worker would offer them.
        number: Of the next connection within its life.
        socket: The newest connection.
    """

    def __init__(self, fleet: Fleet, worker: str | None = None) -> None:
        self.fleet = fleet
        self.worker = worker or str(uuid.uuid4())
        self.lives: tuple[str, ...] = (str(uuid.uuid4()),)
        self.number = 0
        self.socket: WebSocketConnection

    @property
    def name(self) -> str:
        """What it says that it is called."""
        return f"liar-{self.worker[:8]}"

    def hello(self, **fields: Any) -> Hello:
        """Who it is; fields say otherwise."""
        self.number += 1
        honest: dict[str, Any] = {
            "worker": self.worker,
            "name": self.name,
            "slots": 8,
            "labels": ("liar",),
            "lives": self.lives,
            "number": self.number,
            "clock_us": now_us(),
        }
        return Hello(**{**honest, **fields})

    @contextlib.asynccontextmanager
    async def dial(
        self, *, token: str | None = None, tls: ssl.SSLContext | None = None, path: str = "/v1/worker"
    ) -> AsyncIterator[None]:
        """A connection on which nothing was said yet.

        Raises:
            ConnectionRejected: The server would not have it.
        """
        port = self.fleet.server.port
        secret = self.fleet.tokens["worker"] if token is None else token
        headers = [(b"Authorization", f"Bearer {secret}".encode())] if secret else []
        stream = await trio.open_ssl_over_tcp_stream(
            "127.0.0.1", port, https_compatible=True, ssl_context=tls or self.fleet.context
        )
        try:
            async with trio.open_nursery() as nursery:
                self.socket = await wrap_client_stream(
                    nursery, stream, f"127.0.0.1:{port}", path, subprotocols=[SUBPROTOCOL], extra_headers=headers
                )
                yield
                with contextlib.suppress(ConnectionClosed), trio.move_on_after(1):
                    await self.socket.aclose()
                nursery.cancel_scope.cancel()
        except* ConnectionRejected as group:
            rejected: BaseException = group
            while isinstance(rejected, BaseExceptionGroup):
                rejected = rejected.exceptions[0]
            raise rejected from None
        finally:
            await trio.aclose_forcefully(stream)

    @contextlib.asynccontextmanager
    async def open(self, *have: Kept, **fields: Any) -> AsyncIterator[Welcome]:
        """A connection that was welcomed and has told what it has; the fields are those of ``hello``."""
        async with self.dial():
            await self.say(self.hello(**fields))
            welcome = await self.hear(Welcome)
            await self.say(Have(jobs=have))
            yield welcome

    async def say(self, *said: Message | bytes | str | dict[str, Any]) -> None:
        """Send messages, raw bytes, a text, or any map."""
        with trio.fail_after(LIMIT_S):
            for each in said:
                data = (
                    encode(each) if isinstance(each, Message) else cbor2.dumps(each) if isinstance(each, dict) else each
                )
                await self.socket.send_message(data)

    async def hear(self, kind: type[M]) -> M:
        """The next message of a kind; others are passed over."""
        with trio.fail_after(LIMIT_S):
            while True:
                message = decode(SERVER_KINDS, await self.socket.get_message())
                if isinstance(message, kind):
                    return message

    async def closed(self, limit_s: float = LIMIT_S) -> tuple[int, str]:
        """Code and reason with which the server has closed the connection.

        Raises:
            trio.TooSlowError: It has not.
        """
        with trio.fail_after(limit_s), contextlib.suppress(ConnectionClosed):
            while True:
                await self.socket.get_message()
        assert self.socket.closed is not None
        return int(self.socket.closed.code), self.socket.closed.reason or ""

    async def given(self, **fields: object) -> str:
        """The id of a job that was submitted for it, and whose order has come."""
        job: dict[str, Any] = await ask(
            self.fleet, "POST", "/v1/jobs", **{"command": "echo never run", "worker": self.worker, **fields}
        )
        while (await self.hear(Start)).job_id != job["id"]:
            pass
        return str(job["id"])

    async def started(self, **fields: object) -> str:
        """The id of a job that was given to it, and of which it has said that it runs; the server wants its files."""
        job_id = await self.given(**fields)
        await self.say(State(job_id=job_id, started_us=now_us()))
        while (await self.hear(Want)).job_id != job_id:
            pass
        await record(self.fleet, job_id, "running")
        return job_id


def token_of(fleet: Fleet, role: str) -> str:
    """A new token."""
    return make_token(fleet.server.data_dir, role, f"{role}-more")


def mutated(rnd: random.Random, message: Message) -> bytes:
    """A message with something wrong in it: on the wire, or in what it says."""
    wire = message.to_map()
    choice = rnd.randrange(6)
    if choice < 3:
        field = rnd.choice(list(wire))
        if choice == 0:
            del wire[field]
        elif choice == 1:
            wire[field] = rnd.choice(_ODD)
        else:
            wire[rnd.choice(_WORDS)] = rnd.choice(_ODD)
        return cbor2.dumps(wire)
    data = bytearray(cbor2.dumps(wire))
    at = rnd.randrange(len(data))
    if choice == 3:
        data[at] ^= 1 << rnd.randrange(8)
    elif choice == 4:
        del data[at:]
    else:
        data[at:at] = rnd.randbytes(rnd.randrange(1, 9))
    return bytes(data)


_WORDS = ("kind", "job_id", "size", "offset", "data", "jobs", "", "more", "x" * 300)
_ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, 2**64 - 1, -(2**63), 1.5, float("nan"), float("inf"), "", "x", "\0", b"", b"x" * 70_000,
    [], {}, [[]], [None] * 2000, {"a": {"b": {"c": []}}}, "../../../etc/passwd", "x" * 70_000,
    "00000000-0000-4000-8000-000000000000",
)  # fmt: skip
