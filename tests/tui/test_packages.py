"""`jobdeck packages`, as a user and as a program see it."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

from jobdeck_client import PackageDetails
from jobdeck_protocol.packageinfo import JAR, PackageInfo
from jobdeck_tui.commands.packagesheet import sheet, table

from .conftest import Jobdeck

NOW_US = 1_800_000_000_000_000
NEW = PackageInfo(
    name="count\x1b[31m",
    size_bytes=2048,
    hash="a" * 40,
    content="b" * 40,
    uploaded_us=NOW_US - 7_200_000_000,
    versions_count=2,
)
OTHER = PackageInfo(name="a name as long as a name can be told", kind=JAR, size_bytes=5, uploaded_us=NOW_US)


def wheel(folder: Path, source: str) -> str:
    path = folder / "counting-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("counting/words.py", source)
    return str(path)


def test_put_ls_show_and_rm(jobdeck: Jobdeck, tmp_path: Path) -> None:
    file = wheel(tmp_path, "class Count:\n  def run_job(self, *_): pass\n")
    put = jobdeck("packages", "put", "counting", file)
    assert (put.returncode, put.stderr) == (0, b"")
    assert re.fullmatch(rb"counting  wheel  [0-9a-f]{40}\n", put.stdout)
    told = json.loads(jobdeck("packages", "put", "--json", "--kind", "egg", "counting", file).stdout)
    assert (told["name"], told["kind"], told["versions_count"]) == ("counting", "egg", 2)
    assert json.loads(jobdeck("packages", "ls", "--json").stdout) == told
    head, row = jobdeck("packages", "ls").stdout.decode().splitlines()
    assert head.split() == ["KIND", "SIZE", "AGE", "VERSIONS", "NAME"]
    assert re.fullmatch(r"egg +\d+ B +[0-9.]+m?s +2 +counting", row)
    shown = jobdeck("packages", "show", "counting").stdout.decode()
    assert "class     counting.words.Count\n" in shown
    found = json.loads(jobdeck("packages", "show", "--json", "counting").stdout)
    assert found["classes"] == ["counting.words.Count"]
    assert [version["kind"] for version in found["versions"]] == ["egg", "wheel"]
    gone = jobdeck("packages", "rm", "counting", "nothing")
    assert gone.returncode == 1
    assert gone.stderr == b"jobdeck: nothing: There is no binary with the name 'nothing'.\n"
    assert jobdeck("packages", "ls").stderr == b"jobdeck: no packages\n"


def test_what_is_refused(jobdeck: Jobdeck, tmp_path: Path) -> None:
    bad = tmp_path / "bad.whl"
    bad.write_bytes(b"no zip at all")
    refused = jobdeck("packages", "put", "bad", str(bad))
    assert (refused.returncode, refused.stderr) == (1, b"jobdeck: Binary is not of the right format\n")
    missing = jobdeck("packages", "put", "bad", str(tmp_path / "none.whl"))
    assert missing.returncode == 1
    assert b"No such file" in missing.stderr
    unknown = jobdeck("packages", "put", "bad", str(tmp_path / "bad.zip"))
    assert unknown.returncode == 2
    assert b"say --kind" in unknown.stderr
    assert jobdeck("packages", "show", "bad").returncode == 1


def test_a_narrow_terminal_cuts_names_alone_and_nothing_foreign_gets_through() -> None:
    lines = table([NEW, OTHER], now_us=NOW_US, limit=52)
    assert max(map(len, lines)) <= 52
    assert not any("\x1b" in line for line in lines)
    assert lines[2].endswith("…")
    assert OTHER.name in table([OTHER], now_us=NOW_US, limit=None)[1]


def test_a_sheet_tells_all() -> None:
    found = PackageDetails(package=NEW, versions=(NEW, OTHER), classes=("a.B", "c.\x07D"), classes_complete=False)
    lines = sheet(found, now_us=NOW_US)
    assert [line.split()[0] for line in lines[:8]] == [
        *("name", "kind", "size", "sent", "blob", "content", "before", "class")
    ]
    assert not any("\x1b" in line or "\x07" in line for line in lines)
    assert lines[-1].strip().startswith("the server could not look at all of it")
