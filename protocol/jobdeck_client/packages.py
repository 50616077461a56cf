"""The packages that a server has: ``/v1/packages``; and what it makes of a job's configuration: ``/v1/config``."""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jobdeck_client.blobs import ANSWER_TIMEOUT_S
from jobdeck_client.errors import ServerFaultError
from jobdeck_client.transfer import Progress, counted, open_pieces
from jobdeck_protocol.packageinfo import MIMES, PackageInfo, from_wire

if TYPE_CHECKING:
    from pathlib import Path

    from jobdeck_client.requests import Requests

__all__ = ["ConfigCheck", "PackageDetails", "Packages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageDetails:
    """All that is known of a package.

    Attributes:
        package: Its newest version.
        versions: All that are kept, newest first.
        classes: Names of the classes in it that jobs can run, as far as the server could find them.
        classes_complete: It could look at all of the package.
    """

    package: PackageInfo
    versions: tuple[PackageInfo, ...]
    classes: tuple[str, ...]
    classes_complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigCheck:
    """What a server makes of a configuration.

    Attributes:
        ok: It can be read.
        config: What a job would be told; None if it cannot be read.
        error: Why not; None if it can.
        line: Where, from 1 on; None if that is not known.
        column: The same.
    """

    ok: bool
    config: dict[str, Any] | None = None
    error: str | None = None
    line: int | None = None
    column: int | None = None


class Packages:
    """See the top of this file."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def all(self) -> list[PackageInfo]:
        """The newest version of each package, by name."""
        wire = await self._requests.ask("GET", "/v1/packages")
        return [_package(item) for item in _list(wire, "packages")]

    async def show(self, name: str) -> PackageDetails:
        """One package, its versions and its classes.

        Raises:
            NotFoundError: There is none of this name.
        """
        wire = await self._requests.ask("GET", _path(name))
        return PackageDetails(
            package=_package(wire),
            versions=tuple(_package(item) for item in _list(wire, "versions")),
            classes=tuple(map(str, _list(wire, "classes"))),
            classes_complete=isinstance(wire, dict) and wire.get("classes_complete") is True,
        )

    async def upload(self, name: str, path: Path, kind: str, progress: Progress | None = None) -> PackageInfo:
        """Send a file as the newest version of a package; it is durable when this returns.

        Args:
            name: Any text that is not empty.
            path: The file, or a pipe.
            kind: ``wheel``, ``egg`` or ``jar``.
            progress: Told now and then.

        Raises:
            OSError: The file cannot be read.
            FileChangedError: It became shorter while it was read.
            RefusedError: It is no zip, or the server would not have it.
            ServerFaultError: The server has kept other bytes than were sent.
        """
        sha1 = hashlib.sha1(usedforsecurity=False)
        pieces, length = await open_pieces(path)
        async with aclosing(counted(pieces, sha1, length, progress)) as body:
            wire = await self._requests.send(
                "PUT",
                _path(name),
                body,
                query=(),
                length=length,
                answer_timeout_s=ANSWER_TIMEOUT_S,
                headers={"Content-Type": MIMES[kind]},
            )
        found = _package(wire)
        if found.content != sha1.hexdigest():
            raise ServerFaultError("The server has kept other bytes than were sent.")
        return found

    async def remove(self, name: str) -> None:
        """Remove a package with all its versions.

        Raises:
            NotFoundError: There is none of this name.
            ConflictError: Jobs that have not ended name it.
        """
        await self._requests.ask("DELETE", _path(name))

    async def check(self, text: str) -> ConfigCheck:
        """What the server makes of a job's configuration, in HOCON; nothing is started.

        Raises:
            RefusedError: It is too long.
        """
        wire = await self._requests.post_text("/v1/config", text)
        if not isinstance(wire, dict) or type(wire.get("ok")) is not bool:
            raise ServerFaultError("The server does not say whether the configuration can be read.")
        known = {field: wire.get(field) for field in ("config", "error", "line", "column")}
        kinds = {"config": dict, "error": str, "line": int, "column": int}
        if any(value is not None and type(value) is not kinds[field] for field, value in known.items()):
            raise ServerFaultError("The server's answer to a configuration is none.")
        return ConfigCheck(ok=wire["ok"], **known)


def _path(name: str) -> str:
    return f"/v1/packages/{quote(name, safe='')}"


def _list(wire: object, field: str) -> list[object]:
    items = wire.get(field) if isinstance(wire, dict) else None
    if not isinstance(items, list):
        raise ServerFaultError(f"The server's answer has no {field}.")
    return items


def _package(wire: object) -> PackageInfo:
    try:
        return from_wire(wire)  # type: ignore[arg-type]  # what is no map raises
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ServerFaultError(f"The server's answer is no package: {error}.") from error
