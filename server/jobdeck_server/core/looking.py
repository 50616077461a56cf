"""Finding jobs: by names that are not their ids, and page by page. Part of ``JobCore``."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from jobdeck_server.core import journal, listing
from jobdeck_server.core.errors import UnknownJobError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.listing import JobFilter, Page
    from jobdeck_server.core.live import Live

_PREFIX_LENGTH = 8


async def lookup(core: JobCore, name: str) -> Job:
    """See ``JobCore.lookup``."""
    try:
        return await core.get(name)
    except UnknownJobError:
        job = await core.store.read(lambda connection: journal.find_key(connection, name))
        if job is None:
            raise
        return await core.get(job.id)


async def resolve(core: JobCore, name: str) -> Job:
    """See ``JobCore.resolve``."""
    if len(name) < _PREFIX_LENGTH or len(name) >= len(str(uuid.UUID(int=0))):
        return await core.get(name)
    found = await core.store.read(lambda connection: journal.find_prefix(connection, name.lower()))
    if len(found) != 1:
        raise UnknownJobError(name)
    return await core.get(found[0])


async def page(core: JobCore, jobs: Mapping[str, Live], wanted: JobFilter) -> Page:
    """See ``JobCore.page``; ``jobs`` are those in memory.

    Memory may be ahead of what is committed: never show a job older than another answer did. The end of one that leaves
    memory during the read may have been committed just after it was read.
    """
    limit = core.settings.text_scan_limit_count
    before = dict(jobs)
    found = await core.store.read(lambda connection: listing.page(connection, wanted, scan_limit_count=limit))
    items = []
    for item in found.items:
        live = jobs.get(item.id) or before.get(item.id)
        if live is None:
            items.append(item)
        elif not wanted.states or live.job.state in wanted.states:
            items.append(replace(item, record=live.record()))
    return replace(found, items=tuple(items))
