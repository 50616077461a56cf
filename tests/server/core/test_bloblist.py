"""Lists of blobs: every filter, both orders, any page length, against a naive list."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobdeck_protocol.blob import Blob
from jobdeck_server.core.blobrecord import Record
from jobdeck_server.core.blobs import BlobFilter
from jobdeck_server.core.errors import BadRequestError, UnknownBlobError
from tests.server.core.blobbench import BlobBench, blobbench

NAMES = ("a.txt", "b.txt", "c.zip", "")
TAGS = ("x", "y", "zebra")


async def filled(b: BlobBench) -> list[Blob]:
    """Forty blobs of every kind, in the order in which they came."""
    made = []
    for n in range(40):
        record = Record(
            name=NAMES[n % 4],
            size=n * 7 % 10,
            mime=f"text/{n}",
            tags=tuple(TAGS[: n % 3]),
            content_type=("object", "softLink", "complex")[n % 3] if n % 3 < 2 else "object",
        )
        stored = await b.blobs.put(record)
        if n % 5 == 0:
            await b.blobs.set_tags(stored.hash, ["zebra", "own"])
        if n % 7 == 0:
            await b.blobs.pin(stored.hash, pinned=True)
        made.append(await b.blobs.show(stored.hash))
    return made


def naive(blobs: list[Blob], wanted: BlobFilter) -> list[str]:
    text = (wanted.text or "").casefold()
    fits = [
        (blob, n)
        for n, blob in enumerate(blobs)
        if (wanted.name is None or blob.name == wanted.name)
        and (wanted.tag is None or wanted.tag in blob.tags)
        and (wanted.type is None or blob.type == wanted.type)
        and (wanted.pinned is None or blob.pinned == wanted.pinned)
        and any(text in word.casefold() for word in (blob.hash, blob.name, blob.mime, *blob.tags))
    ]
    by_size = wanted.sort.endswith("size")
    fits.sort(key=lambda each: (each[0].size_bytes if by_size else 0, each[1]), reverse=wanted.sort.startswith("-"))
    return [blob.hash for blob, _ in fits]


async def listed(b: BlobBench, wanted: BlobFilter) -> list[str]:
    """All pages."""
    found: list[str] = []
    cursor: str | None = None
    for _ in range(1000):
        fields = {name: getattr(wanted, name) for name in BlobFilter.__slots__ if name != "cursor"}
        page = await b.blobs.page(BlobFilter(**fields, cursor=cursor))
        assert len(page.items) <= wanted.limit_count
        found += [blob.hash for blob in page.items]
        cursor = page.next
        if cursor is None:
            return found
    raise AssertionError("pages without end")


FILTERS = st.builds(
    BlobFilter,
    name=st.sampled_from((None, None, "a.txt", "no")),
    tag=st.sampled_from((None, None, "x", "zebra", "own", "no")),
    text=st.sampled_from((None, "TXT", "text/1", "own", "zeb", "no such")),
    type=st.sampled_from((None, "object", "softLink")),
    pinned=st.sampled_from((None, True, False)),
    sort=st.sampled_from(("created", "-created", "size", "-size")),
    limit_count=st.sampled_from((1, 3, 50)),
)


@pytest.mark.parametrize("scan_limit", [4, 5000])
async def test_every_list_against_a_naive_one(tmp_path: Path, scan_limit: int) -> None:
    async with blobbench(tmp_path, text_scan_limit_count=scan_limit) as b:
        blobs = await filled(b)
        examples: list[BlobFilter] = []

        @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
        @given(FILTERS)
        def gather(wanted: BlobFilter) -> None:
            examples.append(wanted)

        gather()
        for wanted in examples:
            assert await listed(b, wanted) == naive(blobs, wanted), wanted


async def test_pages_go_on_beside_changes(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        hashes = [(await b.blobs.put(Record(name=str(n)))).hash for n in range(6)]
        first = await b.blobs.page(BlobFilter(limit_count=3))
        assert [blob.hash for blob in first.items] == hashes[:2:-1]
        await b.blobs.delete(hashes[3])
        await b.blobs.delete(hashes[2])
        await b.blobs.put(Record(name="new"))
        second = await b.blobs.page(BlobFilter(limit_count=3, cursor=first.next))
        assert [blob.hash for blob in second.items] == hashes[1::-1]
        assert second.next is None


async def test_no_list_looks_at_all_rows_or_sorts(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        await filled(b)
        said: list[str] = []
        for wanted in (
            BlobFilter(),
            BlobFilter(sort="size"),
            BlobFilter(sort="-size", tag="x"),
            BlobFilter(tag="x"),
            BlobFilter(name="a.txt", sort="created"),
        ):
            from jobdeck_server.core import bloblist

            def explained(connection: object, wanted: BlobFilter = wanted) -> object:
                class Explaining:
                    def execute(self, sql: str, values: object) -> list[object]:
                        rows = connection.execute(f"explain query plan {sql}", values)  # type: ignore[attr-defined]  # a connection
                        said.extend(row[3] for row in rows)
                        return []

                return bloblist.page(Explaining(), wanted, scan_limit_count=10)  # type: ignore[arg-type]  # enough of one

            await b.store.read(explained)
        assert said
        assert not [line for line in said if "TEMP B-TREE" in line]


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!", "bnVsbA", "WyItY3JlYXRlZCIsMV0", "WyJzaXplIiwxLDFd", "WyItY3JlYXRlZCIsMSwxZTk5XQ"]
)
async def test_foreign_cursors_are_refused(tmp_path: Path, cursor: str) -> None:
    async with blobbench(tmp_path) as b:
        with pytest.raises(BadRequestError):
            await b.blobs.page(BlobFilter(cursor=cursor))
        with pytest.raises(BadRequestError):
            await b.blobs.page(BlobFilter(sort="name"))


@pytest.mark.parametrize("sort", ["created", "-created", "size", "-size"])
async def test_a_page_begins_behind_any_blob(tmp_path: Path, sort: str) -> None:
    async with blobbench(tmp_path) as b:
        order = naive(await filled(b), BlobFilter(sort=sort))
        for n in (0, 17, 39):
            page = await b.blobs.page(BlobFilter(sort=sort, limit_count=50, after=order[n]))
            assert [blob.hash for blob in page.items] == order[n + 1 :]
        narrow = BlobFilter(sort=sort, limit_count=50, after=order[17], pinned=True)
        pinned = [key for key in order[18:] if (await b.blobs.show(key)).pinned]
        assert [blob.hash for blob in (await b.blobs.page(narrow)).items] == pinned
        with pytest.raises(UnknownBlobError):
            await b.blobs.page(BlobFilter(sort=sort, after="0" * 40))
        cursor = (await b.blobs.page(BlobFilter(sort=sort, limit_count=1))).next
        with pytest.raises(BadRequestError):
            await b.blobs.page(BlobFilter(sort=sort, after=order[0], cursor=cursor))
