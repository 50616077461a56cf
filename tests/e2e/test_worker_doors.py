"""Real worker programs that may not come in, or not any more: each is told why, and says so in its log."""

from __future__ import annotations

import shutil
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.worker_fleet import Fleet, Worker, running_fleet
from tests.pki import Pki

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
_LIMIT_S = 60.0


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A server with one worker that is online."""
    with running_fleet(tmp_path / "fleet", "honest", beat_s=1.0) as running:
        yield running


def says(worker: Worker, *words: str) -> None:
    """Wait until a worker's log has these words in one line."""
    limit = time.monotonic() + _LIMIT_S
    while not any(all(word in line for word in words) for line in worker.log.read_text().splitlines()):
        assert time.monotonic() < limit, worker.log.read_text()
        time.sleep(0.05)


def shown(fleet: Fleet, *, fine: bool) -> None:
    """Wait until the server shows a certificate that is believed, or none."""
    limit = time.monotonic() + _LIMIT_S
    while True:
        try:
            fleet.server.ask("GET", "/v1/info")
            believed = True
        except ssl.SSLCertVerificationError:
            believed = False
        if believed is fine:
            return
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_certificates_and_tokens(fleet: Fleet) -> None:
    pki = fleet.pki
    old = fleet.add("old", flags=("--client-cert", str(pki.issue("old", ended_days=1))))
    fine = fleet.add("fine", flags=("--client-cert", str(pki.issue("fine"))))
    runner = fleet.add("runner", role="run")
    folder = fleet.folder / "other"
    folder.mkdir()
    doubter = fleet.add("doubter", flags=("--ca", str(Pki(folder).ca_file)))
    for worker in (old, fine, runner, doubter):
        worker.launch()
    fleet.wait_state(["honest", "fine"])
    says(old, "certificate")
    says(runner, "token")
    says(doubter, "certificate")
    pki.issue("server", ended_days=1)  # the server reads it again when it changes
    shown(fleet, fine=False)
    fine.kill()
    fine.launch()
    says(fine, "certificate", "expired")
    pki.issue("server")
    shown(fleet, fine=True)
    fleet.wait_state(["honest", "fine"])
    assert set(fleet.listed()) == {"honest", "fine"}
    assert "Traceback" not in fleet.logs()


def test_two_programs_with_one_identity(fleet: Fleet) -> None:
    (honest,) = fleet.workers
    copy = fleet.add("copy")
    shutil.copytree(
        honest.data_dir, copy.data_dir, ignore=shutil.ignore_patterns("*.lock", "*.fifo", "*.sock", "spares")
    )
    before = (honest.data_dir / "worker.id").read_text()
    assert (copy.data_dir / "worker.id").read_text() == before
    copy.launch()  # both live: the copy has taken the identity over, and the first one may not have it back
    fleet.wait_state(["copy"])
    says(honest, "another program has joined as this very worker")
    honest.kill()
    honest.launch()
    says(honest, "identity")
    listed = fleet.listed()
    assert [each["id"] for each in listed.values()] == [before.strip()]
    assert listed["copy"]["state"] == "online"
