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


def _record(data_dir: Path, facts: dict[str, Any]) -> Path:
    """The folder of job x with these facts."""
    folder = data_dir / "jobs" / "x"
    folder.mkdir(parents=True)
    record = records.create_record(str(folder), facts["claim"])
    assert record is not None
    for name, payload in facts.items():
        records.write_slot(record, name, payload)
    os.close(record)
    return folder


@pytest.mark.parametrize(("step", "output_bytes", "started_us"), [(1, 6, 2), (0, 0, None)])
async def test_the_output_before_a_step_that_could_not_be_started_counts(
    tmp_path: Path, step: int, output_bytes: int, started_us: int | None
) -> None:
    error = {"text": "no", "errno": 2, "step": step, "t_us": 9}
    folder = _record(tmp_path, STARTED | {"error": error})
    (folder / "output").write_bytes(b"first\n"[: 6 * step])
    report = (await LocalEngine(Settings(data_dir=tmp_path), touch=False).status(["x"]))["x"]
    assert report == Ended(
        how="error", text="no", finished_us=9, step=step, started_us=started_us, output_bytes=output_bytes
    )


@pytest.mark.parametrize("ended", [True, False])
async def test_a_job_that_ends_between_two_questions_is_not_lost(tmp_path: Path, *, ended: bool) -> None:
    """Its record said that it runs, the keeper's list no longer names it: only the record then can tell."""
    _record(tmp_path, CLAIM)

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
