"""Packages on a real server: a wheel goes up by keys, a class out of it runs, and while it does the package stays."""

from __future__ import annotations

import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobdeck_protocol.job import JobState
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.output import OutputScreen
from jobdeck_tui.console.screens.packages import PackagesScreen
from jobdeck_tui.console.screens.packageupload import PackageUploadScreen
from jobdeck_tui.console.screens.startclass import StartClassScreen
from jobdeck_tui.console.widgets.package_table import PackageTable
from tests.tui.conftest import Server
from tests.tui.console.blobs import press
from tests.tui.console.harness import ui, until
from tests.tui.console.real import Real, console

if TYPE_CHECKING:
    pass

_SOURCE = """\
import time

from sparkjobserver.api import SparkJob


class Waiting(SparkJob):
    def validate(self, context, runtime, config):
        return config["input.text"]

    def run_job(self, context, runtime, data):
        print("was told", data, flush=True)
        time.sleep(600)
"""


def wheel(folder: Path) -> None:
    with zipfile.ZipFile(folder / "console_jobs-1.0-py3-none-any.whl", "w") as file:
        file.writestr("console_jobs/__init__.py", _SOURCE)
        about = "console_jobs-1.0.dist-info"
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: console_jobs\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", "")


async def drive(it: Real) -> None:
    """The story, by keys."""

    app, pilot, guest, client = it.app, it.pilot, it.guest, it.client
    see, on = it.see, it.on
    await press(pilot, "4")
    await on(PackagesScreen)
    # The server may have packages of other tests.
    await press(pilot, "slash", *"console_jobs", "enter")
    await until(pilot, lambda: isinstance(app.focused, PackageTable))
    await press(pilot, "u")
    await on(PackageUploadScreen)
    await press(pilot, *"console", "tab")
    await see("name  console_jobs")
    await press(pilot, "enter")
    await see("wheel console_jobs")
    await press(pilot, "escape")
    await on(PackagesScreen)
    await until(pilot, lambda: "console_jobs" in app.state.packages.items)

    await press(pilot, "enter")
    await on(StartClassScreen)
    await see("console_jobs.Waiting", "1 of 1")
    await press(pilot, "tab", "tab", "tab", *"input {", "enter", *"text: hello", "enter")
    await see("✗ line 3", "expected }")
    await press(pilot, "}")
    await see("✓ can be read, 1 key")
    await press(pilot, "ctrl+s")
    await on(OutputScreen)
    await see("was told hello")

    await press(pilot, "4")
    await on(PackagesScreen)
    await press(pilot, "d")
    await on(ConfirmScreen)
    job = app.state.list.rows[0]
    assert (job.main_class, job.packages, job.state) == ("console_jobs.Waiting", ("console_jobs",), JobState.RUNNING)
    await press(pilot, "y")
    await see("in use", job.id[:8])
    await press(pilot, "1")
    await see("…Waiting · console_jobs · ad-hoc")

    await guest.call(partial(client.stop, job.id, signal=9))
    await until(pilot, lambda: app.state.list.rows[0].ended)
    # Another client removes it, and that is seen.
    await guest.call(client.delete_package, "console_jobs")
    await press(pilot, "4")
    await until(pilot, lambda: "console_jobs" not in app.state.packages.items)


@pytest.mark.slow
@ui
async def test_a_wheel_goes_up_and_a_class_out_of_it_runs(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(tmp_path)
    monkeypatch.chdir(tmp_path)
    async with console(server.url, notifications=True) as it:
        await drive(it)
