"""Stands in for a job's interpreter: it attaches to its context and waits for a file, or for the end of that.

It is run as an interpreter would be, with the plan as its last word. Its configuration names the files: ``began``, to
which it adds its ``number``, and ``go``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from sparkjobserver._link import attach  # type: ignore[import-not-found]  # is on the path of a job's interpreter
from sparkjobserver._task import JobError  # type: ignore[import-not-found]


def end(folder: Path, kind: str, message: str, code: int) -> None:
    error = {"message": message, "errorClass": "java.lang.Exception", "stack": ""}
    (folder / "outcome.json").write_text(json.dumps({"kind": kind, "error": error}))
    os._exit(code)


def main() -> None:
    plan = json.loads(Path(sys.argv[-1]).read_text())
    folder = Path(plan["folder"])
    config = json.loads(Path(plan["config"]).read_text())
    context = plan["context"]
    try:
        link = attach(context["link"]["control"], plan["job_id"], context["name"])
    except JobError as error:
        end(folder, error.kind, str(error), 2)
    threading.Thread(target=lambda: link.watch(lambda: end(folder, "context_lost", link.lost_text, 2))).start()
    with Path(config["began"]).open("a") as file:
        file.write(f"{config['number']}\n")
    while not Path(config["go"]).exists():
        time.sleep(0.01)
    (folder / "outcome.json").write_text(json.dumps({"kind": "finished", "result": {"kind": "none", "bytes": 0}}))
    os._exit(0)


main()
