"""The server, put together: the one screen that names every part. Read this first.

bytes -> http (h11) -> guard -> the table of routes -> a dialect -> core -> an engine, and back up the same stairs.
Output never climbs them: readers take it from the core's files straight into a socket.
"""

from __future__ import annotations

import gc
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core import errors, leaving, recovery, retention
from jobdeck_server.core.admission import RESTORED
from jobdeck_server.core.contextdefaults import DefaultsError
from jobdeck_server.core.datadir import DataDir, DataDirError
from jobdeck_server.core.executor import Executor
from jobdeck_server.core.executorfiles import Nonce
from jobdeck_server.core.growth import Growth, hears_splice
from jobdeck_server.core.hocon import ConfigReader, HoconLimits
from jobdeck_server.core.jobs import JobCore
from jobdeck_server.core.localworker import LocalWorker, load_id
from jobdeck_server.core.outbound.rules import PatternError
from jobdeck_server.core.packageledger import PackageLedger
from jobdeck_server.core.patience import Patience
from jobdeck_server.core.placement import Placement
from jobdeck_server.core.schema import NewerSchemaError
from jobdeck_server.core.store import Store
from jobdeck_server.core.venvs import Venvs
from jobdeck_server.core.workers import Workers
from jobdeck_server.engines.base import BUNDLES, CONTEXT, PACKAGES, WORKER
from jobdeck_server.engines.builtin import BuiltinExecutor
from jobdeck_server.engines.contextshop import ContextShop
from jobdeck_server.engines.local import LocalEngine
from jobdeck_server.engines.outside import OutsideEngine
from jobdeck_server.engines.packageshop import PackageShop
from jobdeck_server.engines.remote import RemoteEngine
from jobdeck_server.engines.remotebundles import RemoteBundles
from jobdeck_server.engines.several import Engines
from jobdeck_server.engines.shelf import StoreShelf
from jobdeck_server.engines.workshop import Workshop
from jobdeck_server.front import Front
from jobdeck_server.ground import Ground, lay_ground, load_classes
from jobdeck_server.guard.errors import GuardError
from jobdeck_server.guard.guard import Guard
from jobdeck_server.guard.limits import check_bind, check_scripts
from jobdeck_server.guard.origin import is_loopback
from jobdeck_server.guard.tokens import TokenStore
from jobdeck_server.http.certificates import CertificateError, Certificates
from jobdeck_server.http.listener import HttpServer, addresses, open_listeners
from jobdeck_server.parts import Parts
from jobdeck_server.refusing import run_or_refuse
from jobdeck_server.spark.archive import Archives
from jobdeck_server.spark.install import Finder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from jobdeck_server.engines.shop import Shop
    from jobdeck_server.settings import Settings

Until = Callable[[], Awaitable[None]]

_log = logging.getLogger("jobdeck")
_CLOSE_LIMIT_S = 20.0
_REFUSALS = (CertificateError, DataDirError, DefaultsError, GuardError, NewerSchemaError, OSError, PatternError)


def run(settings: Settings, *, stop_jobs: bool = False, until: Until | None = None) -> int:
    """Serve until SIGTERM or SIGINT, or until ``until`` returns.

    Returns:
        The exit code: 0, or 2 if it could not start (said on standard error).
    """
    gc.collect()
    gc.freeze()  # what was loaded stays: looking through it again held up everybody for 25 ms at a time
    return run_or_refuse(partial(serve, settings, stop_jobs=stop_jobs, until=until), _REFUSALS)


async def serve(
    settings: Settings,
    *,
    ready: Callable[[list[str]], None] | None = None,
    stop_jobs: bool = False,
    until: Until | None = None,
) -> None:
    """Run one server until it is told to end by a signal, or cancelled.

    Args:
        settings: See there.
        ready: Called with the URLs once requests are served.
        stop_jobs: End the jobs when the server is told to end; otherwise they run on.
        until: A further way to tell it to end: by returning.

    Raises:
        CertificateError, DataDirError, GuardError, NewerSchemaError, OSError, PatternError: It cannot start; nothing
            was changed.
    """
    tokens = TokenStore(settings.data_dir)
    if check_bind(settings.listen, tokens, insecure=settings.insecure_no_auth):
        settings = replace(settings, require_token=True)
    nonce = Nonce(settings.executor_nonce_file)
    check_scripts(settings)
    certificates = await trio.to_thread.run_sync(Certificates.of, settings)
    listeners = _listen(settings)
    try:
        data_dir = await trio.to_thread.run_sync(DataDir, settings.data_dir)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    store = Store(
        settings.data_dir / "jobdeck.sqlite3", sync=settings.sync, batch_limit_count=settings.commit_batch_limit_count
    )
    growth = Growth()
    try:
        await trio.to_thread.run_sync(store.open, trio.lowlevel.current_trio_token())
        async with trio.open_nursery() as nursery:
            parts = await _start_parts(settings, store, growth, nonce, addresses(listeners), nursery)
            end = partial(_serve_http, stop_jobs=stop_jobs)
            await end(settings, parts, tokens, listeners, certificates, data_dir, ready, until)
            if stop_jobs:  # those that came while the others were being stopped
                await leaving.stop_jobs(parts.core, linked=False)
            leaving.say_goodbye(parts.core)
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(deadline=trio.current_time() + _CLOSE_LIMIT_S, shield=True):
            await trio.to_thread.run_sync(store.close)
            await trio.to_thread.run_sync(data_dir.close)
        growth.close()


