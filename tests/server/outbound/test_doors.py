"""The doors of a server: which rules each has, by its settings and by where the server listens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jobdeck_server.core.doors import Doors
from jobdeck_server.core.outbound.errors import RefusedError, SchemeError
from jobdeck_server.core.outbound.rules import PatternError
from tests.server.outbound.receivers import settings_of

OWN = (("127.0.0.1", 8080), ("::1", 8080))


def test_by_default_this_machine_alone_and_never_this_server(tmp_path: Path) -> None:
    doors = Doors.of(settings_of(tmp_path), OWN, loopback_only=True)
    for door, setting in ((doors.callbacks, "callback_allow"), (doors.fetching, "fetch_allow")):
        door.check("http://127.0.0.1:8081/hook")
        door.check("http://localhost:1/")
        door.check("https://[::1]:9/")
        with pytest.raises(RefusedError, match="this server itself"):
            door.check("http://127.0.0.1:8080/jobs")
        with pytest.raises(RefusedError, match="this server itself"):
            door.check("http://localhost:8080/jobs")
        with pytest.raises(RefusedError, match=setting):
            door.check("http://169.254.169.254/")
        with pytest.raises(RefusedError, match=setting):
            door.check("http://example.org/")
    doors.fetching.check("ftp://127.0.0.1/a.whl")
    with pytest.raises(SchemeError):
        doors.callbacks.check("ftp://127.0.0.1/a.whl")


def test_one_that_others_reach_calls_nobody_unless_told(tmp_path: Path) -> None:
    own = (("0.0.0.0", 8080),)
    doors = Doors.of(settings_of(tmp_path), own, loopback_only=False)
    for door in (doors.callbacks, doors.fetching):
        with pytest.raises(RefusedError):
            door.check("http://127.0.0.1:8081/hook")
    told = settings_of(tmp_path, callback_allow=("http://127.0.0.1:*",), fetch_allow=("ftp://10.0.0.0/8",))
    doors = Doors.of(told, own, loopback_only=False)
    doors.callbacks.check("http://127.0.0.1:8081/hook")
    doors.fetching.check("ftp://10.1.2.3/a.whl")
    with pytest.raises(RefusedError):
        doors.fetching.check("http://127.0.0.1:8081/a.whl")
    with pytest.raises(RefusedError, match="this server itself"):
        doors.callbacks.check("http://127.0.0.1:8080/jobs")


def test_what_cannot_be_a_pattern_is_said_at_the_start(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    for wrong in (
        replace(settings, callback_allow=("example.org",)),
        replace(settings, callback_allow=("ftp://example.org",)),
        replace(settings, fetch_allow=("file:///tmp",)),
    ):
        with pytest.raises(PatternError):
            Doors.of(wrong, OWN, loopback_only=True)
