"""The end of the demo: a picture of the console, and in a terminal the console itself, on the demo's own jobs.

The console is another program (server and terminal programs never import each other), so it is called as a user would.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import trio

from jobdeck_server.commands.demo_scene import DemoError, DemoServer, Watched, a_server

__all__ = ["in_terminal", "open_console", "take_picture"]

_PROGRAM = (sys.executable, "-c", "from jobdeck_tui.main import main; main()", "console")
_SIZE = "120x34"

_LIVE = (
    Watched(
        name="clock",
        what="",
        command="""for i in $(seq 3600); do date "+%H:%M:%S  tick $i"
            [ $((i % 10)) = 0 ] && echo "ten more" >&2; sleep 1; done""",
        wanted=b"",
    ),
    Watched(
        name="build",
        what="",
        command="""for i in $(seq 2000); do printf '\\033[32mok\\033[0m   case %04d\\n' $i; sleep 0.05
            [ $((i % 57)) = 0 ] && printf '\\033[1;31mFAIL\\033[0m case %04d: 4 is not 5\\n' $i >&2; done; exit 1""",
        wanted=b"",
    ),
)


def in_terminal() -> bool:
    """Whether somebody is there to look at a console."""
    return sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()


async def take_picture(server: DemoServer, path: Path) -> None:
    """Write what the console shows of a server as SVG.

    Raises:
        DemoError: The console could not; its own words.
    """
    command = [*_PROGRAM, "--server", _url(server), "--picture", str(path), "--size", _SIZE]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    if done.returncode != 0:
        raise DemoError(f"no picture of the console: {done.stderr.decode('utf-8', 'replace').strip()[-500:]}")


def open_console(data_dir: Path) -> None:
    """Show the demo's jobs and two live ones in the console until it is left.

    Raises:
        DemoError: The server could not be started again.
    """
    trio.run(_show, data_dir)


async def _show(data_dir: Path) -> None:
    async with a_server(data_dir) as server:
        for job in _LIVE:
            await server.post(job)
        await trio.to_thread.run_sync(subprocess.run, [*_PROGRAM, "--server", _url(server)])
        for job_id in (await server.client.get("/")).json()["IDs"]:
            await server.client.delete(f"/{job_id}")
        await server.end()


def _url(server: DemoServer) -> str:
    return f"http://127.0.0.1:{server.port}"