def _listen(settings: Settings) -> list[socket.socket]:
    """All listeners.

    Raises:
        OSError: One cannot be had; it says which.
    """
    listeners: list[socket.socket] = []
    for host, port in settings.listen:
        try:
            listeners += open_listeners([(host, port)], backlog_count=settings.listen_backlog_count)
        except OSError as error:
            for listener in listeners:
                listener.close()
            raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listeners


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """The engines, and of what stands behind them that which others need."""

    all: Engines
    outside: OutsideEngine
    workshop: Workshop
    remote: RemoteEngine
    ledger: PackageLedger
    venvs: Venvs
    install: Finder
    archives: Archives
    shop: PackageShop


async def _engines(settings: Settings, store: Store, ground: Ground, *, url: str) -> _Made:
    touch = not await trio.to_thread.run_sync(hears_splice, settings.data_dir)
    blobs = ground.blobs
    outside = OutsideEngine(settings.data_dir / "jobs")
    workshop = Workshop(
        settings,
        shelf=StoreShelf(blobs),
        folder=settings.data_dir / "work",
        jobs_dir=settings.data_dir / "jobs",
        origin=url,
    )
    local = LocalEngine(settings, touch=touch)
    ledger = PackageLedger(settings, store=store, events=ground.log, blobs=blobs)
    venvs = Venvs(settings, blobs=blobs)
    await venvs.load()
    shop = PackageShop(settings, blobs=blobs, ledger=ledger, venvs=venvs, folder=settings.data_dir / "work")
    install = Finder(spark_home=settings.spark_home, spark_java=settings.spark_java)
    archives = Archives(settings.data_dir / "spark", wanted=settings.spark_archive)
    processes = ContextShop(
        settings,
        install=install,
        archives=archives,
        folder=settings.data_dir / "work",
        jobs_dir=settings.data_dir / "jobs",
    )
    shops: dict[str, Shop] = {BUNDLES: workshop, PACKAGES: shop, CONTEXT: processes}
    builtin = BuiltinExecutor(local, shops, patience_s=settings.executor_patience_s)
    remote = RemoteEngine(settings, store)
    await remote.load()
    return _Made(
        all=Engines(builtin, outside, remote),
        outside=outside,
        workshop=workshop,
        remote=remote,
        ledger=ledger,
        venvs=venvs,
        install=install,
        archives=archives,
        shop=shop,
    )


async def _start_parts(
    settings: Settings,
    store: Store,
    growth: Growth,
    nonce: Nonce,
    bound: Sequence[tuple[str, int]],
    nursery: trio.Nursery,
) -> Parts:
    """The core with its engines, every job found in its place, and what is built upon it."""
    boot_id = await trio.to_thread.run_sync(Path("/proc/sys/kernel/random/boot_id").read_text)
    ground = await lay_ground(settings, store, bound, nursery, loopback_only=_on_loopback(bound))
    log, blobs = ground.log, ground.blobs
    engines = await _engines(settings, store, ground, url=_url(settings, *bound[0]))
    outside, workshop, remote, engine = engines.outside, engines.workshop, engines.remote, engines.all
    core = JobCore(settings, store=store, events=log, growth=growth, engine=engine, boot_id=boot_id.strip())
    classes = await load_classes(core, settings, ground, engines.venvs, engines.ledger, engines.install)
    engines.shop.link = classes.contexts.link
    executor = Executor(core)
    outside.ends = executor.ends
    workshop.ledger = workshop.segments = executor.segments
    workshop.output = core.output
    bundles = remote.bundles = RemoteBundles(executor.segments, core.output)
    core.observers.append(bundles.changed)
    remote.hold = lambda on: core.admission.pause(RESTORED, on=on)
    await executor.load()
    workers = Workers(core, await _own_worker(core, settings, bound))
    workers.restoration = remote
    placement = Placement(core, workers)
    executor.offer(placement.take)
    nursery.start_soon(workers.run)
    await nursery.start(bundles.run)
    await nursery.start(placement.run)
    nursery.start_soon(growth.run)
    nursery.start_soon(engines.archives.run)
    await nursery.start(core.run)
    await nursery.start(classes.contexts.run)
    await nursery.start(classes.spark.run)
    await nursery.start(engine.run, core)
    remote.open(workers, partial(_place, core))
    await nursery.start(ground.callbacks.run)
    await recovery.recover(core)
    placement.open()
    classes.contexts.open()
    nursery.start_soon(classes.spark.processes.open)
    await nursery.start(executor.run)
    nursery.start_soon(retention.run, core)
    return Parts(
        core=core,
        blobs=blobs,
        binaries=classes.binaries,
        contexts=classes.contexts,
        package_jobs=classes.jobs,
        executor=executor,
        nonce=nonce,
        workers=workers,
        remote=remote,
        callbacks=ground.callbacks,
        fetcher=ground.fetcher,
        data_files=ground.data_files,
        configs=ConfigReader(HoconLimits.of(settings)),
        patience=Patience(),
    )


