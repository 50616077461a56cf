"""Events of workers; see ``news``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.workerinfo import WorkerInfo, to_wire
from jobdeck_server.core.news import News, Words

if TYPE_CHECKING:
    from jobdeck_server.core.events import EventLog

Durable = tuple[object, ...]


class WorkerNews(News[WorkerInfo]):
    """The news of workers. ``run`` must be running for events to come."""

    def __init__(self, events: EventLog) -> None:
        super().__init__(events, Words(event="worker", wire=to_wire, durable=durable))


def durable(worker: WorkerInfo) -> Durable:
    """What of a worker is news when it is another than before."""
    return (
        *(worker.id, worker.name, worker.state, worker.engine, worker.labels),
        *(worker.slots_count, worker.address, worker.software),
    )
