"""Bundles for the executor, and its routes as a client asks them."""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tests.e2e.program import Server

ALL = ({"name": "all", "resultPatterns": []},)
FINISHED = ("SUCCESS", "CANCELED", "FAILED_")
TEXT_CONFIG = b"""{
	"cmd": "echo",
	"args": ["some sample text to be written to file to be written to job_stdout.txt"],
	"resultArtifacts": [
		{
			"name": "all",
			"resultPatterns": []
		}
    ]
}
"""
"""The walkthrough's, to the byte."""


def sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def config(cmd: str, *args: str, artifacts: object = ALL, **more: object) -> bytes:
    """An ``executor_config.json``."""
    return json.dumps({"cmd": cmd, "args": list(args), "resultArtifacts": artifacts, **more}).encode()


def zipped(files: Mapping[str, bytes], *, programs: tuple[str, ...] = ()) -> bytes:
    """A zip of files; those named in ``programs`` may be run."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, (2015, 9, 9, 18, 23, 28))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o100755 if name in programs else 0o100644) << 16
            archive.writestr(info, data)
    return made.getvalue()


def bundle(cmd: str, *args: str, files: Mapping[str, bytes] | None = None, **more: object) -> bytes:
    """A zip with a config."""
    return zipped({"executor_config.json": config(cmd, *args, **more), **(files or {})})


def script(text: str, *, files: Mapping[str, bytes] | None = None, **more: object) -> bytes:
    """A bundle that runs a line in the shell."""
    return bundle("/bin/sh", "-c", text, files=files, **more)


class Rest:
    """``/rest/blob`` and ``/rest/executor`` of a server."""

    def __init__(self, running: Server) -> None:
        self.server = running

    def upload(self, data: bytes, name: str = "job.zip") -> str:
        """The hash of the record of an upload."""
        status, _, body = self.server.ask("POST", f"/rest/blob/createFile/{quote(name, safe='')}", data)
        assert status == 200, body
        return str(next(iter(json.loads(body))))

    def metadata(self, record: Mapping[str, object]) -> str:
        """The hash of a record that is sent."""
        status, _, body = self.server.ask("POST", "/rest/blob/createMetadata/", json.dumps(record))
        assert status == 200, body
        return str(next(iter(json.loads(body))))

    def artifact(self, files: Mapping[str, str], kind: str = "softLink") -> str:
        """The hash of an artifact: path to hash."""
        content = {path: {"content": each, "contentType": kind} for path, each in files.items()}
        return self.metadata(
            {"name": "a.zip", "size": 0, "mime": "application/zip", "content": content, "contentType": "complex"}
        )

    def record(self, blob_hash: str) -> dict[str, Any]:
        """A record."""
        status, _, body = self.server.ask("GET", f"/rest/blob/metadata/{blob_hash}")
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    def files(self, blob_hash: str) -> dict[str, bytes]:
        """What an artifact holds, by way of its zip."""
        status, _, body = self.server.ask("GET", f"/rest/blob/download/{blob_hash}")
        assert status == 200, body
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def create(self, key: str, query: str = "", **fields: object) -> dict[str, Any]:
        """A job's JobInfo."""
        headers = {"Content-Type": "application/json"} if fields else {}
        body = json.dumps(fields) if fields else None
        status, _, answer = self.server.ask(
            "POST", f"/rest/executor/create/{quote(key, safe='')}{query}", body, headers
        )
        assert status == 200, answer
        found: dict[str, Any] = json.loads(answer)
        return found

    def info(self, key: str) -> dict[str, Any]:
        """A job's JobInfo."""
        status, _, body = self.server.ask("GET", f"/rest/executor/info/{quote(key, safe='')}")
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    def ended(self, key: str, limit_s: float = 50.0) -> dict[str, Any]:
        """Its JobInfo once it has ended."""
        limit = time.monotonic() + limit_s
        while not (info := self.info(key))["status"].startswith(FINISHED):
            assert time.monotonic() < limit, (info, self.server.log.read_text()[-2000:])
            time.sleep(0.02)
        return info

    def ran(self, data: bytes, name: str = "job.zip") -> dict[str, Any]:
        """Upload a bundle, run it, and return how it ended."""
        key = self.upload(data, name)
        self.create(key)
        return self.ended(key)

    def job(self, key: str) -> dict[str, Any]:
        """The native record of the newest job with a key."""
        status, _, body = self.server.ask("GET", "/v1/jobs?dialect=webgme&limit=500")
        assert status == 200, body
        found: list[dict[str, Any]] = [each for each in json.loads(body)["items"] if each["key"] == key]
        return found[0]
