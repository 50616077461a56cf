"""Tokens: who may do what, kept in ``DATA/tokens.json`` so that the command line and a running server share them.

A token is 256 random bits, shown once, when it is made. The file holds its SHA-256 only; at that length a slow hash
would add nothing. The file is replaced as a whole (temporary file, fsync, rename, fsync of the folder), under a lock so
that two commands do not lose each other's change. A server looks at the file's identity for each request and reads it
again when that has changed: a revoked token is refused from the next request on.

A file that cannot be read as one is an error where tokens are made, and "no token is valid" where they are checked.

Format: ``{"version": 1, "tokens": [{"id", "name", "role", "sha256", "created"}]}``; times in RFC 3339, UTC.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jobdeck_server.guard.errors import TokenFileError
from jobdeck_server.http.message import Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = 1
PREFIX = "jd_"  # so that a token that leaked somewhere can be searched for
SECRET_BYTES = 32
NAME_LIMIT_CHARS = 100
ROLES = {"view": Role.VIEW, "run": Role.RUN, "admin": Role.ADMIN, "worker": Role.WORKER}
WORDS = {role: word for word, role in ROLES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token as kept: all of it but the secret.

    Attributes:
        id: 12 hex digits; what logs and ``revoke`` call it.
        name: For people.
        role: What its holder may do.
        sha256: Of the secret, 64 hex digits.
        created: UTC.
    """

    id: str
    name: str
    role: Role
    sha256: str
    created: datetime

    def __repr__(self) -> str:
        return f"<Token {self.id} {self.name!r} {WORDS[self.role]}>"


class TokenStore:
    """The tokens of one data directory. Makes nothing until the first token is made.

    Reading and writing a few kB block for well under a millisecond, and reading only happens after a change.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir
        self._path = data_dir / "tokens.json"
        self._seen: tuple[int, int, int] | None = None  # identity of the file that _tokens is of
        self._tokens: tuple[Token, ...] = ()

    def create(self, name: str, role: Role) -> tuple[Token, str]:
        """Make a token.

        Returns:
            The token and its secret, ``jd_...``, which is kept nowhere.

        Raises:
            ValueError: The name is empty, too long or not printable, or the role is none that a token can have.
            TokenFileError: The file is there and broken.
            OSError: It cannot be written.
        """
        if role not in WORDS:
            raise ValueError("A token's role is view, run, admin or worker.")
        if not name or len(name) > NAME_LIMIT_CHARS or not name.isprintable():
            raise ValueError(f"A token's name has 1 to {NAME_LIMIT_CHARS} printable characters.")
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        token = Token(id=secrets.token_hex(6), name=name, role=role, sha256=_digest(secret), created=datetime.now(UTC))
        with self._locked():
            self._write((*_load(self._path), token))
        return token, secret

    def list(self) -> tuple[Token, ...]:
        """All tokens, oldest first.

        Raises:
            TokenFileError: The file is broken.
        """
        return _load(self._path)

    def revoke(self, token_id: str) -> bool:
        """Remove a token; running servers refuse it from their next request on.

        Returns:
            Whether there was one.

        Raises:
            TokenFileError, OSError: See ``create``.
        """
        with self._locked():
            tokens = _load(self._path)
            left = tuple(token for token in tokens if token.id != token_id)
            if len(left) != len(tokens):
                self._write(left)
        return len(left) != len(tokens)

    def find(self, secret: str) -> Token | None:
        """The token with this secret, None for an unknown one.

        Every token is compared, each in constant time, so the time says nothing about how near a guess was.
        """
        digest = _digest(secret)
        found = None
        for token in self._current():
            if hmac.compare_digest(token.sha256, digest):
                found = token
        return found

    def has(self, token_id: str, role: Role) -> bool:
        """Whether there is still a token with this id and role."""
        return any(token.id == token_id and token.role is role for token in self._current())

    def __bool__(self) -> bool:
        """Whether there is any token."""
        return bool(self._current())

    def _current(self) -> tuple[Token, ...]:
        try:
            stat = os.stat(self._path)
        except OSError:
            self._seen, self._tokens = None, ()
            return ()
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen != self._seen:
            try:
                tokens = _load(self._path)
            except (TokenFileError, OSError):
                tokens = ()
            self._seen, self._tokens = seen, tokens
        return self._tokens

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._folder / "tokens.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _write(self, tokens: tuple[Token, ...]) -> None:
        text = json.dumps({"version": VERSION, "tokens": [_to_wire(token) for token in tokens]}, indent=1)
        temporary = self._folder / f".tokens-{secrets.token_hex(8)}"
        fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(text.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, self._path)
        except OSError:
            os.unlink(temporary)
            raise
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _to_wire(token: Token) -> dict[str, str]:
    return {
        "id": token.id,
        "name": token.name,
        "role": WORDS[token.role],
        "sha256": token.sha256,
        "created": token.created.isoformat(),
    }


def _from_wire(entry: dict[str, Any]) -> Token:
    return Token(
        id=str(entry["id"]),
        name=str(entry["name"]),
        role=ROLES[entry["role"]],
        sha256=str(entry["sha256"]),
        created=datetime.fromisoformat(entry["created"]),
    )


def _load(path: Path) -> tuple[Token, ...]:
    """The tokens of a file, none if there is no file.

    Raises:
        TokenFileError: It is broken, or of a version that is not known here.
    """
    try:
        data = json.loads(path.read_bytes())
        if data["version"] != VERSION:
            raise TokenFileError(f"{path} is of version {data['version']!r}, not {VERSION}.")
        return tuple(_from_wire(entry) for entry in data["tokens"])
    except FileNotFoundError:
        return ()
    except (ValueError, KeyError, TypeError) as error:
        raise TokenFileError(f"{path} is not a token file.") from error
