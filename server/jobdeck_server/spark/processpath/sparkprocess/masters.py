"""Whether anybody is there at the address of a standalone cluster.

Spark itself takes a minute to give up, says no more than that masters are unresponsive, and says it too late: by then
it has made a SparkContext, which it stops a moment later. So the address is tried before, and the result looked at.
"""

from __future__ import annotations

import socket
import time

__all__ = ["addresses", "is_registered", "nobody_at"]

_SCHEME = "spark://"
_PORT = 7077
_TRY_S = 5.0
_PAUSE_S = 0.5
_UNREGISTERED = "spark-application-"  # what Spark calls an application that no master has given a name


def addresses(master: str) -> list[tuple[str, int]]:
    """Hosts and ports of ``spark://HOST:PORT,HOST:PORT``; none for a master of any other kind."""
    if not master.startswith(_SCHEME):
        return []
    found = []
    for each in master.removeprefix(_SCHEME).split(","):
        host, colon, port = each.strip().rpartition(":")
        known = bool(colon) and port.isascii() and port.isdigit()
        found.append((host.strip("[]"), int(port)) if known else (each.strip().strip("[]"), _PORT))
    return found


def nobody_at(master: str, limit_s: float) -> str | None:
    """Try the addresses of a master until one takes a connection. Blocks.

    Args:
        master: ``spark.master``.
        limit_s: For how long; a master may just be starting again.

    Returns:
        Why none could be reached; None if one was, or there is nothing to try.
    """
    tried = addresses(master)
    until_s = time.monotonic() + limit_s
    while tried:
        reasons = []
        for address in tried:
            try:
                socket.create_connection(address, timeout=_TRY_S).close()
                return None
            except (OSError, OverflowError, UnicodeError) as error:
                reasons.append(f"{address[0]}:{address[1]}: {getattr(error, 'strerror', None) or error}")
        if time.monotonic() + _PAUSE_S > until_s:
            return "; ".join(reasons)
        time.sleep(_PAUSE_S)
    return None


def is_registered(master: str, application: str) -> bool:
    """Whether a SparkContext has been taken by its master, by the id that it has."""
    return not addresses(master) or not application.startswith(_UNREGISTERED)
