"""The limits of the process of a Spark context; ``limits`` of its plan names those that are to be others."""

from __future__ import annotations

from dataclasses import dataclass, fields

TYPE_CHECKING = False  # typing takes longer to load than this
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """See each."""

    start_s: float = 120.0  # for Java to have its gateway open: some 2 s, on a machine with twenty busy others 40 s
    make_s: float = 300.0  # for a SparkContext: that of a cluster waits three times 20 s for a master
    master_s: float = 15.0  # for the first of its masters to take a connection
    stop_s: float = 10.0  # for a SparkContext to stop
    exit_s: float = 5.0  # for Java to end by itself, once it was told to
    call_s: float = 10.0  # for Java's answer to a short question; after it, it is asked again later
    watch_s: float = 2.0  # between two looks whether the SparkContext still runs
    sample_s: float = 1.0  # between two looks at jobs and memory, while somebody asks
    asked_s: float = 15.0  # after the last question for the status, nobody asks
    connection_count: int = 512
    line_bytes: int = 1 << 20  # of a request
    unsent_bytes: int = 8 << 20  # of answers that a client does not read

    @classmethod
    def of(cls, told: Mapping[str, float]) -> Limits:
        """With those of a plan; what it names beside them is not for us."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in told.items() if name in names})  # type: ignore[arg-type]  # counts are counts there
