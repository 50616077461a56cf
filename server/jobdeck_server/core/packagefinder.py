"""The packages of a job: from what a client calls them to bytes in the blob store and what they are.

A package is a binary by its name, or whatever a URI brings. Names are looked up before anything is fetched, so that a
job with a wrong one costs nobody anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core.bundles.errors import UnpackError
from jobdeck_server.core.bundles.limits import UnpackLimits
from jobdeck_server.core.bundles.unpack import never
from jobdeck_server.core.bundles.zipread import read_zip
from jobdeck_server.core.errors import PackageError, TooLargeError, UnknownBinaryError
from jobdeck_server.core.fetching import SCHEMES
from jobdeck_server.core.outbound.errors import RefusedError
from jobdeck_server.core.outbound.urls import FILE_SCHEMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobdeck_server.core.binaries import Binaries
    from jobdeck_server.core.blobs import Blobs
    from jobdeck_server.core.fetching import Fetched, Fetcher
    from jobdeck_server.settings import Settings

WHEEL, EGG, JAR = "wheel", "egg", "jar"
_KINDS = {".whl": WHEEL, ".egg": EGG, ".jar": JAR}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_KNOWN = frozenset({*SCHEMES, *FILE_SCHEMES})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPackage:
    """A package that is here.

    Attributes:
        name: Of the binary, or of the file that was fetched: for people.
        kind: ``wheel``, ``egg`` or ``jar``.
        content: The SHA-1 of its bytes, in the blob store.
    """

    name: str
    kind: str
    content: str

    def spec(self) -> dict[str, str]:
        """What a job's specification keeps of it."""
        return {"name": self.name, "kind": self.kind, "content": self.content}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A package that was named: one that is here, or a URI that may be fetched.

    Attributes:
        shown: How it was named, without what may be a secret.
        package: The package that is here.
        uri: Else, where it is.
    """

    shown: str
    package: JobPackage | None = None
    uri: str = ""

    @property
    def is_jar(self) -> bool:
        """Whether it is one, as far as that is known before it is fetched."""
        return self.package.kind == JAR if self.package is not None else self.uri.lower().endswith(".jar")


class PackageFinder:
    """See the top of this file. Without a fetcher all URIs are refused."""

    def __init__(self, settings: Settings, *, binaries: Binaries, fetcher: Fetcher | None, blobs: Blobs) -> None:
        self._settings = settings
        self._binaries = binaries
        self._fetcher = fetcher
        self._blobs = blobs
        self._limiter = trio.CapacityLimiter(settings.thread_limit_count)

    async def named(self, names: Sequence[str]) -> list[Named]:
        """What clients mean by names of packages; nothing is fetched.

        Raises:
            UnknownBinaryError: There is no binary of this name.
            RefusedError: A URI may not be fetched.
            TooLargeError: There are too many.
        """
        if len(names) > self._settings.package_limit_count:
            raise TooLargeError("The list of packages", self._settings.package_limit_count, "packages")
        return [await self._named(name) for name in names]

    async def _named(self, name: str) -> Named:
        scheme = _SCHEME.match(name)
        if scheme is None or scheme[1].lower() not in _KNOWN:
            try:
                binary = await self._binaries.get(name)
            except UnknownBinaryError:
                if scheme is None:
                    raise
            else:
                package = JobPackage(name=name, kind=binary.kind, content=binary.content)
                return Named(shown=name, package=package)
        if self._fetcher is None:
            raise RefusedError("This server fetches no packages.")
        return Named(shown=self._fetcher.check(name), uri=name)

    async def had(self, named: Sequence[Named]) -> list[JobPackage]:
        """The packages, in their order, those behind URIs fetched.

        Raises:
            PackageError: One is no package.
            OutboundError, JobdeckError, StoreError: One could not be fetched; see ``Fetcher.fetch``.
        """
        return [each.package or await self._fetched(each.uri) for each in named]

    async def _fetched(self, uri: str) -> JobPackage:
        assert self._fetcher is not None, "who has a URI has asked it"
        found = await self._fetcher.fetch(uri)
        kind = next((kind for suffix, kind in _KINDS.items() if found.name.lower().endswith(suffix)), None)
        if kind is None:
            kind = await trio.to_thread.run_sync(partial(self._look, found), limiter=self._limiter)
        return JobPackage(name=found.name or "package", kind=kind, content=found.content.hash)

    def _look(self, found: Fetched) -> str:
        """What kind of package this is, by what is in it. Blocks.

        Raises:
            PackageError: It is none.
        """
        kind = None
        try:
            with self._blobs.read(found.content.hash) as file:
                for entry, _ in read_zip(file.fd, UnpackLimits.of(self._settings), never):
                    top, last = entry.parts[0], entry.parts[-1]
                    if top.endswith(".dist-info") and last == "WHEEL":
                        return WHEEL
                    if top == "EGG-INFO":
                        return EGG
                    if entry.parts == ("META-INF", "MANIFEST.MF"):
                        kind = JAR
        except UnpackError as error:
            raise PackageError(f"{found.shown} is no package: {error}") from error
        if kind is None:
            raise PackageError(f"{found.shown} is neither a wheel nor an egg nor a jar.")
        return kind
