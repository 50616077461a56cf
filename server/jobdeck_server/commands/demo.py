"""``jobdeck demo``: a server of its own, six real jobs, a ``kill -9`` in the middle, and what came of it.

1. Start a server on a temporary data directory and a free port.
2. Submit six jobs of different kinds by the jobrunner API and attach to each of them by plain HTTP.
3. DELETE one of them, then ``kill -9`` the server while the others run. One job ends while there is no server.
4. Start the server again: the attached clients go on at the byte they had reached.
5. Compare every byte, exit code and signal with what it must be; end the server; see that nothing is left.

It prints what it saw, and leaves a picture of the console. The exit code is 0 only if all of it was as it should be.
In a terminal the console opens at the end, on the jobs of the demo and two live ones.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import httpx
import trio

from jobdeck_protocol.job import time_us
from jobdeck_server.commands.demo_console import in_terminal, open_console, take_picture
from jobdeck_server.commands.demo_scene import Check, DemoError, DemoServer, Watched, a_server, alive, clear_away, until

__all__ = ["demo"]

PICTURE = "console.svg"
_LIMIT_S = 60.0
_TICKS = 30
_PARTS = 6
_NUMBERS = 200_000

_HELP = """\
See it work, in about ten seconds.

Starts a server of its own on a temporary folder and a free port, submits six real jobs over HTTP, attaches to them
live, kills the server with kill -9 in the middle, starts it again, and compares every byte and exit code. It touches
nothing else and leaves nothing behind but a picture of the console. In a terminal the console opens at the end.

The exit code is 0 only if everything was seen to be as it should be.
"""


@click.command(help=_HELP)
@click.option("--no-console", is_flag=True, help="Do not open the console at the end.")
def demo(no_console: bool) -> None:
    """Play the demo and tell whether all of it held."""
    started_s = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="jobdeck-demo-"))
    data = folder / "data"
    data.mkdir()
    checks: list[Check] = []
    failure = ""
    shown = False
    try:
        failure = _run(data, folder / PICTURE, checks)
        if not failure and not no_console and in_terminal():
            shown = True
            _tell(checks, failure, time.monotonic() - started_s)
            open_console(data)
    finally:
        left = clear_away(data)
    checks.append(Check("nothing is left behind", not left, "; ".join(left) or "no job, no keeper, only the picture"))
    _tell(checks[-1:] if shown else checks, failure, time.monotonic() - started_s)
    if (folder / PICTURE).exists():
        click.echo(f"A picture of the console: {folder / PICTURE}")
    sys.exit(0 if not failure and all(check.holds for check in checks) else 1)


def _run(data: Path, picture: Path, checks: list[Check]) -> str:
    """Play; returns why it could not go on, empty if it could."""
    failure = ""
    try:
        trio.run(_play, data, picture, checks)
    except* (DemoError, httpx.HTTPError) as errors:
        failure = _first(errors)
    except* trio.TooSlowError:
        failure = f"it took more than {_LIMIT_S:g} s"
    return failure


def _first(errors: BaseExceptionGroup[Exception]) -> str:
    """The first single error of a group, in words."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


def _tell(checks: list[Check], failure: str, took_s: float) -> None:
    """Print the table of what was seen."""
    click.echo()
    for check in checks:
        sign = click.style("  ok ", fg="green") if check.holds else click.style(" NOT ", fg="red", bold=True)
        click.echo(f"{sign} {check.claim}")
        click.echo(click.style(f"        seen: {check.seen}", dim=True))
    click.echo()
    held = sum(check.holds for check in checks)
    if failure:
        click.secho(f"The demo could not go on: {failure}", fg="red", bold=True)
    elif held == len(checks):
        click.secho(f"All {held} held, in {took_s:.1f} s. Now try: jobdeck", fg="green", bold=True)
    else:
        click.secho(f"{len(checks) - held} of {len(checks)} did not hold.", fg="red", bold=True)


