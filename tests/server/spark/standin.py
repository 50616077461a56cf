"""Stands in for the process of a Spark context: the same protocol, nothing behind it, and it does what a test says.

It is run as ``standin.py FOLDER``. What it does stands in ``standin.json`` two folders above (the data directory), and
in the configuration of its context, by names that begin with ``spark.standin.``:

    start_s      it is ``starting`` for so long        make_s     the context takes so long to be made
    no_start     it dies at its start, and says this   refuse     the context cannot be made, for this reason
    stop_s       it takes so long to stop              die_s      it dies so long after the context was up
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any


class StandIn:
    def __init__(self, folder: Path) -> None:
        self.lock = threading.RLock()
        self.state, self.context, self.note = "starting", "", "Java is starting"
        self.conf: dict[str, str] = {}
        self.plan: dict[str, Any] = {}
        told = folder.parent.parent / "standin.json"
        if told.exists():
            self.plan = json.loads(told.read_text())
        self.listener = socket.socket(socket.AF_UNIX)
        place = os.open(folder, os.O_PATH)
        self.listener.bind(f"/proc/self/fd/{place}/control.sock")
        self.listener.listen()

    def told(self, name: str) -> float:
        return float(self.conf.get(f"spark.standin.{name}", self.plan.get(name, 0)))

    def run(self) -> None:
        if self.plan.get("no_start"):
            self.die(str(self.plan["no_start"]))
        threading.Thread(target=self.accept, daemon=True).start()
        time.sleep(self.told("start_s"))
        with self.lock:
            if self.state == "starting":
                self.state, self.note = "ready", ""
        threading.Event().wait()

    def accept(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("r") as lines:
            for line in lines:
                asked = json.loads(line)
                answer = getattr(self, asked["op"])(asked)
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def status(self, asked: dict[str, Any]) -> dict[str, Any]:
        del asked
        up = self.state == "up"
        return {
            "ok": True,
            "state": self.state,
            "note": self.note or None,
            "context": self.context or None,
            "application": f"standin-{os.getpid()}" if up else None,
            "master": self.conf.get("spark.master") if up else None,
            "ui": None,
            "version": "3.5.9",
            "memory_bytes": int(self.plan.get("memory_bytes", 100_000_000)),
            "jobs": {},
        }

    def make(self, asked: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            if self.context not in ("", asked["context"]):
                return {"ok": False, "error": f"This process belongs to context {self.context}."}
            first, self.context = not self.context, asked["context"]
            if first:
                self.conf = asked["conf"]
                self.conf["jars"] = ",".join(asked["jars"])
                threading.Thread(target=self.made, daemon=True).start()
        while self.state in ("starting", "ready", "making"):
            time.sleep(0.005)
        if self.state == "up":
            return self.status(asked)
        return {"ok": False, "error": self.note}

    def made(self) -> None:
        while self.state == "starting":
            time.sleep(0.005)
        self.state, self.note = "making", f"The SparkContext is being made on {self.conf.get('spark.master')}"
        time.sleep(self.told("make_s"))
        refusal = self.conf.get("spark.standin.refuse")
        if refusal:
            self.state, self.note = "stopping", refusal
            time.sleep(0.1)
            self.die(refusal)
        with self.lock:
            if self.state == "making":
                self.state, self.note = "up", ""
        if self.told("die_s"):
            time.sleep(self.told("die_s"))
            self.die("Java has ended: SIGSEGV.")

    def attach(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self.state != "up":
            return {"ok": False, "error": f"There is no context here: the process is {self.state}."}
        return {"ok": True, "port": 1, "secret": "s", "context": self.context, "conf": self.conf, "job": asked["job"]}

    def stop(self, asked: dict[str, Any]) -> dict[str, Any]:
        del asked
        threading.Thread(target=self.end, daemon=True).start()
        return {"ok": True}

    def end(self, *_: object) -> None:
        if self.state == "stopping":
            return
        self.state, self.note = "stopping", "The SparkContext is stopping"
        time.sleep(self.told("stop_s"))
        os._exit(0)

    def die(self, why: str) -> None:
        sys.stderr.write(f"Java: {why}\n" if not why.startswith("Java") else f"{why}\n")
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    process = StandIn(Path(sys.argv[1]))
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=process.end).start())
    threading.Thread(target=process.run, daemon=True).start()
    while True:
        select.select([], [], [], 60)
