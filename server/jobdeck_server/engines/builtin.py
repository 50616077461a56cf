"""The built-in executor: the engine of this machine, which also runs bundles and classes out of packages.

For these there is work to do before a program starts and after it has ended: files are laid out, results are kept. A
job's engine name says whose work that is (``shop``); jobs of no shop pass through untouched. In between it is a job
like any other: it outlives the server, and the keeper has its truth.

All of it may be cut at any moment and done again. Before: no claim of the keeper, so nothing has run; the files are
laid out anew. After: the job's end reaches the core only together with its results, so a server that comes back finds
a job that runs for the core and has ended for the keeper, and collects again; blobs that are there already are the
same blobs. The files go when the core has committed the end.
"""

from __future__ import annotations

import errno
import logging
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core.bundles.errors import StoppedError
from jobdeck_server.core.errors import CapacityError, JobdeckError, NoSpaceError
from jobdeck_server.core.live import now_us
from jobdeck_server.core.store import StoreError
from jobdeck_server.engines.base import Ended, Launch, Noted, Planned, Started
from jobdeck_server.engines.shelf import AwayError
from jobdeck_server.engines.workfiles import StatusError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from jobdeck_server.engines.base import PlainEngine, Report, Sink, Stop
    from jobdeck_server.engines.shop import Shop

_log = logging.getLogger("jobdeck.executor")
_RETRY_S = 2.0
_AWAY_FIRST_S, _AWAY_LIMIT_S = 0.25, 30.0
_BUSY_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO})
_SWEEP_S = 30.0


class _Making:
    """A job that is being made ready."""

    def __init__(self) -> None:
        self.cancelled = False
        self.scope = trio.CancelScope()
        self.over = trio.Event()

    def cancel(self) -> None:
        self.cancelled = True  # a thread at work looks at this
        self.scope.cancel()


class _Following:
    """A running job of which its shop tells more than the local engine does."""

    def __init__(self) -> None:
        self.program_ended = trio.Event()
        self.over = trio.Event()


