"""A worker's shelf over real connections to a server that fails in every way; and its cache of bundles."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from jobdeck_server.core.blobrecord import Record, metadata_hash
from jobdeck_server.core.bundles.errors import LeftOutError
from jobdeck_server.core.bundles.limits import WalkLimits
from jobdeck_server.core.bundles.walk import FoundFile, walk
from jobdeck_server.core.errors import CapacityError, JobdeckError, MissingContentError, NoSpaceError, UnknownBlobError
from jobdeck_server.engines.shelf import AwayError
from jobdeck_server.http.message import Request, Response
from jobdeck_server.settings import Settings
from jobdeck_server.worker.bundlecache import BundleCache
from jobdeck_server.worker.settings import WorkerSettings
from jobdeck_server.worker.shelf import ServerShelf, http_url
from tests.server.http.toy import serving

WORKER, JOB, BLOB = "w-id", "j-id", "b" * 40


def sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


@dataclass
class Far:
    """The server's side: what it answers next, else what is right; ``asked`` is what came."""

    bundle: bytes = b"a bundle"
    failures: list[Response] = field(default_factory=list)
    content: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        what = request.path.rpartition("/")[2]
        body = await request.body.read(1 << 30)
        assert request.path == f"/v1/worker/jobs/{JOB}/{what}"
        assert request.header("jobdeck-worker") == WORKER
        self.tokens.append(request.header("authorization"))
        self.asked.append(what)
        if self.failures:
            return self.failures.pop(0)
        query = request.arguments()
        if what == "bundle":
            return Response(headers=(("ETag", f'"{sha1(self.bundle)}"'),), body=self.bundle)
        if what == "records":
            return self.told(hash=sha1(body))
        content = query.get("content") or sha1(body)
        if "content" in query and content not in self.content:
            self.asked[-1] = "unknown"
            return Response(status=404)
        self.content.setdefault(content, body)
        return self.told(hash=sha1((query["name"] + content).encode()), content=content)

    def told(self, **fields: object) -> Response:
        return Response(headers=(("Content-Type", "application/json"),), body=json.dumps(fields).encode())


@dataclass
class Bench:
    far: Far
    shelf: ServerShelf
    cache: BundleCache
    folder: Path
    limiter: trio.CapacityLimiter

    def found(self, name: str, data: bytes) -> FoundFile:
        place = self.folder / "files"
        place.mkdir(exist_ok=True)
        (place / name).write_bytes(data)
        limits = WalkLimits.of(Settings(data_dir=self.folder))
        return next(each for each in walk(place, limits, cancelled=lambda: False) if each.path == name)

    async def keep(self, found: FoundFile) -> tuple[str, int]:
        return await self.shelf.keep_file(found, job_id=JOB, limiter=self.limiter)

    async def fetched(self, blob_hash: str = BLOB) -> bytes:
        async with self.shelf.bundle(blob_hash, job_id=JOB) as target:
            assert target.name == "bundle.zip"
            with self.shelf.read(target.content_hash) as file:  # type: ignore[union-attr]  # always a file
                return os.pread(file.fd, file.size_bytes, 0)


@asynccontextmanager
async def bench(folder: Path, *, limit_bytes: int = 1 << 20) -> AsyncIterator[Bench]:
    far = Far()
    async with serving(far.answer) as toy:
        (folder / "token").write_text("first\n")
        settings = WorkerSettings(
            server=f"ws://127.0.0.1:{toy.port}/",
            token_file=folder / "token",
            name="w",
            slots_count=1,
            retry_first_s=0.001,
            retry_limit_s=0.01,
        )
        cache = BundleCache(folder / "bundles", limit_bytes=limit_bytes)
        shelf = ServerShelf(settings, WORKER, cache)
        try:
            yield Bench(far, shelf, cache, folder, trio.CapacityLimiter(2))
        finally:
            await shelf.close()


def test_where_the_server_is() -> None:
    assert http_url("wss://a.example:1/x/") == "https://a.example:1/x"
    assert http_url("http://[::1]:1") == "http://[::1]:1"


# -- bundles --


async def test_a_bundle_is_fetched_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(at.fetched)
        assert await at.fetched() == at.far.bundle
        assert at.far.asked == ["bundle"]
        assert await at.fetched("c" * 40) == at.far.bundle  # another name of the same content
        assert sorted(each.name for each in (tmp_path / "bundles").iterdir()) == sorted(
            (sha1(at.far.bundle), "of-" + BLOB, "of-" + "c" * 40)
        )


