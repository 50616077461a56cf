"""``jobdeck`` behind a wall, as a program: no connection but to loopback, and names as the test says.

JD_NAMES    JSON, name -> addresses, or a list of such lists: one for each time that it is looked up
JD_STRAYS   a file to which is added whatever would have left this machine
"""

from __future__ import annotations

import json
import os
import socket
from ipaddress import ip_address
from typing import Any

_NAMES: dict[str, list[Any]] = json.loads(os.environ.get("JD_NAMES", "{}"))
_connect, _look_up = socket.socket.connect, socket.getaddrinfo


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _stray(what: object) -> None:
    with open(os.environ["JD_STRAYS"], "a") as file:
        file.write(f"{what}\n")


def _walled_connect(self: socket.socket, address: Any) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(str(address[0])):
        _stray(address)
        raise OSError("not in a test")
    _connect(self, address)


def _told(host: Any, *rest: Any, **more: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    if name in _NAMES:
        found = _NAMES[name]
        texts = (found.pop(0) if len(found) > 1 else found[0]) if isinstance(found[0], list) else found
        return [each for text in texts for each in _look_up(text, *rest, **more)]
    try:
        ip_address(str(name))
    except ValueError:
        if name is not None and name != "localhost":
            _stray(name)
            raise socket.gaierror("not in a test") from None
    return _look_up(host, *rest, **more)


if __name__ == "__main__":
    socket.socket.connect = _walled_connect  # type: ignore[method-assign, assignment]  # that is the wall
    socket.getaddrinfo = _told
    from jobdeck_tui.main import main

    main()
