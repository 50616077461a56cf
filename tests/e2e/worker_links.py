"""The links of the workers' crash test and what befalls them: through proxies of ours, or real ones that lose packets.

Packets are lost in network namespaces: each worker lives in one of its own, behind a pair of virtual Ethernet ports.
The kernel's loss emulator (``tc ... netem loss 100%``) drops them where it is there; else each end is given a false
hardware address of the other, and what is sent is dropped by the port that it is not for. Either end is told nothing.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import trio

from tests.e2e.worker_proxy import Cut, Flow, Proxy

_NOBODY = "02:00:00:00:00:01"


class Wire(Protocol):
    """A link to the server."""

    async def mishap(self, rnd: random.Random, span_s: tuple[float, float]) -> str:
        """Have something befall it, for so long where it lasts; returns what it was."""


@dataclass(frozen=True, slots=True)
class ProxyWire:
    """A link through a proxy."""

    proxy: Proxy

    async def mishap(self, rnd: random.Random, span_s: tuple[float, float]) -> str:
        """Cut it, or have it carry bytes late, later or never."""
        what = rnd.choice(("reset", "reset", "ended", "held", "swallowed", "late", "shut"))
        for_s = rnd.uniform(*span_s)
        if what == "shut":
            await self._shut(for_s)
        elif what in ("reset", "ended"):
            self.proxy.cut(Cut.RST if what == "reset" else Cut.FIN)
        elif what == "late":
            await self._delay(rnd.uniform(0.01, 0.3), for_s)
        else:
            flow = Flow.HOLD if what == "held" else Flow.SWALLOW
            up, down = rnd.choice(((True, True), (True, False), (False, True)))
            await self.proxy.trouble(flow, up=up, down=down, for_s=for_s)
        return what

    async def _shut(self, for_s: float) -> None:
        self.proxy.shut = True
        self.proxy.cut(Cut.RST)
        try:
            await trio.sleep(for_s)
        finally:
            self.proxy.shut = False

    async def _delay(self, delay_s: float, for_s: float) -> None:
        self.proxy.up.delay_s = self.proxy.down.delay_s = delay_s
        try:
            await trio.sleep(for_s)
        finally:
            self.proxy.up.delay_s = self.proxy.down.delay_s = 0.0


@dataclass(frozen=True, slots=True)
class PacketWire:
    """A link between this machine and a network namespace.

    Attributes:
        namespace: Its name.
        near: Address of this end, where the server listens.
        far: Address of the worker's end.
        port: Name of this end's port; the other's is this with an ``x``.
        emulated: The kernel has a loss emulator.
    """

    namespace: str
    near: str
    far: str
    port: str
    emulated: bool

    @property
    def prefix(self) -> tuple[str, ...]:
        """Words before a command that is to run at the far end."""
        return ("ip", "netns", "exec", self.namespace)

    async def mishap(self, rnd: random.Random, span_s: tuple[float, float]) -> str:
        """Lose all packets of one direction or both for a while."""
        near, far = rnd.choice(((True, True), (True, False), (False, True)))
        try:
            await trio.to_thread.run_sync(self._lose, near, far)
            await trio.sleep(rnd.uniform(*span_s))
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._mend)
        return "dropped both ways" if near and far else "dropped one way"

    def _lose(self, near: bool, far: bool) -> None:
        ends = (((), self.port, self.far), (self.prefix, f"{self.port}x", self.near))
        for (prefix, port, other), wanted in zip(ends, (near, far), strict=True):
            if wanted and self.emulated:
                _run(*prefix, "tc", "qdisc", "add", "dev", port, "root", "netem", "loss", "100%")
            elif wanted:
                _run(*prefix, "ip", "neigh", "replace", other, "lladdr", _NOBODY, "dev", port, "nud", "permanent")

    def _mend(self) -> None:
        for prefix, port, other in (((), self.port, self.far), (self.prefix, f"{self.port}x", self.near)):
            with contextlib.suppress(subprocess.CalledProcessError):  # it was not lost
                if self.emulated:
                    _run(*prefix, "tc", "qdisc", "del", "dev", port, "root")
                else:
                    _run(*prefix, "ip", "neigh", "del", other, "dev", port)


def why_not() -> str | None:
    """Why there can be no network namespaces here, None if there can."""
    if shutil.which("ip") is None:
        return "there is no program ip"
    try:
        with namespaces(1):
            return None
    except subprocess.CalledProcessError as error:
        return f"{' '.join(error.cmd)}: {error.stderr.strip()}"


@contextlib.contextmanager
def namespaces(count: int) -> Iterator[list[PacketWire]]:
    """So many namespaces, each with a link to this one; all is removed afterwards.

    Raises:
        subprocess.CalledProcessError: It is not allowed.
    """
    wires: list[PacketWire] = []
    try:
        for number in range(count):
            wires.append(_wire(number))
            _make(wires[-1])
        emulated = bool(wires) and _emulates(wires[0])
        yield [PacketWire(each.namespace, each.near, each.far, each.port, emulated) for each in wires]
    finally:
        for wire in wires:
            for words in (("link", "del", wire.port), ("netns", "del", wire.namespace)):
                with contextlib.suppress(subprocess.CalledProcessError):
                    _run("ip", *words)


def _wire(number: int) -> PacketWire:
    """Names and addresses that no other run has at the same time."""
    own = os.getpid() % 60_000
    net = f"10.{200 + number % 50}.{own // 256}.{own % 256 & 0xFC}"
    head, _, tail = net.rpartition(".")
    port = f"jd{own}w{number}"
    return PacketWire(f"jobdeck-{own}-{number}", f"{head}.{int(tail) + 1}", f"{head}.{int(tail) + 2}", port, False)


def _make(wire: PacketWire) -> None:
    _run("ip", "netns", "add", wire.namespace)
    _run("ip", "link", "add", wire.port, "type", "veth", "peer", "name", f"{wire.port}x")
    _run("ip", "link", "set", f"{wire.port}x", "netns", wire.namespace)
    _run("ip", "addr", "add", f"{wire.near}/30", "dev", wire.port)
    _run("ip", "link", "set", wire.port, "up")
    _run(*wire.prefix, "ip", "addr", "add", f"{wire.far}/30", "dev", f"{wire.port}x")
    for port in ("lo", f"{wire.port}x"):
        _run(*wire.prefix, "ip", "link", "set", port, "up")


def _emulates(wire: PacketWire) -> bool:
    """Whether the kernel can lose packets on purpose."""
    try:
        _run("tc", "qdisc", "add", "dev", wire.port, "root", "netem", "loss", "100%")
        _run("tc", "qdisc", "del", "dev", wire.port, "root")
    except (subprocess.CalledProcessError, FileNotFoundError):
        return False
    return True


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True, timeout=20)
