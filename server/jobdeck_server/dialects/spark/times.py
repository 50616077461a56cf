"""Times and durations as this API writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import tzinfo

NOT_DONE = "Job not done yet"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN_LIMIT = 10_000_000  # from here on Java writes a power of ten


def utc_time(us: int) -> str:
    """Microseconds since 1970 as a time in UTC with three decimals: ``2013-05-29T00:00:00.000Z``."""
    return _written(_EPOCH + timedelta(microseconds=us))


def server_time(us: int, zone: tzinfo | None = None) -> str:
    """The same in the server's own zone: ``2016-06-19T16:27:12.196+05:30``; ``Z`` where that is UTC.

    Args:
        us: Since 1970 UTC.
        zone: Another one.
    """
    return _written((_EPOCH + timedelta(microseconds=us)).astimezone(zone))


def duration(start_us: int, end_us: int | None) -> str:
    """How long something took: ``0.512 secs``; a clock that was set back makes it nothing at all."""
    if end_us is None:
        return NOT_DONE
    return f"{_double(max(0, end_us - start_us) // 1000)} secs"


def _written(moment: datetime) -> str:
    text = moment.isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def _double(thousandths: int) -> str:
    """A number of thousandths as Java writes a double. Source: ``Double.toString``."""
    value = thousandths / 1000
    if value < _PLAIN_LIMIT:
        return repr(value)
    digits, power = str(thousandths).rstrip("0"), len(str(thousandths)) - 4
    return f"{digits[0]}.{digits[1:] or '0'}E{power}"