class BuiltinExecutor:
    """See ``engines.base.Engine``.

    Args:
        local: What runs programs; belongs to this from here on.
        shops: What is done before and after, by the name of the engine that jobs have of which it is done.
        patience_s: How long to try to keep results, when there is no room or too much else to do.
    """

    name = "local"

    def __init__(self, local: PlainEngine, shops: Mapping[str, Shop], *, patience_s: float) -> None:
        self._local = local
        self._shops = shops
        self._patience_s = patience_s
        self.capacity_count = local.capacity_count
        self._sink: Sink | None = None
        self._nursery: trio.Nursery | None = None
        self._making: dict[str, _Making] = {}
        self._made: dict[str, Launch] = {}  # handed on to the local engine, which may be asked again
        self._following: dict[str, _Following] = {}
        self._collecting: dict[str, trio.Event] = {}  # set when they are waited for no longer
        self._ends: dict[str, Ended] = {}  # told with their results, and not committed yet
        self._known = trio.Event()  # the core has taken in the jobs that it found
        self._tidying = trio.Lock()  # held while files are removed of a job that may be given again at any moment
        self._ending = False

    # -- as an engine --

    async def run(self, sink: Sink, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the local engine and the work around it."""
        self._sink = sink
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self._local.run, self)
            nursery.start_soon(self._sweep)
            nursery.start_soon(self._hear_end)
            task_status.started()

    async def _hear_end(self) -> None:
        """Tell threads at work, which cannot be cancelled, when the server ends."""
        try:
            await trio.sleep_forever()
        finally:
            self._ending = True

    def submit(self, launch: Launch) -> None:
        """Start a program, or make a shop's job ready and start it then.

        One that was made ready is never made anew: it may be asked for again (the keeper was lost and came back) when
        its program runs already, in the very files.
        """
        shop = self._shops.get(launch.engine)
        if shop is None:
            self._local.submit(launch)
        elif launch.job_id in self._made:
            self._local.submit(self._made[launch.job_id])
        elif launch.job_id in self._making or launch.job_id in self._collecting:
            return
        elif self._nursery is not None and not self._ending:  # else the next server starts it
            self._making[launch.job_id] = _Making()
            self._nursery.start_soon(self._make, shop, launch)

    async def stop(self, job_id: str, stop: Stop) -> None:
        """Stop a job; one that is being made ready never runs, and results that cannot be kept now are given up."""
        making = self._making.get(job_id)
        if making is not None:
            making.cancel()
            await making.over.wait()
        if job_id in self._collecting:
            self._collecting[job_id].set()
        await self._local.stop(job_id, stop)

    async def signal(self, job_id: str, signum: int) -> bool:
        """Send a signal."""
        return await self._local.signal(job_id, signum)

    async def input(self, job_id: str, *, eof_bytes: int | None) -> None:
        """Tell of standard input."""
        await self._local.input(job_id, eof_bytes=eof_bytes)

    async def status(self, job_ids: Collection[str]) -> Mapping[str, Report | None]:
        """What is known of each; a shop's job whose results are to be collected still runs."""
        found = dict(await self._local.status(job_ids))
        for job_id, report in found.items():
            if job_id in self._making:
                found[job_id] = Noted(note=None)
            elif isinstance(report, Started):
                self._follow_soon(job_id)
            elif job_id in self._ends:
                found[job_id] = self._ends[job_id]
            elif isinstance(report, Ended) and self._has_results(job_id, report):
                self._collect_soon(job_id, report)
                started_us = report.started_us
                found[job_id] = Noted(note=None) if started_us is None else Started(started_us=started_us, step=0)
        return found

    async def forget(self, job_id: str) -> None:
        """Remove all that is kept of a job."""
        for shop in self._shops.values():
            await shop.clear(job_id)
        await self._local.forget(job_id)

    async def forget_output(self, job_id: str) -> None:
        """Remove a job's output."""
        await self._local.forget_output(job_id)

    async def kept(self) -> Collection[str]:
        """The jobs of which something is kept; asked once the core has taken in those that it found."""
        self._known.set()
        return await self._local.kept()

    def follow(self, job_id: str) -> Path:
        """The job's folder."""
        return self._local.follow(job_id)

    # -- as the local engine's sink --

    def report(self, job_id: str, report: Report) -> None:
        """Pass on what the local engine tells; the end of a shop's job waits for its results."""
        if isinstance(report, Ended) and self._has_results(job_id, report):
            self._collect_soon(job_id, report)
            return
        if isinstance(report, Started):
            self._follow_soon(job_id)
        elif isinstance(report, Ended):
            self._let_go(job_id)
        self._tell(job_id, report)

    async def resync(self) -> None:
        """Pass it on."""
        if self._sink is not None:
            await self._sink.resync()

    def engine_of(self, job_id: str) -> str | None:
        """Pass it on."""
        return None if self._sink is None else self._sink.engine_of(job_id)

    async def committed(self, job_id: str) -> None:
        """Pass it on."""
        if self._sink is not None:
            await self._sink.committed(job_id)

    def _tell(self, job_id: str, report: Report) -> None:
        if self._sink is not None:
            self._sink.report(job_id, report)

    def _has_results(self, job_id: str, report: Ended) -> bool:
        return report.how in ("exit", "error") and self._shop_of(job_id) is not None

    def _shop_of(self, job_id: str) -> Shop | None:
        return self._shops.get(self.engine_of(job_id) or "")

    def _let_go(self, job_id: str) -> None:
        """A job has ended: forget what it took to run it."""
        self._made.pop(job_id, None)
        following = self._following.pop(job_id, None)
        if following is not None:
            following.program_ended.set()

    # -- before --

    async def _make(self, shop: Shop, launch: Launch) -> None:
        """Make a job ready and have it started; of one that is not, nothing is left."""
        job_id = launch.job_id
        making = self._making[job_id]
        try:
            with making.scope:
                async with self._tidying:
                    pass  # from here on whoever tidies up knows of the job
                await self._start(shop, launch, making)
            if job_id not in self._made and not self._ending:
                await shop.clear(job_id)
        finally:
            del self._making[job_id]
            making.over.set()

    async def _start(self, shop: Shop, launch: Launch, making: _Making) -> None:
        job_id = launch.job_id
        try:
            made = await shop.prepare(launch, cancelled=lambda: making.cancelled or self._ending)
        except StoppedError:
            _log.info("job %s: stopped before it was started", job_id)
        except StatusError as error:
            self._fail(job_id, str(error), was_started=error.was_started)
        except (JobdeckError, StoreError, OSError) as error:
            self._fail(job_id, f"{shop.unready}: {error}", was_started=False)
        except Exception as error:  # noqa: BLE001  # one job must not end the server, now and at each of its starts
            _log.exception("job %s", job_id)
            self._fail(job_id, f"{shop.unready}: {error!r}", was_started=False)
        else:
            self._tell(job_id, Planned(steps=made.steps))
            ready = self._made[job_id] = replace(launch, spec=made.spec)
            self._local.submit(ready)

    def _fail(self, job_id: str, text: str, *, was_started: bool) -> None:
        _log.info("job %s: %s", job_id, text)
        when = now_us()
        self._tell(job_id, Ended(how="error", text=text, started_us=when if was_started else None, finished_us=when))

    # -- meanwhile --

    def _follow_soon(self, job_id: str) -> None:
        shop = self._shop_of(job_id)
        if job_id not in self._collecting and shop is not None:
            self._follower(shop, job_id)

    def _follower(self, shop: Shop, job_id: str) -> _Following:
        following = self._following.get(job_id)
        if following is None:
            following = self._following[job_id] = _Following()
            if self._nursery is not None:
                self._nursery.start_soon(self._follow, shop, job_id, following)
        return following

    async def _follow(self, shop: Shop, job_id: str, following: _Following) -> None:
        try:
            await shop.follow(job_id, following.program_ended, partial(self._tell, job_id))
        except (JobdeckError, StoreError, OSError, StatusError) as error:
            _log.warning("job %s: %s: %s", job_id, shop.unfollowed, error)
        except Exception:  # noqa: BLE001  # nor must what it says
            _log.exception("job %s: %s", job_id, shop.unfollowed)
        finally:
            following.over.set()

    # -- after --

    def _collect_soon(self, job_id: str, ended: Ended) -> None:
        shop = self._shop_of(job_id)
        if job_id not in self._collecting and self._nursery is not None and shop is not None:
            self._collecting[job_id] = trio.Event()
            self._nursery.start_soon(self._collect, shop, job_id, ended)

    async def _collect(self, shop: Shop, job_id: str, ended: Ended) -> None:
        """Keep a job's results, then let its end be known."""
        if ended.started_us is not None:  # of a short one nothing else may have been told
            self._tell(job_id, Started(started_us=ended.started_us, step=0))
        following = self._follower(shop, job_id)  # a server that came back after the end has none yet
        following.program_ended.set()
        await following.over.wait()
        self._let_go(job_id)
        try:
            ended = await self._results(shop, job_id, ended)
        except StoppedError:
            return  # the server ends; the next one collects
        except StatusError as error:
            _log.warning("job %s: %s", job_id, error)
            # What a failed or stopped job left is lost, and still it ended as it did.
            if ended.how == "exit" and ended.code == 0:
                ended = replace(ended, how="error", code=None, text=str(error))
        self._ends[job_id] = ended
        self._tell(job_id, ended)
        await self.committed(job_id)
        del self._collecting[job_id], self._ends[job_id]
        await shop.clear(job_id)

    async def _results(self, shop: Shop, job_id: str, ended: Ended) -> Ended:
        """Collect them, again and again for as long as there is only something in the way that may pass.

        Returns:
            The end, with them.

        Raises:
            StatusError: They cannot be kept.
            StoppedError: The server ends.
        """
        until_s, away_s = trio.current_time() + self._patience_s, _AWAY_FIRST_S
        given_up = self._collecting[job_id]
        while True:
            try:
                return await shop.collect(job_id, ended, cancelled=lambda: self._ending)
            except (StoppedError, StatusError):
                raise
            except AwayError as error:
                if given_up.is_set():
                    raise StatusError(shop.unkept, str(error)) from error
                self._tell(job_id, Noted(note=f"results wait for the server: {error}"))
                pause_s, away_s = away_s, min(2 * away_s, _AWAY_LIMIT_S)
                until_s = trio.current_time() + self._patience_s
            except (JobdeckError, StoreError, OSError) as error:
                pause_s = _RETRY_S
                if given_up.is_set() or trio.current_time() >= until_s or not _may_pass(error):
                    raise StatusError(shop.unkept, str(error)) from error
                self._tell(job_id, Noted(note=f"results wait to be kept: {error}"))
            except Exception as error:  # nor must its results
                _log.exception("job %s", job_id)
                raise StatusError(shop.unkept, repr(error)) from error
            with trio.move_on_after(pause_s):
                await given_up.wait()

    async def _sweep(self) -> None:
        """Remove the files of jobs that are no more, as a server that was killed leaves them."""
        await self._known.wait()
        while True:
            with suppress(OSError):
                for shop in self._shops.values():
                    await self._tidy(shop)
            await trio.sleep(_SWEEP_S)

    async def _tidy(self, shop: Shop) -> None:
        for job_id in await shop.kept():
            async with self._tidying:
                if self.engine_of(job_id) is None:
                    await shop.clear(job_id)


def _may_pass(error: Exception) -> bool:
    """Whether it may be better in a while: no room, too much else to do."""
    if isinstance(error, OSError):
        return error.errno in _BUSY_ERRNOS
    return isinstance(error, CapacityError | NoSpaceError | StoreError)
