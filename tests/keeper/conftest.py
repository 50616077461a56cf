from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.keeper.client import Client, KeeperProcess


@pytest.fixture(scope="module", params=["cgroup", "descendants"])
def keeper(request: pytest.FixtureRequest) -> Iterator[KeeperProcess]:
    """A keeper for all tests of a module, once with cgroups, once without."""
    flags = ["--no-cgroup"] if request.param == "descendants" else []
    process = KeeperProcess(Path(tempfile.mkdtemp(prefix="jd-")) / "data", *flags)
    yield process
    log = process.log()
    process.end()
    assert log == "", "the keeper or a shim has complained"


@pytest.fixture
def client(keeper: KeeperProcess) -> Iterator[Client]:
    connection = Client(keeper.data)
    if keeper.flags == () and not connection.greeting["cgroup"]:
        connection.close()
        pytest.skip("no writable cgroup v2 here")
    yield connection
    connection.close()


@pytest.fixture
def make_keeper() -> Iterator[Callable[..., KeeperProcess]]:
    """Make keepers of one's own."""
    made: list[KeeperProcess] = []

    def make(*flags: str, data: Path | None = None) -> KeeperProcess:
        made.append(KeeperProcess(data or Path(tempfile.mkdtemp(prefix="jd-")) / "data", *flags))
        return made[-1]

    yield make
    for process in made:
        process.end()
