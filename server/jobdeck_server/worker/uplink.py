"""The worker's connection to its server: one after the other, for as long as the program lives.

``Uplink`` owns the talk over a connection: one task receives and has orders carried out, one says what the agent has
to say, one watches the time. Jobs do not depend on it. What ends a connection decides what comes next: another one
after a growing random delay, or after a fixed one, or none (``DismissedError``), where only a person can help.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import random
import time
from typing import TYPE_CHECKING

import trio

from jobdeck_client.errors import ClientError, LinkClosed, NotAllowedError
from jobdeck_client.link import Target, talk_over
from jobdeck_client.nursery import helpers
from jobdeck_client.trust import Trust
from jobdeck_protocol.errors import (
    CLOSE_FORGOTTEN,
    CLOSE_GOING_AWAY,
    CLOSE_IDENTITY,
    CLOSE_NORMAL,
    CLOSE_REPLACED,
    CLOSE_UNAUTHORIZED,
    CLOSE_VERSION,
    RemoteWireError,
)
from jobdeck_protocol.worker import FINAL_CLOSES, SUBPROTOCOL, Beat, Drain
from jobdeck_protocol.workerevents import Read, Silent, Welcomed

if TYPE_CHECKING:
    from pathlib import Path

    from jobdeck_client.link import Link
    from jobdeck_protocol.workeragent import WorkerAgent
    from jobdeck_protocol.workerevents import AgentEvent
    from jobdeck_server.worker.bell import Bell
    from jobdeck_server.worker.jobfiles import JobFiles
    from jobdeck_server.worker.jobs import WorkerJobs
    from jobdeck_server.worker.lives import Lives
    from jobdeck_server.worker.reports import Reports
    from jobdeck_server.worker.settings import WorkerSettings

_log = logging.getLogger("jobdeck.worker")
_PATH = "/v1/worker"
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_LATE_S = 0.05  # between two looks at the clock while what is due cannot be sent
_FINAL = {
    CLOSE_VERSION: "the server speaks another version of the worker channel",
    CLOSE_IDENTITY: "the server refuses this worker",
    CLOSE_REPLACED: "another program has joined as this very worker",
}


class DismissedError(Exception):
    """The server will not have this worker, now or later, unless somebody does something; a sentence for a person."""


class TokenError(Exception):
    """The file of the token cannot be read, or holds none; a sentence for a person."""


class Uplink:
    """See the top of this file.

    Args:
        agent: Speaks.
        jobs: Carry out orders.
        reports: What has become of jobs.
        files: What pieces are read from.
        lives: Written when a server accepts one.
        bell: Rung by all who have changed what the agent has to say.
        settings: Of the worker.
        data_dir: Whose free space is told.

    Attributes:
        down_since_s: When the last connection ended, None while there is one that the server has welcomed.
    """

    def __init__(
        self,
        agent: WorkerAgent,
        jobs: WorkerJobs,
        reports: Reports,
        files: JobFiles,
        lives: Lives,
        bell: Bell,
        settings: WorkerSettings,
        *,
        data_dir: Path,
    ) -> None:
        self._agent = agent
        self._jobs = jobs
        self._reports = reports
        self._files = files
        self._lives = lives
        self._bell = bell
        self._settings = settings
        self._data_dir = data_dir
        self._url = url_of(settings.server)
        self.down_since_s: float | None = trio.current_time()
        self._delay_s = settings.retry_first_s
        self._up_since_s: float | None = None  # of the newest connection
        self._said: tuple[str, float] | None = None
        self._found: RemoteWireError | None = None  # for which this end has closed
        self._spoken = trio.Event()

    async def run(self) -> None:
        """Dial, talk, and again, until cancelled.

        Raises:
            DismissedError: See there.
        """
        while True:
            self._found = None
            error: ClientError | TokenError | OSError | None = None
            try:
                await talk_over(self._target(), self._talk)
            except (ClientError, TokenError, OSError) as found:  # the last: its lives could not be written
                error = found
            await trio.sleep(self._judge(error))

    async def spoken(self) -> None:
        """Wait until all that can be said now is said; at once if there is nobody to say it to."""
        if self.down_since_s is None:
            self._spoken = trio.Event()
            self._bell.ring()
            await self._spoken.wait()

    def _target(self) -> Target:
        """Where to dial, with the token as it stands in its file now."""
        token, settings = read_token(self._settings.token_file), self._settings
        trust = Trust(ca=settings.ca_file, cert=settings.client_cert, key=settings.client_key)
        headers = () if token is None else ((b"authorization", b"Bearer " + token),)
        return Target(url=self._url, subprotocol=SUBPROTOCOL, headers=headers, trust=trust)

    # -- one connection --

    async def _talk(self, link: Link) -> None:
        number = self._agent.connected(trio.current_time(), _clock_us())
        try:
            async with helpers() as nursery:
                nursery.start_soon(self._say_all, link, number)
                nursery.start_soon(self._keep_time, nursery.cancel_scope)
                while True:
                    data = await link.receive()
                    for event in self._agent.receive(number, data, trio.current_time()):
                        await self._heed(event, number)
                    self._bell.ring()
        except RemoteWireError as error:
            self._found = error
            raise
        finally:
            self._agent.disconnected(number)
            if self.down_since_s is None:
                self.down_since_s = trio.current_time()
            self._spoken.set()
            self._bell.ring()

    async def _heed(self, event: AgentEvent, number: int) -> None:
        match event:
            case Welcomed():
                await self._welcomed(event, number)
            case Drain():
                self._say_draining(on=event.on)
            case Silent():
                pass  # told by ``tick`` alone
            case _:
                self._jobs.heed(event)

    async def _welcomed(self, event: Welcomed, number: int) -> None:
        welcome = event.welcome
        if welcome.all:
            _log.warning("the server was restored from a backup and asks for all jobs on record")
            await self._reports.recover(released=True)
        await trio.to_thread.run_sync(self._lives.welcomed, welcome.life, welcome.server_life)
        self._agent.settled(number)
        self.down_since_s, self._said = None, None
        self._up_since_s = trio.current_time()
        _log.info("linked to %s", self._settings.server)
        if welcome.draining:
            self._say_draining(on=True)

    def _say_draining(self, *, on: bool) -> None:
        _log.info("the server wants this worker to take %s", "no new jobs" if on else "new jobs again")

    async def _say_all(self, link: Link, number: int) -> None:
        """Say what there is to say; who receives hears of the end of the connection, and knows why."""
        with contextlib.suppress(ClientError):
            while True:
                event = self._bell.event  # taken before the look
                while (item := await self._next(number)) is not None:
                    data = await self._fill(item) if isinstance(item, Read) else item
                    if data is not None:
                        await link.send(data)
                self._spoken.set()
                await event.wait()

    async def _next(self, number: int) -> bytes | Read | None:
        """What is to be said next; a beat that is due tells how things are now."""
        due_s = self._agent.due_s()
        if due_s is not None and due_s <= trio.current_time():
            load, free_bytes = await trio.to_thread.run_sync(_sample, self._data_dir)
            running = self._jobs.running_count
            self._agent.beat = Beat(running=running, load=load, free_bytes=free_bytes, clock_us=_clock_us())
        return self._agent.send(number, trio.current_time())

    async def _fill(self, read: Read) -> bytes | None:
        found = self._files.read(read.job_id, read.part, wait=False)
        if found is None:
            found = await trio.to_thread.run_sync(self._files.read, read.job_id, read.part)
        if found is None:
            _log.warning("job %s: its files, or the end of them, do not exist any more", read.job_id)
            self._agent.unreadable(read)
            return None
        return self._agent.fill(read, *found)

    async def _keep_time(self, scope: trio.CancelScope) -> None:
        """Have said what is due by the clock, and end a connection over which nothing comes any more."""
        while True:
            event = self._bell.event
            now_s = trio.current_time()
            if self._agent.tick(now_s):
                _log.warning("nothing was heard of the server for three beats")
                scope.cancel()
                return
            due_s = self._agent.due_s()
            # what is due and cannot be sent, since the connection is stuck, is no reason to look all the time
            with trio.move_on_at(math.inf if due_s is None else max(due_s, now_s + _LATE_S)) as pause:
                await event.wait()
            if pause.cancelled_caught:
                self._bell.ring()

    # -- between two --

    def _judge(self, error: ClientError | TokenError | OSError | None) -> float:
        """Say what has ended a connection, or was in the way of one.

        Returns:
            Seconds until the next.

        Raises:
            DismissedError: There is to be none.
        """
        code = error.code if isinstance(error, LinkClosed) else self._found.close_code if self._found else None
        status = error.status if isinstance(error, NotAllowedError) else None
        if code in FINAL_CLOSES:
            raise DismissedError(_sentence(_FINAL[code], self._found or error))
        if status == _FORBIDDEN:
            raise DismissedError(_sentence("the server refuses this token: it must be one of the role worker", error))
        if status == _UNAUTHORIZED and self._settings.token_file is None:
            raise DismissedError("the server asks for a token: give the file of one of the role worker (--token-file)")
        if status == _UNAUTHORIZED or code == CLOSE_UNAUTHORIZED:
            again_s = self._settings.refused_retry_s
            self._say(f"{_sentence('the server does not know this token', error)}; trying again every {again_s:g} s")
            return again_s
        if code == CLOSE_FORGOTTEN:
            self._say("the server has forgotten this worker; it will join as a new one")
            return self._settings.forgotten_retry_s
        if isinstance(error, TokenError):
            self._say(str(error))
            return self._settings.refused_retry_s
        if code in (CLOSE_GOING_AWAY, CLOSE_NORMAL):
            self._say("the server has ended the connection; trying again")
        elif error is not None:
            self._say(f"{str(error).rstrip('.')}. Trying again.")
        return self._next_delay_s()

    def _next_delay_s(self) -> float:
        up_since_s, self._up_since_s = self._up_since_s, None
        if up_since_s is not None and trio.current_time() - up_since_s >= self._settings.steady_s:
            self._delay_s = self._settings.retry_first_s
        delay_s, self._delay_s = self._delay_s, min(2 * self._delay_s, self._settings.retry_limit_s)
        return delay_s * random.uniform(0.5, 1.0)  # spreads workers, guards nothing

    def _say(self, text: str) -> None:
        """Log a trouble, the same one only every so often."""
        now_s = trio.current_time()
        if self._said is None or self._said[0] != text or now_s - self._said[1] >= self._settings.say_again_s:
            self._said = (text, now_s)
            _log.warning("%s", text)


def url_of(server: str) -> str:
    """Where to dial: ``http`` becomes ``ws``, and the path is the channel's."""
    scheme, _, rest = server.partition("://")
    return f"{'wss' if scheme in ('https', 'wss') else 'ws'}://{rest.rstrip('/')}{_PATH}"


def read_token(path: Path | None) -> bytes | None:
    """The token in a file; None without a file. Blocks, for a moment.

    Raises:
        TokenError: It cannot be read, or holds none.
    """
    if path is None:
        return None
    try:
        token = path.read_bytes().strip()
    except OSError as error:
        raise TokenError(f"the token cannot be read: {path}: {error.strerror}") from error
    if not token or not token.isascii() or any(byte <= 0x20 for byte in token):
        raise TokenError(f"{path} holds no token")
    return token


def _sentence(text: str, error: Exception | None) -> str:
    reason = error.reason if isinstance(error, LinkClosed) else "" if error is None else str(error)
    return f"{text}: {reason}" if reason else text


def _clock_us() -> int:
    return time.time_ns() // 1000


def _sample(data_dir: Path) -> tuple[float | None, int | None]:
    """Load average over a minute, and free bytes of the data directory. Blocks."""
    try:
        room = os.statvfs(data_dir)
        return os.getloadavg()[0], room.f_bavail * room.f_frsize
    except OSError:
        return None, None
