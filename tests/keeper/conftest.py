from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.keeper.client import Client, KeeperProcess


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the modules that say so with cgroups and without."""
    if "keeper" in metafunc.fixturenames and getattr(metafunc.module, "WITH_AND_WITHOUT_CGROUPS", False):
        metafunc.parametrize("keeper", ["cgroup", "descendants"], indirect=True, scope="module")


@pytest.fixture(scope="module")
def keeper(request: pytest.FixtureRequest) -> Iterator[KeeperProcess]:
    """A keeper for all tests of a module."""
    kind = getattr(request, "param", "")
    flags = ["--no-cgroup"] if kind == "descendants" else []
    process = KeeperProcess(Path(tempfile.mkdtemp(prefix="jd-")) / "data", *flags)
    yield process
    log = process.log()
    process.end()
    assert log == "", "the keeper or a shim has complained"


@pytest.fixture
def client(keeper: KeeperProcess, request: pytest.FixtureRequest) -> Iterator[Client]:
    connection = Client(keeper.data)
    if "cgroup]" in request.node.name and not connection.greeting["cgroup"]:
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
