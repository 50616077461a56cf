"""`jobdeck blobs`, as a user and as a program see it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import threading
import zipfile
from pathlib import Path

import pytest

from jobdeck_client import BlobEntry, Collected
from jobdeck_protocol.blob import ARTIFACT, LINK, Blob
from jobdeck_tui.commands.blobsheet import collected_text, sheet, table
from jobdeck_tui.commands.progress import progress_text
from jobdeck_tui.names import safe_name

from .conftest import Jobdeck, Server, Terminal

HELLO = b"Hello, blob!\n"
HELLO_BLOB = "b4674eed089624de91111e9a9b7c8212d95fb6dc"


def test_put_ls_show_get_rm(jobdeck: Jobdeck, tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_bytes(HELLO)
    done = jobdeck("blobs", "put", "hello.txt", "--tag", "cli", cwd=tmp_path)
    assert (done.stdout, done.returncode) == (f"{HELLO_BLOB}  hello.txt\n".encode(), 0)

    head, line = jobdeck("blobs", "ls", "--tag", "cli").stdout.decode().splitlines()
    assert head.split() == ["HASH", "TYPE", "SIZE", "AGE", "TAGS", "NAME"]
    assert re.fullmatch(r"b4674eed  file  13 B  [\d.]+s +cli +hello\.txt", line)

    shown = jobdeck("blobs", "show", "b4674eed").stdout.decode()
    assert f"hash      {HELLO_BLOB}\n" in shown
    assert "size      13 B (13 bytes)\n" in shown
    assert json.loads(jobdeck("blobs", "show", "--json", "b4674eed").stdout)["mime"] == "text/plain"

    (tmp_path / "here").mkdir()
    done = jobdeck("blobs", "get", "b4674eed", cwd=tmp_path / "here")
    assert done.stdout == b"hello.txt  13 B\n"
    assert (tmp_path / "here" / "hello.txt").read_bytes() == HELLO
    done = jobdeck("blobs", "get", "b4674eed", cwd=tmp_path / "here")
    assert (done.returncode, done.stderr) == (1, b"jobdeck: hello.txt is there already; --force replaces it\n")
    assert jobdeck("blobs", "get", "b4674eed", "--force", cwd=tmp_path / "here").returncode == 0
    assert jobdeck("blobs", "get", "b4674eed", "-o", "-").stdout == HELLO

    done = jobdeck("blobs", "rm", "b4674eed", "ffffffff")
    assert done.returncode == 1
    assert done.stderr.startswith(b"jobdeck: ffffffff: Requested object does not exist")
    assert jobdeck("blobs", "ls", "--tag", "cli").stderr == b"jobdeck: no such blobs\n"


def test_a_folder_is_an_artifact(jobdeck: Jobdeck, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    (folder / "d").mkdir(parents=True)
    (folder / "a").write_bytes(b"a" * 100_000)
    (folder / "d" / "b.txt").write_bytes(b"b")
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    done = jobdeck("blobs", "put", "results", "--tag", "folder", "--json", cwd=tmp_path)
    blob = json.loads(done.stdout)
    assert (blob["name"], blob["type"], blob["entry_count"]) == ("results.zip", "complex", 2)
    assert (blob["size_bytes"], blob["tags"]) == (100_001, ["folder"])
    lines = jobdeck("blobs", "show", blob["hash"][:8]).stdout.decode().splitlines()
    assert lines[-2:] == ["97.7 KiB  a", "     1 B  d/b.txt"]
    assert jobdeck("blobs", "get", blob["hash"], "d/b.txt", cwd=tmp_path).stdout == b"b.txt  1 B\n"
    data = jobdeck("blobs", "get", blob["hash"], "-o", "-").stdout
    assert sorted(zipfile.ZipFile(io.BytesIO(data)).namelist()) == ["a", "d/b.txt"]
    part = hashlib.sha1(b"b").hexdigest()
    (file,) = [each for each in _listed(jobdeck, "--name", "b.txt") if each["content"] == part]
    done = jobdeck("blobs", "rm", str(file["hash"]))
    assert (done.returncode, b"part of another" in done.stderr) == (1, True)
    assert jobdeck("blobs", "rm", "-r", blob["hash"]).returncode == 0
    assert not _listed(jobdeck, "--name", "b.txt")


def _listed(jobdeck: Jobdeck, *words: str) -> list[dict[str, object]]:
    return list(map(json.loads, jobdeck("blobs", "ls", "--json", *words).stdout.splitlines()))


def test_standard_input_tags_and_pins(server: Server, jobdeck: Jobdeck) -> None:
    sent = server.jobdeck("blobs", "put", "-", "--name", "in.bin", stdin=b"x" * 1_000_000)
    blob = sent.stdout.decode().split()[0]
    assert jobdeck("blobs", "tag", blob, "--add", "one", "--add", "two").returncode == 0
    assert jobdeck("blobs", "tag", blob, "--remove", "one").returncode == 0
    assert jobdeck("blobs", "pin", blob).returncode == 0
    (found,) = _listed(jobdeck, "--pinned", "--type", "file")
    assert (found["hash"], found["tags"], found["size_bytes"]) == (blob, ["two"], 1_000_000)
    assert b"file*" in jobdeck("blobs", "ls", "--pinned").stdout
    done = jobdeck("blobs", "rm", blob)
    assert (done.returncode, b"is pinned" in done.stderr) == (1, True)
    assert jobdeck("blobs", "pin", "--off", blob).returncode == 0
    assert jobdeck("blobs", "rm", blob).returncode == 0


def test_what_calls_itself_empty_is_read_all_the_same(jobdeck: Jobdeck) -> None:
    done = jobdeck("blobs", "put", "/proc/cpuinfo", "--json")
    assert json.loads(done.stdout)["size_bytes"] > 0


def test_gc(jobdeck: Jobdeck) -> None:
    done = jobdeck("blobs", "gc", "--dry-run")
    assert done.stdout.startswith(b"would go: 0 blobs that nobody needs, 0 B in 0 files\nkept: ")
    assert json.loads(jobdeck("blobs", "gc", "--json", "--unused", "30d", "--yes").stdout)["record_count"] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("put",), "Missing argument"),
        (("put", "a", "b", "--name", "x"), "one FILE only"),
        (("put", "-"), "needs a --name"),
        (("tag", "x"), "--add or --remove"),
        (("gc", "--unused", "soon", "--yes"), "no length of time"),
        (("gc", "--unused", "1d"), "--dry-run or --yes"),
        (("ls", "--type", "job"), "Invalid value"),
    ],
)
def test_wrong_usage(jobdeck: Jobdeck, words: tuple[str, ...], says: str) -> None:
    done = jobdeck("blobs", *words)
    assert (done.returncode, says in done.stderr.decode()) == (2, True)


def test_files_that_cannot_be_read_or_written(jobdeck: Jobdeck, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"f")
    done = jobdeck("blobs", "put", "missing", "f", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, b"jobdeck: missing: No such file or directory\n")
    blob = done.stdout.decode().split()[0]
    done = jobdeck("blobs", "get", blob, "-o", "no/such/folder", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, b"jobdeck: no/such/folder: No such file or directory\n")
    assert jobdeck("blobs", "ls", JOBDECK_SERVER="http://127.0.0.1:1").returncode == 3


def test_progress_is_told_on_a_terminal(server: Server, tmp_path: Path) -> None:
    pipe = tmp_path / "slow.bin"
    os.mkfifo(pipe)
    terminal = Terminal(server, "blobs", "put", str(pipe))
    with pipe.open("wb", buffering=0) as file:

        def more() -> None:
            while not over.wait(0.05):
                file.write(b"x" * 1000)

        over = threading.Event()
        writer = threading.Thread(target=more)
        writer.start()
        terminal.wait_for("slow.bin  ")
        terminal.wait_for("B/s")
        over.set()
        writer.join()
    assert terminal.end() == 0
    (line,) = terminal.lines()
    assert re.fullmatch(r"[0-9a-f]{40}  slow\.bin", line)


def test_names_of_others_become_names_of_files() -> None:
    for name, safe in (
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("..\\x", "x"),
        ("..", ""),
        (".bashrc", "_bashrc"),
        ("...x", "_x"),
        ("a\x1b[2J\n", "a_[2J_"),
        ("", ""),
        ("/", ""),
        ("ä" * 300, "ä" * 100),
        ("\ud800", "?"),
    ):
        assert safe_name(name) == safe


def test_lines_for_people() -> None:
    blobs = [
        Blob(
            hash="a" * 40, name="x\x1b[2J" + "n" * 50, size_bytes=5_000_000_000, type=ARTIFACT, tags=("t",), pinned=True
        ),
        Blob(hash="ab" * 20, name="l", type=LINK, content="c" * 40, public=True, uploaded=False),
    ]
    lines = table(blobs, now_us=90_000_000, limit=70)
    assert [len(line) for line in lines] == [len(lines[0]), 70, len(lines[2])]
    assert lines[1].startswith("aaaaaaaa  artifact*  4.7 GiB  90s  t     x␛[2Jnnn")
    assert lines[1].endswith("…")
    facts = sheet(blobs[1], [], now_us=0)
    assert f"links to  {'c' * 40}" in facts
    assert "is        public, goes by itself" in facts
    entries = [
        BlobEntry(path="d/\x07", type="object", hash="d" * 40, size_bytes=3),
        BlobEntry(path="no", type="softLink", hash="e" * 40, size_bytes=None),
    ]
    art = Blob(hash="a" * 40, type=ARTIFACT, entry_count=5)
    assert sheet(art, entries, now_us=0)[-3:] == ["3 B  d/␇", "  -  no", "and 3 more; all of them with --json"]
    found = Collected(
        dry_run=False,
        records=(),
        record_count=1,
        content_count=2,
        content_bytes=3,
        kept_count=4,
        kept_bytes=5,
        young_count=1,
    )
    assert collected_text(found)[0] == "gone: 1 blob that nobody needs, 3 B in 2 files"
    assert "1 file that nobody needs came too short" in collected_text(found)[2]
    assert progress_text(1 << 30, 1 << 31, 1 << 28) == "1.0 GiB of 2.0 GiB, 50 %, 256 MiB/s, 4.0s left"
    assert progress_text(5, None, 0) == "5 B, 0 B/s"
