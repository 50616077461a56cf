"""The classes of the crash test (``class_crash``), what must come of them, and whom their ends are told."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.server.packages.kit import wheel

KINDS = ("Good", "Good", "Large", "Streams", "Fails", "Refuses", "Exits")
_SOURCE = r"""
import os
import time

from sparkjobserver.api import Stream, build_problems


class Good:
    def validate(self, context, runtime, config):
        return config

    def run_job(self, context, runtime, config):
        with open(config["ledger"] + ".runs", "a") as file:
            print(os.getpid(), file=file)
        print("out of", config["tag"], flush=True)
        runtime.progress(0.5, config["tag"])
        time.sleep(config["pause_s"])
        return self.come_to(config)

    def come_to(self, config):
        return {"tag": config["tag"]}


class Large(Good):
    def come_to(self, config):
        return [config["tag"]] * 20000


class Streams(Good):
    def come_to(self, config):
        return Stream(['["', config["tag"], '"]'])


class Fails(Good):
    def come_to(self, config):
        raise ValueError(config["tag"])


class Exits(Good):
    def come_to(self, config):
        os._exit(7)


class Refuses(Good):
    def validate(self, context, runtime, config):
        return build_problems([config["tag"]])
"""


@dataclass(slots=True, kw_only=True)
class Sent:
    """A class that was accepted."""

    tag: str
    kind: str
    config: dict[str, Any]
    context: str | None
    job_id: str


def package(folder: Path) -> Path:
    """A wheel with the classes."""
    return wheel(folder / "camp-1.0-py3-none-any.whl", {"camp/__init__.py": "", "camp/jobs.py": _SOURCE})


def result_of(sent: Sent) -> object:
    """The result of one that finishes."""
    return {"Large": [sent.tag] * 20000, "Streams": [sent.tag]}.get(sent.kind, {"tag": sent.tag})


class Receiver:
    """Whom the ends are told: bodies and names of deliveries, by path. Some tries are refused."""

    def __init__(self, seed: int) -> None:
        self.got: dict[str, list[tuple[bytes, str]]] = defaultdict(list)
        rnd, got = random.Random(seed), self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size_bytes = int(self.headers["Content-Length"])
                body = self.rfile.read(size_bytes)
                refused = rnd.random() < 0.2 or len(body) < size_bytes  # it was killed while it told
                if not refused:
                    got[self.path].append((body, self.headers["X-Jobdeck-Delivery"]))
                self.send_response(503 if refused else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/{path}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