async def _own_worker(core: JobCore, settings: Settings, bound: Sequence[tuple[str, int]]) -> LocalWorker:
    worker_id = await trio.to_thread.run_sync(load_id, settings.data_dir)
    name = settings.worker_name or socket.gethostname()
    machine = LocalWorker(core, worker_id=worker_id, name=name, address=_authority(*bound[0]))
    await machine.load()
    return machine


async def _place(core: JobCore, job_id: str, worker_id: str) -> None:
    """A job waits here that a worker was given before the server was restored: it is that worker's."""
    live = core.live(job_id)
    if live is not None:
        with suppress(errors.ConflictError):  # it was stopped meanwhile
            await core.place(live, engine=WORKER, worker=worker_id)


async def _serve_http(
    settings: Settings,
    parts: Parts,
    tokens: TokenStore,
    listeners: Sequence[socket.socket],
    certificates: Certificates | None,
    data_dir: DataDir,
    ready: Callable[[list[str]], None] | None,
    until: Until | None,
    *,
    stop_jobs: bool,
) -> None:
    urls = [_url(settings, host, port) for host, port in addresses(listeners)]
    front = Front(settings, parts, Guard(settings, tokens, addresses(listeners)), urls)
    server = HttpServer(
        app=front.answer,
        failure=front.failure,
        settings=settings,
        log=logging.getLogger("jobdeck.http"),
        certificates=certificates,
    )
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:  # before anybody knows whom to signal
        await trio.to_thread.run_sync(_tell, data_dir, urls, certificates)
        for url in urls:
            _log.info("serving %s", url)
        _say_who_may(settings, addresses(listeners))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(_shut_down_at, signals, until, server, parts, stop_jobs=stop_jobs))
            await nursery.start(server.run, listeners)
            if ready is not None:
                ready(urls)


def _tell(data_dir: DataDir, urls: Sequence[str], certificates: Certificates | None) -> None:
    """Tell clients of the same user where the server is, and the certificate that it shows, again when that changes."""
    if certificates is None:
        data_dir.tell(urls)
    else:
        data_dir.tell(urls, certificates.certificate)
        certificates.told = partial(data_dir.tell, urls)


def _on_loopback(bound: Sequence[tuple[str, int]]) -> bool:
    return all(is_loopback(host) for host, _ in bound)


def _say_who_may(settings: Settings, bound: Sequence[tuple[str, int]]) -> None:
    if settings.require_token:
        return
    if _on_loopback(bound):
        _log.info("no token is needed: every user of this machine can run jobs as the server's user")
    else:
        _log.warning("NO TOKEN IS NEEDED: everybody who reaches this port can run anything as the server's user")


async def _shut_down_at(
    signals: AsyncIterator[int], until: Until | None, server: HttpServer, parts: Parts, *, stop_jobs: bool
) -> None:
    async with trio.open_nursery() as nursery:

        async def over(told: Until) -> None:
            await told()
            _log.info("what it was started for is over: ending")
            nursery.cancel_scope.cancel()

        if until is not None:
            nursery.start_soon(over, until)
        async for number in signals:
            _log.info("%s: ending", signal.Signals(number).name)
            break
        nursery.cancel_scope.cancel()
    parts.executor.close()  # workers whose requests are held are answered before their connections end
    parts.patience.close()
    if stop_jobs:
        parts.contexts.leave()
        await leaving.stop_jobs(parts.core, linked=True)
    server.shutdown()


def _url(settings: Settings, host: str, port: int) -> str:
    return f"{'http' if settings.tls_cert is None else 'https'}://{_authority(host, port)}"


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
