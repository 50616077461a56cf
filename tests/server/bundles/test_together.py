"""A bundle's way: unpacked, its config read, and what its job left taken by its patterns; and every limit's source."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import fields
from pathlib import Path

import pytest

from jobdeck_server.core.bundles.config import CONFIG_NAME, parse_config
from jobdeck_server.core.bundles.errors import shown
from jobdeck_server.core.bundles.globs import Patterns
from jobdeck_server.core.bundles.limits import ConfigLimits, PatternLimits, UnpackLimits, WalkLimits
from jobdeck_server.core.bundles.unpack import never, unpack
from jobdeck_server.core.bundles.walk import walk
from jobdeck_server.settings import Settings
from tests.server.bundles.test_config import WALKTHROUGH
from tests.server.bundles.zips import memory


def test_the_walkthroughs_job(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(CONFIG_NAME, WALKTHROUGH)
    fd = memory(packed.getvalue())
    unpack(fd, tmp_path, UnpackLimits())
    os.close(fd)
    config = parse_config((tmp_path / CONFIG_NAME).read_bytes())
    (tmp_path / "job_stdout.txt").write_text(config.args[0] + "\n")
    (tmp_path / "job_stderr.txt").touch()
    (tmp_path / ".hidden").touch()
    wanted = Patterns(config.artifacts[0].patterns)
    files = walk(tmp_path, WalkLimits(), cancelled=never)
    assert [each.path for each in files if wanted.matches(each.path)] == [
        ".hidden",
        "executor_config.json",
        "job_stderr.txt",
        "job_stdout.txt",
    ]


def test_every_limit_is_the_servers() -> None:
    numbers = {
        each.name: 1000 + number
        for number, each in enumerate(fields(Settings))
        if each.name.startswith(("bundle_", "executor_", "argument_", "command_"))
        and each.name.endswith(("_count", "_bytes", "_ratio_limit"))
    }
    settings = Settings(data_dir=Path(), **numbers)  # type: ignore[arg-type]  # all of these are whole numbers
    own = {number for name, number in numbers.items() if name.startswith("bundle_")}
    taken = {
        getattr(limits, each.name)
        for limits in (UnpackLimits.of(settings), WalkLimits.of(settings), ConfigLimits.of(settings))
        for each in fields(limits)
    }
    assert own <= taken
    assert ConfigLimits.of(settings).patterns == PatternLimits.of(settings)
    assert PatternLimits.of(settings).count == settings.executor_pattern_limit_count
    assert WalkLimits.of(settings).entry_count == settings.executor_result_limit_count
    assert UnpackLimits() == UnpackLimits.of(Settings(data_dir=Path()))


@pytest.mark.parametrize("name", ["a", "'", "\x1b[2J" * 50, "é" * 500, b"\xff\0", "x" * 10_000, "\ud800"])
def test_foreign_names_in_sentences(name: str | bytes) -> None:
    told = shown(name)
    assert told.isascii()
    assert told.isprintable()
    assert len(told) < 100
    assert told[0] == told[-1]
