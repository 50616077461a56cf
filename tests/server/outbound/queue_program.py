"""Runs the callbacks of a database until it is killed: a server of nothing else. ``python -m ... FOLDER DELAY_S``."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from tests.server.outbound.callbackbench import callbackbench


async def main(folder: Path, delay_s: float) -> None:
    async with callbackbench(folder, callback_delays_s=(delay_s,) * 5):
        print("running", flush=True)  # noqa: T201  # what the test waits for
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), float(sys.argv[2]))
