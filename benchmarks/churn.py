"""``python -m benchmarks.churn PORT RATE``: jobs that change so many times a second, until standard input ends.

Each job makes two changes and no process: it waits behind jobs that hold all places, and is stopped there. At the end
it says how many changes a second there were.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from benchmarks.clients import connect, post_bytes, take_answer

_THREADS_COUNT = 8
"""At once, so that the server commits some together."""


def main(port: int, rate: float) -> None:
    ended = threading.Event()
    counts = [0] * _THREADS_COUNT
    threads = [
        threading.Thread(target=_change, args=(port, rate / _THREADS_COUNT, ended, counts, number))
        for number in range(_THREADS_COUNT)
    ]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    print("going", flush=True)
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    print(sum(counts) / (time.monotonic() - start))


def _change(port: int, rate: float, ended: threading.Event, counts: list[int], number: int) -> None:
    """One connection: submit a job, stop it, over and over."""
    sock = connect(port)
    start = time.monotonic()
    while not ended.is_set():
        sock.sendall(post_bytes("/v1/jobs", {"command": f"true {number}-{counts[number]}"}))
        job_id = json.loads(take_answer(sock)[1])["id"]
        sock.sendall(post_bytes(f"/v1/jobs/{job_id}/stop", {}))
        take_answer(sock)
        counts[number] += 2
        ended.wait(max(0.0, start + counts[number] / rate - time.monotonic()))
    sock.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
