"""The public names are a promise: a change here is a change for everybody who builds on the protocol."""

from __future__ import annotations

import subprocess
import sys

import jobdeck_protocol


def test_names() -> None:
    assert sorted(jobdeck_protocol.__all__) == [
        "ClientSession",
        "ENDED",
        "IllegalMoveError",
        "Job",
        "JobState",
        "LocalWireError",
        "MOVES",
        "RemoteWireError",
        "Role",
        "Run",
        "ServerSession",
        "Stage",
        "StdinQueue",
        "Step",
        "Stream",
        "WireError",
        "attach",
        "codec",
        "events",
        "from_wire",
        "move",
        "output_prefix",
        "to_wire",
    ]
    assert all(hasattr(jobdeck_protocol, name) for name in jobdeck_protocol.__all__)


def test_the_protocol_loads_no_input_or_output() -> None:
    code = (
        "import sys, jobdeck_protocol, jobdeck_protocol.job, jobdeck_protocol.session;"
        "bad = {'trio', 'asyncio', 'socket', 'h11', 'httpx', 'textual', 'wsproto'} & set(sys.modules);"
        "sys.exit(f'loaded: {bad}' if bad else 0)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
