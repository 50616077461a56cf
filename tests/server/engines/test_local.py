"""The local engine: from a keeper's facts to reports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import trio

from jobdeck_keeper import records
from jobdeck_server.engines.base import Ended, Report
from jobdeck_server.engines.local import LocalEngine
from jobdeck_server.settings import Settings
from tests.server.engines.fake import answer, keeper

CLAIM: dict[str, Any] = {"claim": {"t_us": 1}}
STARTED = CLAIM | {"start": {"t_us": 2, "step": 0}}
EXIT = STARTED | {"exit": {"code": 3, "signal": None, "t_us": 4, "bytes": 0, "dropped": 0, "step": 0}}


class Ear:
    def report(self, job_id: str, report: Report) -> None:
        pass

    async def resync(self) -> None:
        pass


@pytest.mark.parametrize("ended", [True, False])
async def test_a_job_that_ends_between_two_questions_is_not_lost(tmp_path: Path, *, ended: bool) -> None:
    """Its record said that it runs, the keeper's list no longer names it: only the record then can tell."""
    folder = tmp_path / "jobs" / "x"
    folder.mkdir(parents=True)
    record = records.create_record(str(folder), CLAIM["claim"])
    assert record is not None
    os.close(record)

    async def serve(stream: trio.SocketStream, _count: int) -> None:
        await answer(stream)
        assert (await answer(stream, facts=STARTED))["op"] == "facts"
        assert (await answer(stream, jobs=[]))["op"] == "list"
        assert (await answer(stream, facts=EXIT if ended else STARTED))["op"] == "facts"
        await trio.sleep_forever()

    engine = LocalEngine(Settings(data_dir=tmp_path), touch=False)
    async with keeper(tmp_path, serve), trio.open_nursery() as nursery:
        await nursery.start(engine.run, Ear())
        with trio.fail_after(10):
            report = (await engine.status(["x"]))["x"]
        nursery.cancel_scope.cancel()
    assert isinstance(report, Ended)
    assert (report.how, report.code) == (("exit", 3) if ended else ("lost", None))