async def test_it_is_waited_for_until_it_is_there_and_whole(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        at.far.failures = [
            *(Response(status=status) for status in (401, 403, 409, 500, 502, 503)),
            Response(headers=(("ETag", f'"{"0" * 40}"'),), body=b"damaged"),
            Response(headers=(("Jobdeck-Archive-Bytes", "10"),), body=_pieces(b"too short")),
        ]
        (tmp_path / "token").write_text("second\n")
        assert await at.fetched() == at.far.bundle
        assert len(at.far.asked) == 9
        assert at.far.tokens[-1] == "Bearer second"
        assert len(list((tmp_path / "bundles").iterdir())) == 2, "nothing half done is left"


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.mark.parametrize(("status", "kind"), [(404, UnknownBlobError), (400, JobdeckError), (413, JobdeckError)])
async def test_one_that_is_not_to_be_had(tmp_path: Path, status: int, kind: type[Exception]) -> None:
    async with bench(tmp_path) as at:
        at.far.failures = [Response(status=status)]
        with pytest.raises(kind):
            await at.fetched()
        with pytest.raises(UnknownBlobError):
            await at.fetched("../../etc/passwd")
        assert at.far.asked == ["bundle"]


async def test_the_cache_is_bounded_and_what_was_used_last_stays(tmp_path: Path) -> None:
    async with bench(tmp_path, limit_bytes=20) as at:
        for number in range(4):
            at.far.bundle = b"%010d" % number
            await at.fetched(f"{number}" * 40)
            os.utime(tmp_path / "bundles" / sha1(at.far.bundle), (number, number))
        assert at.cache.take("0" * 40) is None
        held = at.cache.take("2" * 40)
        assert held is not None
        at.far.bundle = b"x" * 30
        assert await at.fetched("a" * 40) == at.far.bundle  # more than there may be, while it is used
        assert {each.name for each in (tmp_path / "bundles").iterdir()} == {held, "of-" + "2" * 40}
        at.cache.give_back(held)
        with pytest.raises(MissingContentError):
            at.cache.read("0" * 40)


def test_what_was_half_done_goes_with_the_next_life(tmp_path: Path) -> None:
    cache = BundleCache(tmp_path, limit_bytes=1)
    fd, path = cache.begin()
    os.close(fd)
    assert Path(path).exists()
    BundleCache(tmp_path, limit_bytes=1)
    assert not Path(path).exists()


# -- results --


async def test_files_and_records(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        big = bytes(range(256)) * 10_000
        assert await at.keep(at.found("a.txt", b"short")) == (sha1(b"a.txt" + sha1(b"short").encode()), 5)
        assert await at.keep(at.found("empty", b"")) == (sha1(b"empty" + sha1(b"").encode()), 0)
        for name in ("one", "two"):
            told = sha1(name.encode() + sha1(big).encode())
            assert await at.keep(at.found(name, big)) == (told, len(big))
        assert at.far.content[sha1(big)] == big
        assert at.far.asked == ["files", "files", "unknown", "files", "files"]
        record = Record(name="x.zip", content={}, content_type="complex")
        assert await at.shelf.keep_record(record, job_id=JOB) == metadata_hash(record)


async def test_a_file_that_has_changed_since_it_was_found(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        found = at.found("a", b"x" * 100_000)
        with (tmp_path / "files" / "a").open("ab") as file:
            file.write(b"more")
        assert (await at.keep(found))[1] == 100_000
        os.truncate(tmp_path / "files" / "a", 7)
        assert (await at.keep(found))[1] == 7
        (tmp_path / "files" / "a").unlink()
        with pytest.raises(LeftOutError):
            await at.keep(found)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        *((Response(status=status), AwayError) for status in (401, 403)),
        *((Response(status=status), CapacityError) for status in (409, 500, 503)),
        (Response(status=507), NoSpaceError),
        (Response(status=413), JobdeckError),
        (Response(body=b"{}"), AwayError),
        (Response(body=b"no JSON"), AwayError),
        (Response(body=b'{"content": "x", "hash": "y"}'), AwayError),
    ],
)
async def test_what_is_in_the_way(tmp_path: Path, answer: Response, kind: type[Exception]) -> None:
    async with bench(tmp_path) as at:
        for send in (
            lambda: at.keep(at.found("a", b"x")),
            lambda: at.shelf.keep_record(Record(name="x"), job_id=JOB),
        ):
            at.far.failures = [answer]
            with pytest.raises(kind) as caught:
                await send()
            assert type(caught.value) is kind
            await send()  # and then it is well


async def test_nobody_there_and_no_token(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        (tmp_path / "token").unlink()
        with pytest.raises(AwayError, match="the token cannot be read"):
            await at.keep(at.found("a", b"x"))
        (tmp_path / "token").write_text("x")
        await at.keep(at.found("a", b"x"))
    with pytest.raises(AwayError, match="No server answers"):
        await at.keep(at.found("a", b"x"))
