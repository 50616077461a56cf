"""The server's end of attach over WebSocket, for every job of every dialect.

``AttachChannel`` turns a handshake into an ``Upgrade``. With the subprotocol ``jobdeck.attach.v1`` three tasks
share one attach: one reads the client's messages, one tells changes of the job's record, one sends the output and, at
its end, the exit. Without a subprotocol the output goes out raw (see ``raw``).

An attach reads from the job's files at its own pace. What it holds is one message of at most 256 KiB while that is
being sent, and nothing while the client grants no credit: a client that never reads costs its socket's buffers.

The end is found in the order of ``OutputReader.more``: the record has ended first, the file's size second, so ``exit``
never comes before the last byte.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol import attach as wire
from jobdeck_protocol.errors import (
    CLOSE_NO_ATTACH,
    CLOSE_NORMAL,
    CLOSE_NOT_FOLLOWED,
    CLOSE_OFFSET,
    CLOSE_TRY_LATER,
    CLOSE_UNKNOWN_JOB,
    RemoteWireError,
)
from jobdeck_protocol.session import ServerSession
from jobdeck_server.channels import raw
from jobdeck_server.channels.delivery import Delivery, Outlet
from jobdeck_server.channels.streams import closing
from jobdeck_server.core import errors
from jobdeck_server.http.message import Role, Upgrade
from jobdeck_server.http.upgrade import SocketClosed, offered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.output import OutputReader
    from jobdeck_server.http.message import Identity, Request
    from jobdeck_server.http.upgrade import Socket

_WORDS: tuple[tuple[type[Exception], wire.Refusal], ...] = (
    (errors.BusyError, wire.Refusal.BUSY),
    (errors.ConflictError, wire.Refusal.CONFLICT),
    (errors.ForbiddenError, wire.Refusal.FORBIDDEN),
    (errors.UnsupportedError, wire.Refusal.UNSUPPORTED),
    (errors.BadRequestError, wire.Refusal.BAD),
    (errors.TooLargeError, wire.Refusal.BAD),
)


class AttachChannel:
    """All WebSocket attaches of a server."""

    def __init__(self, core: JobCore) -> None:
        self._core = core

    async def answer(self, request: Request, job_id: str) -> Upgrade:
        """What a WebSocket handshake on a job's attach address gets.

        Raises:
            CapacityError: There are as many attaches as there may be.
            UnknownJobError: There is no such job.
            BadRequestError, OffsetError, OutputGoneError: The query of a raw attach asks for what is not to be had.
        """
        core = self._core
        core.readers.take()()
        await core.get(job_id)
        if wire.SUBPROTOCOL in offered(request):
            identity = request.identity

            async def talk(socket: Socket) -> None:
                await Attachment(socket, core, job_id, identity).run()

            return self._upgrade(wire.SUBPROTOCOL, talk)
        wanted = raw.wanted(request)
        (await raw.opened(core, job_id, wanted)).close()

        async def pour(socket: Socket) -> None:
            await raw.pour(socket, core, job_id, wanted)

        return self._upgrade(None, pour)

    def _upgrade(self, subprotocol: str | None, run: Callable[[Socket], Awaitable[None]]) -> Upgrade:
        async def counted(socket: Socket) -> None:
            try:
                give_back = self._core.readers.take()
            except errors.CapacityError:  # many handshakes may have passed the first look at once
                await socket.close(CLOSE_TRY_LATER, "too many attaches")
                return
            try:
                await run(socket)
            finally:
                give_back()

        limit_bytes = self._core.settings.ws_message_limit_bytes
        return Upgrade(subprotocol=subprotocol, run=counted, message_limit_bytes=limit_bytes)


class Attachment:
    """One attach with the subprotocol, from handshake to close."""

    def __init__(self, socket: Socket, core: JobCore, job_id: str, identity: Identity) -> None:
        self._socket = socket
        self._core = core
        self._settings = core.settings
        self._job_id = job_id
        self._identity = identity
        self._session = ServerSession(credit_bytes=core.settings.attach_credit_default_bytes)
        self._outlet = Outlet(socket, self._session)
        self._stdin = ExitStack()  # holds the claim of standard input once this attach has it
        self._stdin_claimed = False
        self._close: tuple[int, str] | None = None  # how to close, if it is us who close
        self._told = trio.Event()  # the client knows the record of the ended job
        self._scope = trio.CancelScope()  # of the three tasks

    async def run(self) -> None:
        """Serve the attach; closes the socket unless the client did."""
        try:
            with self._stdin:
                await self._serve()
        except errors.UnknownJobError:
            self._close = (CLOSE_UNKNOWN_JOB, "the job was removed")
        except RemoteWireError as error:
            self._close = (error.close_code, str(error))
        except SocketClosed:
            return
        if self._close is not None:
            code, reason = self._close
            await self._socket.close(code, reason)

    async def _serve(self) -> None:
        if not await self._asked():
            self._close = (CLOSE_NO_ATTACH, "no attach message came")
            return
        with await self._core.output(self._job_id) as reader:
            job = reader.job
            size = reader.first if reader.gone else reader.size()
            await self._outlet.raw(self._session.hello(job, first=reader.first, size=size))
            assert self._session.asked is not None
            end = None if self._session.asked.follow else size
            delivery = Delivery(self._outlet, reader, self._settings)
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                nursery.start_soon(partial(self._part, partial(self._listen, delivery), ends_all=True))
                nursery.start_soon(self._part, partial(self._tell_changes, job))
                nursery.start_soon(self._part, partial(self._deliver, delivery, reader, end))

    async def _asked(self) -> bool:
        """Wait for the client's ``attach``; whether it came in time."""
        with trio.move_on_after(self._settings.head_timeout_s):
            while self._session.asked is None:
                self._session.receive(await self._socket.receive())
        return self._session.asked is not None

    async def _part(self, work: Callable[[], Awaitable[None]], *, ends_all: bool = False) -> None:
        """One task of the attach. A closed socket ends all of them quietly, a fault of the client with its code."""
        try:
            await work()
        except SocketClosed:
            # Those that send end quietly; what came before the close is still acted on, then ``_listen`` ends all.
            self._close = None
            if ends_all:
                self._scope.cancel()
        except errors.UnknownJobError:
            self._close = (CLOSE_UNKNOWN_JOB, "the job was removed")
            self._scope.cancel()
        except RemoteWireError as error:
            self._close = (error.close_code, str(error))
            # A message that is under way goes out whole, or the close could not be understood.
            with trio.move_on_after(self._settings.ws_close_timeout_s):
                await self._outlet.settle()
            self._scope.cancel()

    # -- what the client gets --

    async def _tell_changes(self, told: Job) -> None:
        async with closing(self._core.watch(self._job_id)) as changes:
            async for job in changes:
                if job == told:
                    continue
                if replace(told, note=job.note) == job:
                    await self._outlet.say(wire.Note(note=job.note))
                else:
                    await self._outlet.say(wire.State(job=job))
                told = job
        self._told.set()

    async def _deliver(self, delivery: Delivery, reader: OutputReader, end: int | None) -> None:
        first = reader.first
        if self._session.position < first:
            await self._outlet.say(wire.Gap(start=self._session.position, to=first, why=wire.Why.REMOVED))
        await delivery.run(end)
        job = reader.job
        kept = max(reader.size(), job.output_bytes if reader.gone else 0)
        position = self._session.position
        if not job.ended or (end is not None and position < kept):
            self._close = (CLOSE_NOT_FOLLOWED, job.state.value)
        elif position > kept:
            self._close = (CLOSE_OFFSET, f"offset {position} is beyond the end at {kept}")
        else:
            await self._exit(job, kept)
            self._close = (CLOSE_NORMAL, "")
        self._scope.cancel()

    async def _exit(self, job: Job, kept: int) -> None:
        say, position = self._outlet.say, self._session.position
        if position < kept:  # removed while it was being read
            await say(wire.Gap(start=position, to=kept, why=wire.Why.REMOVED))
        if job.dropped_bytes:
            await say(wire.Gap(start=kept, to=kept + job.dropped_bytes, why=wire.Why.LIMIT))
        await self._told.wait()
        await say(
            wire.Exit(
                code=job.exit_code,
                signal=job.signal,
                state=job.state,
                output_bytes=job.output_bytes,
                dropped_bytes=job.dropped_bytes,
                offset=kept,
            )
        )

    # -- what the client wants --

    async def _listen(self, delivery: Delivery) -> None:
        if await self._may_write():
            await self._try("stdin", self._ack)
        while True:
            message = self._session.receive(await self._socket.receive())
            match message:
                case wire.Credit():
                    delivery.credited()
                case wire.Stdin() | wire.Eof():
                    await self._try(message.kind, partial(self._input, message))
                case wire.Signal():
                    await self._try(message.kind, partial(self._signal, message))
                case wire.Resize():
                    text = "Jobs have no terminals here."
                    await self._outlet.say(wire.Error(error=wire.Refusal.UNSUPPORTED, about="resize", text=text))

    async def _try(self, about: str, act: Callable[[], Awaitable[None]]) -> None:
        """Do what was asked, or say why not."""
        try:
            await act()
        except errors.JobdeckError as error:
            word = next((word for kind, word in _WORDS if isinstance(error, kind)), wire.Refusal.FAILED)
            await self._outlet.say(wire.Error(error=word, about=about, text=str(error)))
        except OSError as error:  # the disk is full
            text = f"It could not be kept: {error.strerror}."
            await self._outlet.say(wire.Error(error=wire.Refusal.FAILED, about=about, text=text))

    async def _may_write(self) -> bool:
        job = await self._core.get(self._job_id)
        return job.stdin and not job.ended and self._identity.may(Role.RUN)

    def _must_be_allowed(self) -> None:
        if not self._identity.may(Role.RUN):
            raise errors.ForbiddenError("This token may only look.")

    async def _signal(self, message: wire.Signal) -> None:
        self._must_be_allowed()
        await self._core.signal(self._job_id, message.signal)

    async def _input(self, message: wire.Stdin | wire.Eof) -> None:
        self._must_be_allowed()
        if not self._stdin_claimed:
            self._stdin.enter_context(self._core.stdin.claim(self._job_id))
            self._stdin_claimed = True
        if isinstance(message, wire.Eof):
            await self._core.stdin.eof(self._job_id, message.offset)
        else:
            upto = await self._core.stdin.write(self._job_id, message.offset, message.data)
            await self._outlet.say(wire.StdinAck(upto=upto, window=self._settings.stdin_window_bytes))

    async def _ack(self) -> None:
        """Tell where standard input stands: a client that comes back goes on there."""
        upto = await self._core.stdin.write(self._job_id, 0, b"")
        await self._outlet.say(wire.StdinAck(upto=upto, window=self._settings.stdin_window_bytes))
