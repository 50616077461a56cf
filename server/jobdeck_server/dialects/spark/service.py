"""The API of Spark JobServer as one dialect: binaries, contexts, jobs, data files.

    binaries    /binaries and the older /jars
    contexts    /contexts
    start       POST /jobs;  jobs has all other routes of /jobs, results the answers that carry a result
    data        /data
    report      a job as this API tells it;  query, times, envelope, failure: its ways of asking and of answering

``/healthz`` is the native API's, and answers what this one expects.

What its document shows is kept to the letter, and where it is silent what the original did, but for its faults: a
synchronous start whose time is up is told the job's id; jobs wait for a place in their context; configurations and
results are kept; a job that is killed is; bodies may be large.

Source: Spark JobServer, "Submitting new jobs"; the wire reference of its API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_server.dialects.base import Dialect
from jobdeck_server.dialects.spark.binaries import BinaryRoutes
from jobdeck_server.dialects.spark.bodies import Bodies
from jobdeck_server.dialects.spark.contexts import ContextRoutes
from jobdeck_server.dialects.spark.data import DataRoutes
from jobdeck_server.dialects.spark.failure import failure
from jobdeck_server.dialects.spark.jobs import JobRoutes
from jobdeck_server.dialects.spark.query import METHOD
from jobdeck_server.dialects.spark.start import Starts

if TYPE_CHECKING:
    from jobdeck_server.core.binaries import Binaries
    from jobdeck_server.core.callbacks import Callbacks
    from jobdeck_server.core.contexts import Contexts
    from jobdeck_server.core.datafiles import DataFiles
    from jobdeck_server.core.fetching import Fetcher
    from jobdeck_server.core.hocon import ConfigReader
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.packagejobs import PackageJobs
    from jobdeck_server.core.patience import Patience


def spark(
    core: JobCore,
    *,
    binaries: Binaries,
    contexts: Contexts,
    jobs: PackageJobs,
    callbacks: Callbacks,
    fetcher: Fetcher,
    data_files: DataFiles,
    configs: ConfigReader,
    patience: Patience,
) -> Dialect:
    """Its part of the table of routes."""
    settings = core.settings
    bodies = Bodies(settings, configs, patience)
    starts = Starts(core, jobs, contexts, callbacks, bodies, patience, timeout_limit_s=settings.sync_wait_limit_s)
    return Dialect(
        name="spark",
        segments=frozenset({"binaries", "jars", "jobs", "contexts", "data"}),
        routes=(
            *BinaryRoutes(binaries).routes(),
            *ContextRoutes(contexts, fetcher, bodies, patience).routes(),
            *JobRoutes(core, jobs, starts, patience, list_limit_count=settings.page_limit_count).routes(),
            *DataRoutes(data_files).routes(),
        ),
        failure=failure,
        method_argument=METHOD,
    )
