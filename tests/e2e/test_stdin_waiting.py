"""Standard input that is complete before its job begins: the end of it is kept, like the bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from jobdeck_client import Client
from jobdeck_protocol.attach import Exit, Output
from tests.e2e.crash import until
from tests.e2e.program import Server, server

_LIMIT_S = 20.0


async def _run(running: Server, *, killed: bool) -> tuple[str, bytes]:
    """Give a job all of its input while another has the only slot; its end and output once it has one."""
    async with Client(running.url) as client:
        first = await client.submit(command="sleep 60")
        job = await client.submit(command="cat", stdin=True)
        assert job.state == "queued"
        async with client.attach(job.id) as attach:
            await attach.send_stdin(b"all of it\n")
            await attach.send_eof()
            path = running.data_dir / "jobs" / job.id / "input.end"
            await until(path.exists)
            assert path.exists()
        if killed:
            running.kill()
            await trio.to_thread.run_sync(running.start)
        await client.stop(first.id, signal=9)
        output = b""
        async with client.attach(job.id) as attach:
            with trio.fail_after(_LIMIT_S):
                async for message in attach:
                    if isinstance(message, Output):
                        output += message.data
                    elif isinstance(message, Exit):
                        return message.state, output
    raise AssertionError


@pytest.mark.slow
async def test_its_end_is_kept_while_the_job_waits(tmp_path: Path) -> None:
    with server(tmp_path / "data", "--running-limit", "1") as running:
        for killed in (False, True):
            assert await _run(running, killed=killed) == ("succeeded", b"all of it\n")