class _Narrator:
    """Prints lines with the time since the start."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()

    def __call__(self, who: str, text: str) -> None:
        clock = click.style(f"{time.monotonic() - self._start_s:5.1f} s", dim=True)
        click.echo(f"{clock}  {click.style(f'{who:<9}', bold=True)} {text}")


def _jobs(work: Path) -> dict[str, Watched]:
    """The six of them.

    They note their process ids in ``work``, where the demo looks after them. ``long`` and ``chatty`` wait for the file
    ``back`` before their last words, so that however slow the machine is, they span the server's absence.
    """
    numbers = "".join(f"{n}\n" for n in range(1, _NUMBERS + 1)).encode()
    jobs = [
        Watched(
            name="long",
            what="prints a tick, ten times a second",
            command=f"echo $$ > {work}/long.pid; for i in $(seq {_TICKS}); do echo tick $i; sleep 0.1; done; "
            f"until [ -e {work}/back ]; do sleep 0.05; done; echo done",
            wanted="".join(f"tick {i}\n" for i in range(1, _TICKS + 1)).encode() + b"done\n",
        ),
        Watched(
            name="failing",
            what="writes to both streams, exits with 3",
            command="echo looking for it; echo it is not there >&2; exit 3",
            wanted=b"looking for it\nit is not there\n",
        ),
        Watched(
            name="chatty",
            what="prints hundreds of thousands of lines",
            command=f"for i in $(seq {_PARTS}); do seq {_NUMBERS}; sleep 0.5; done; "
            f"until [ -e {work}/back ]; do sleep 0.05; done; seq {_NUMBERS}",
            wanted=numbers * (_PARTS + 1),
        ),
        Watched(
            name="stubborn",
            what="ignores SIGTERM, has a child",
            command=f"trap '' TERM; sleep 600 & echo $! $$ > {work}/stubborn.pid; echo I never end; wait",
            wanted=b"I never end\n",
        ),
        Watched(
            name="late",
            what="its shell goes, a child prints later",
            command=f"echo $$ > {work}/late.pid; exec > >(sleep 3; cat); echo said when the shell was gone",
            wanted=b"said when the shell was gone\n",
        ),
        Watched(
            name="alone",
            what="ends while there is no server",
            command=f"echo $$ > {work}/alone.pid; until [ -e {work}/go ]; do sleep 0.05; done; "
            "echo nobody was listening; exit 7",
            wanted=b"nobody was listening\n",
        ),
    ]
    return {job.name: job for job in jobs}


def _pids(work: Path, name: str) -> list[int]:
    """The process ids that a job has noted; empty before it has."""
    path = work / f"{name}.pid"
    return [int(word) for word in path.read_text().split()] if path.exists() else []


class _Play:
    """One performance: the jobs, the server, and the times at which things were seen."""

    def __init__(self, server: DemoServer, work: Path, say: Callable[[str, str], None], checks: list[Check]) -> None:
        self.server = server
        self.work = work
        self.say = say
        self.jobs = _jobs(work)
        self.checks = checks
        self.killed_us = self.back_us = 0
        self.late_shell_gone_s = self.late_line_s = 0.0

    def check(self, claim: str, holds: bool, seen: str) -> None:
        """Note a claim and what was seen of it."""
        self.checks.append(Check(claim, holds, seen))

    async def submit(self, nursery: trio.Nursery) -> None:
        """Post all jobs and attach a client to each."""
        for job in self.jobs.values():
            await self.server.post(job)
            self.say("POST /", f"{job.name:<9} {job.what:<40} {job.id[:8]}")
            nursery.start_soon(job.attach, self.server)
        self.jobs["late"].on_bytes = self._late_line
        nursery.start_soon(self._late_shell)

    async def _late_shell(self) -> None:
        await until(lambda: (pids := _pids(self.work, "late")) and not alive(pids[0]))
        self.late_shell_gone_s = time.monotonic()

    def _late_line(self, _: bytes) -> None:
        self.late_line_s = time.monotonic()
        self.say("late", "the line of the shell that had gone has come")

    async def look_on(self) -> None:
        """Wait until the jobs are well under way, and tell what has come so far."""
        long, chatty, failing = (self.jobs[name] for name in ("long", "chatty", "failing"))
        await until(failing.complete.is_set)
        await until(lambda: long.got_bytes > 50 and chatty.got_bytes > 1_000_000)
        await until(lambda: all(_pids(self.work, name) for name in ("long", "stubborn", "late", "alone")))
        for job in (long, chatty):
            self.say("attach", f"{job.name:<9} {job.got_bytes:,} bytes so far; last line: {job.last_line()}")

    async def stop(self) -> None:
        """DELETE the job that ignores SIGTERM and has a child."""
        stubborn = self.jobs["stubborn"]
        pids = _pids(self.work, "stubborn")
        status = (await self.server.client.delete(f"/{stubborn.id}")).status_code
        self.say("DELETE", f"stubborn, which ignores SIGTERM: HTTP {status}")
        gone = await until(lambda: not any(map(alive, pids)), for_s=10)
        self.check(
            "DELETE ends a job with all its processes",
            status == 200 and gone and len(pids) == 2,
            f"HTTP {status}; of its {len(pids)} processes {sum(map(alive, pids))} live",
        )

    async def kill(self) -> None:
        """``kill -9`` the server, let one job end meanwhile, and start the server again."""
        first = self.server.pid
        ended = await self.server.kill()
        self.killed_us = time.time_ns() // 1000
        self.say("kill -9", f"the server, process {first}, is gone ({ended})")
        (self.work / "go").touch()
        alone = _pids(self.work, "alone")[0]
        await until(lambda: not alive(alone), for_s=10)
        runs_on = alive(_pids(self.work, "long")[0])
        self.say("no server", "long runs on; alone has ended unobserved" if runs_on else "long has gone too")
        self.check(
            "with the server gone the jobs run on",
            ended == -9 and runs_on and not alive(alone),
            f"server ended with {ended}; long {'runs' if runs_on else 'is gone'}",
        )
        await self.server.start()
        self.back_us = time.time_ns() // 1000
        (self.work / "back").touch()
        self.say("serve", f"again, process {self.server.pid}, port {self.server.port}")

    async def results(self) -> None:
        """Wait for all jobs and compare what came of each."""
        for job in self.jobs.values():
            await job.complete.wait()
        self.say("attach", "every response has come to its end")
        await self._outcome("long", "exits with 0", code=0, cut=True)
        await self._outcome("failing", "exits with 3", code=3)
        await self._outcome("chatty", "exits with 0", code=0, cut=True)
        await self._outcome("stubborn", "was ended by SIGKILL", signal=9)
        await self._outcome("late", "exits with 0", code=0)
        await self._outcome("alone", "exits with 7", code=7)
        waited_s = self.late_line_s - self.late_shell_gone_s
        self.check(
            "late: output of a child of a shell that has gone",
            self.late_shell_gone_s > 0 and waited_s > 1,
            f"its line came {waited_s:.1f} s after its shell had gone",
        )
        listed = (await self.server.client.get("/")).json()
        self.check("GET / lists no job any more", listed == {"IDs": []}, str(listed))

    async def _outcome(
        self, name: str, words: str, *, code: int | None = None, signal: int | None = None, cut: bool = False
    ) -> None:
        job = self.jobs[name]
        record = await self.server.ended(job)
        found = (record["exit_code"], record["signal"])
        seen = f"signal {found[1]}" if found[0] is None else f"exit {found[0]}"
        seen += f", {job.got_bytes:,} bytes, SHA-256 {'equal' if job.exact() else 'NOT EQUAL'}"
        holds = found == (code, signal) and job.exact()
        if cut:
            words += ", its output goes on where it was cut"
            holds = holds and len(job.cuts) > 0 and 0 < job.cuts[0] < len(job.wanted)
            seen += f", cut at {job.cuts[0]:,}" if job.cuts else ", not cut"
        if name == "alone":
            words += ", recorded without a server"
            finished_us = time_us(record["finished"])
            holds = holds and self.killed_us < finished_us < self.back_us
            seen += f", {(self.back_us - finished_us) / 1e6:.1f} s before the restart"
        self.check(f"{name} {words}", holds, seen)


async def _play(folder: Path, picture: Path, checks: list[Check]) -> None:
    """The whole performance, what is seen put into ``checks``, and a picture of the console.

    Raises:
        DemoError, httpx.HTTPError, trio.TooSlowError: It cannot go on.
    """
    say = _Narrator()
    work = folder / "work"
    work.mkdir()
    with trio.fail_after(_LIMIT_S):
        async with a_server(folder) as server:
            say("serve", f"process {server.pid}, http://127.0.0.1:{server.port}")
            play = _Play(server, work, say, checks)
            async with trio.open_nursery() as nursery:
                await play.submit(nursery)
                await play.look_on()
                await play.stop()
                await play.kill()
                await play.results()
            await take_picture(server, picture)
            say("console", f"a picture of it: {picture}")
            code = await server.end()
            say("SIGTERM", f"the server has ended with {code}")
            play.check("SIGTERM ends the server in order", code == 0, f"exit {code}")
