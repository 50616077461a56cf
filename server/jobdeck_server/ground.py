"""Parts of ``serve`` that belong together: what a server is built upon, and what classes out of packages need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_server.core.binaries import Binaries
from jobdeck_server.core.blobs import Blobs
from jobdeck_server.core.callbacks import Callbacks
from jobdeck_server.core.contextdefaults import Defaults
from jobdeck_server.core.contexts import Contexts
from jobdeck_server.core.datafiles import DataFiles
from jobdeck_server.core.doors import Doors
from jobdeck_server.core.events import EventLog
from jobdeck_server.core.fetching import Fetcher
from jobdeck_server.core.packagefinder import PackageFinder
from jobdeck_server.core.packagejobs import PackageJobs
from jobdeck_server.core.sparkcontexts import SparkContexts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import trio

    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.packageledger import PackageLedger
    from jobdeck_server.core.store import Store
    from jobdeck_server.core.venvs import Venvs
    from jobdeck_server.settings import Settings
    from jobdeck_server.spark.install import Finder


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What stands without a core, and is built upon."""

    log: EventLog
    blobs: Blobs
    callbacks: Callbacks
    fetcher: Fetcher
    data_files: DataFiles


async def lay_ground(
    settings: Settings, store: Store, bound: Sequence[tuple[str, int]], nursery: trio.Nursery, *, loopback_only: bool
) -> Ground:
    """Make it, in the order in which it is needed.

    Args:
        settings: What the server runs with.
        store: The database, open.
        bound: (host, port) of the listeners.
        nursery: Owns what runs.
        loopback_only: All listeners are on loopback.

    Raises:
        OSError, PatternError, StoreError: Something that it is made of cannot be used.
    """
    doors = Doors.of(settings, bound, loopback_only=loopback_only)
    log = EventLog(store)
    await log.load()
    callbacks = Callbacks(settings, store=store, events=log, door=doors.callbacks)
    blobs = Blobs(settings, store=store, events=log, folder=settings.data_dir / "blobs")
    await nursery.start(blobs.run)
    fetcher = Fetcher(settings, blobs=blobs, door=doors.fetching)
    await nursery.start(fetcher.run)
    data_files = DataFiles(settings)
    await data_files.open()
    return Ground(log=log, blobs=blobs, callbacks=callbacks, fetcher=fetcher, data_files=data_files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """What classes out of packages need, and they themselves."""

    binaries: Binaries
    contexts: Contexts
    spark: SparkContexts
    jobs: PackageJobs


async def load_classes(
    core: JobCore, settings: Settings, ground: Ground, venvs: Venvs, ledger: PackageLedger, install: Finder
) -> Classes:
    """Make them, with all that is kept of them; ``Contexts.run``, ``SparkContexts.run`` and ``Callbacks.run`` follow.

    Raises:
        DefaultsError, JobdeckError, OSError: A file that the operator has named cannot be used.
    """
    blobs, callbacks = ground.blobs, ground.callbacks
    binaries = Binaries(settings, store=core.store, events=ground.log, blobs=blobs, core=core)
    await binaries.load(settings.preload_packages)
    finder = venvs.finder = PackageFinder(settings, binaries=binaries, fetcher=ground.fetcher, blobs=blobs)
    contexts = Contexts(core, settings, venvs=venvs, defaults=await Defaults.read(settings.context_defaults))
    spark = SparkContexts(
        core, settings, venvs=venvs, finder=finder, blobs=blobs, registry=contexts.losses, install=install
    )
    contexts.kinds[spark.name] = spark
    await contexts.load()
    jobs = PackageJobs(
        core, settings, finder=finder, contexts=contexts, callbacks=callbacks, blobs=blobs, ledger=ledger
    )
    callbacks.source = jobs.callback_body
    return Classes(binaries=binaries, contexts=contexts, spark=spark, jobs=jobs)
