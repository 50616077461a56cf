"""The published BlobClient of webgme-engine 2.31, unchanged, against a real server."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from jobdeck_server.core.blobrecord import file_record, metadata_hash
from tests.clients.places import HERE, PACKAGES
from tests.e2e.program import JOBDECK, Server, server

LIMIT_S = 60.0
HELLO_ID = "b4674eed089624de91111e9a9b7c8212d95fb6dc"
HELLO_CONTENT = "1a05d6ba885624eac51de0fd66cc12a2c4159837"
LARGE = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(250_000))


def use(running: Server, folder: Path, *token: str) -> subprocess.CompletedProcess[str]:
    (folder / "large.bin").write_bytes(LARGE)
    words = ["node", str(HERE / "blobclient.cjs"), str(PACKAGES), str(running.port), str(folder), *token]
    return subprocess.run(words, capture_output=True, text=True, encoding="utf-8", timeout=LIMIT_S, check=False)


def check(told: dict[str, Any], folder: Path) -> None:
    """What the client told of a whole day's work."""
    assert told["file"] == HELLO_ID
    assert told["empty"] == "fba61e01ae2d82eed7b790d8931385e958d9412b"
    assert told["odd"] == "b9a10f4f271515a3edcec04bccc86e7ddecf0f47"
    assert told["unicode"] == "01345ef963fdd1bfb10e218a592c2d18796d4991"
    assert told["files"] == {
        "noext": "cc8fbbc3e2cd22be118bba7a4ab9ee28f58e5142",
        "a/b.txt": "3f788767f958eaff9015c6a27d1f7783b5ef9682",
    }
    assert told["metadata"]["content"] == HELLO_CONTENT
    assert (told["object"], told["emptyObject"], told["string"]) == ("Hello, blob!\n", "", "Hello, blob!\n")
    assert told["json"] == {"1": 2}
    assert told["streamed"] == metadata_hash(
        file_record("large.bin", len(LARGE), "application/octet-stream", hashlib.sha1(LARGE).hexdigest())
    )
    back = (folder / "large.back").read_bytes()
    assert (len(back), back == LARGE) == (len(LARGE), True)

    content = told["artifactMetadata"]["content"]
    assert list(content) == ["9", "10", "B.txt", "copy.txt", "link.txt", "z/b.txt"]
    assert content["z/b.txt"] == {"content": HELLO_CONTENT, "contentType": "object"}
    assert content["link.txt"] == {"content": HELLO_ID, "contentType": "softLink"}
    assert (told["part"], told["linked"]) == ("Hello, blob!\n", "Hello, blob!\n")
    assert (folder / "part.back").read_bytes() == b"Hello, blob!\n"
    with zipfile.ZipFile(folder / "art.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == list(reversed(list(content)))
        assert (archive.read("9"), archive.read("10"), archive.read("B.txt")) == (b"nine", b"ten", b"Hello, blob!\n")
    assert len({told["artifact"], told["extended"], told["nothing"]}) == 3
    assert [str(told[name]) for name in ("unknown", "unknownObject", "unknownPart")] == ["404"] * 3


def test_a_days_work(running: Server, tmp_path: Path) -> None:
    done = use(running, tmp_path)
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout), tmp_path)


@pytest.fixture
def guarded(tmp_path: Path) -> tuple[Path, str]:
    """A data directory with a token that may run, and the token."""
    data_dir = tmp_path / "guarded"
    made = subprocess.run(
        [*JOBDECK, "token", "create", "--role", "run", "--data-dir", str(data_dir)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    return data_dir, made.stdout.split()[-1]


def test_a_days_work_with_a_token(guarded: tuple[Path, str], tmp_path: Path) -> None:
    data_dir, token = guarded
    with server(data_dir, "--require-token") as running:
        refused = use(running, tmp_path)
        assert (refused.returncode, "Unauthorized" in refused.stderr) == (1, True), refused
        done = use(running, tmp_path, token)
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout), tmp_path)
