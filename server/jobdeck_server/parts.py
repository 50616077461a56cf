"""What the dialects and channels are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobdeck_server.core.binaries import Binaries
    from jobdeck_server.core.blobs import Blobs
    from jobdeck_server.core.callbacks import Callbacks
    from jobdeck_server.core.contexts import Contexts
    from jobdeck_server.core.datafiles import DataFiles
    from jobdeck_server.core.executor import Executor
    from jobdeck_server.core.executorfiles import Nonce
    from jobdeck_server.core.fetching import Fetcher
    from jobdeck_server.core.hocon import ConfigReader
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.packagejobs import PackageJobs
    from jobdeck_server.core.patience import Patience
    from jobdeck_server.core.workers import Workers
    from jobdeck_server.engines.remote import RemoteEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Made by ``serve``, in the order in which they need one another."""

    core: JobCore
    blobs: Blobs
    binaries: Binaries
    contexts: Contexts
    package_jobs: PackageJobs
    executor: Executor
    nonce: Nonce
    workers: Workers
    remote: RemoteEngine
    callbacks: Callbacks
    fetcher: Fetcher
    data_files: DataFiles
    configs: ConfigReader
    patience: Patience
