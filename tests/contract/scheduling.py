"""What the tests of the scheduler API share: a server with a folder of scripts, and its three calls."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tests.e2e.program import Server
from tests.e2e.wire import Answer, ask

WORDS = {
    1: "hangup",
    2: "interrupt",
    3: "quit",
    4: "illegal instruction",
    5: "trace/breakpoint trap",
    6: "aborted",
    7: "bus error",
    8: "floating point exception",
    9: "killed",
    10: "user defined signal 1",
    11: "segmentation fault",
    12: "user defined signal 2",
    13: "broken pipe",
    14: "alarm clock",
    15: "terminated",
    16: "stack fault",
    24: "CPU time limit exceeded",
    25: "file size limit exceeded",
    26: "virtual timer expired",
    27: "profiling timer expired",
    29: "I/O possible",
    30: "power failure",
    31: "bad system call",
    34: "signal 34",
}
SCRIPTS = {
    "worker/scripts/count.sh": "for n in 1 2 3; do echo $n; done",
    "exit0.sh": "exit 0",
    "exit1.sh": "exit 1",
    "exit42.sh": "exit 42",
    "sleep.sh": "echo up; sleep 61",
    "both.sh": "echo out; echo err >&2",
    "env.sh": "env -0",
    "stdin.sh": "readlink /proc/self/fd/0; wc -c",
    "family.sh": "sleep 61 & echo $!; setsid sleep 62 & echo $!; (sleep 63 & echo $!); echo up; wait",
    "core.sh": "ulimit -c unlimited; kill -SEGV $$; sleep 60",
    **{f"die{number}.sh": f"ulimit -c 0; kill -{number} $$; sleep 60" for number in WORDS},
    # bash itself does not die of SIGQUIT
    "die3.sh": f'ulimit -c 0; exec {sys.executable} -I -S -c "import os; os.kill(os.getpid(), 3)"',
}


def write_scripts(folder: Path) -> None:
    """The scripts above, an executable one, and one that is not."""
    for name, text in SCRIPTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n")
    (folder / "run.sh").write_text('#!/bin/sh\necho "[$1] $#"; pwd\n')
    (folder / "run.sh").chmod(0o755)
    (folder / "lost.sh").write_text("#!/no/such/shell\n")
    (folder / "lost.sh").chmod(0o755)
    (folder / "plain.txt").write_text("no program\n")


class Deck:
    """A server, and one of its workers: its own, unless another is named."""

    def __init__(self, server: Server, scripts: Path, *, worker_id: str | None = None) -> None:
        self.server = server
        self.scripts = scripts
        self.port = server.port
        self.url = server.url
        self.worker_id = worker_id or next(iter(json.loads(ask(self.port, "GET", "/workers/list").body)))

    def call(self, route: str, **fields: object) -> Answer:
        """``/start``, ``/stop`` or ``/query`` on the worker."""
        return ask(self.port, "POST", route, json.dumps({"worker_id": self.worker_id, **fields}).encode())

    def start(self, command: str, path: str) -> str:
        """A job; its id."""
        answer = self.call("/start", command=command, path=path)
        assert answer.status == 201, answer.text
        return str(json.loads(answer.body)["job_id"])

    def query(self, job_id: str) -> str:
        """What ``/query`` answers."""
        answer = self.call("/query", job_id=job_id)
        assert answer.status == 200, answer.text
        return answer.text

    def end(self, job_id: str, limit_s: float = 20.0) -> str:
        """What it answers once the job has ended."""
        limit = time.monotonic() + limit_s
        while (text := self.query(job_id)).startswith('{"done":false'):
            assert text == '{"done":false,"error":false,"error_text":""}\n'
            assert time.monotonic() < limit, self.server.job(job_id)
            time.sleep(0.02)
        return text

    def output(self, job_id: str, text: bytes, limit_s: float = 20.0) -> bytes:
        """Its output so far, once it ends with ``text``."""
        limit = time.monotonic() + limit_s
        while not (found := ask(self.port, "GET", f"/v1/jobs/{job_id}/output").body).endswith(text):
            assert time.monotonic() < limit, found
            time.sleep(0.02)
        return found
