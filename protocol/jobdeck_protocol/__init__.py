"""What both ends of jobdeck share: records, states and the channels, without any input or output.

The two channels have messages of the same names (``Hello``); so ``attach`` and ``events`` are used by their modules'
names, and only what is unmistakable is named here.
"""

from jobdeck_protocol import attach, codec, events
from jobdeck_protocol.errors import LocalWireError, RemoteWireError, WireError
from jobdeck_protocol.job import ENDED, MOVES, IllegalMoveError, Job, JobState, Step, from_wire, move, to_wire
from jobdeck_protocol.runs import Run, Stream, output_prefix
from jobdeck_protocol.session import ClientSession, Role, ServerSession, Stage
from jobdeck_protocol.stdin import StdinQueue

__all__ = [
    "ENDED",
    "MOVES",
    "ClientSession",
    "IllegalMoveError",
    "Job",
    "JobState",
    "LocalWireError",
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
