from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from jobdeck_server.guard import ForbiddenError, Guard, TokenFileError, TokenStore, UnauthorizedError
from jobdeck_server.http.message import Identity, Request, Role
from tests.server.guard.ask import ask
from tests.server.http.toy import settings


def basic(user: str, password: str) -> tuple[str, str]:
    return ("authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


def bearer(secret: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {secret}")


def guard(store: TokenStore, *, require: bool = False) -> Guard:
    return Guard(settings(require_token=require), store, [("127.0.0.1", 8080)])


def test_a_secret_is_shown_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "data")
    token, secret = store.create("my laptop", Role.RUN)
    assert secret.startswith("jd_")
    assert len(secret) == 3 + 43
    text = (tmp_path / "data" / "tokens.json").read_text()
    assert secret not in text
    assert secret[3:] not in text
    assert secret not in repr(token)
    assert token.sha256 not in repr(token)
    assert store.list() == (token,)
    assert TokenStore(tmp_path / "data").list() == (token,)
    assert store.find(secret) == token
    for wrong in ("", "jd_", secret[:-1], secret + "x", secret.lower(), token.sha256, token.id, "\udcff", "é"):
        assert store.find(wrong) is None


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        TokenStore(tmp_path / "data").create("x", Role.VIEW)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    for path in (tmp_path / "data").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"tokens.json", "tokens.lock"}


def test_revocation_and_creation_by_another_process_hold_at_once(tmp_path: Path) -> None:
    server, command = TokenStore(tmp_path), TokenStore(tmp_path)
    assert not server
    first, secret = command.create("one", Role.RUN)
    assert server
    assert server.find(secret) == first
    _, other = command.create("two", Role.VIEW)
    assert server.find(other) is not None
    assert command.revoke(first.id)
    assert server.find(secret) is None
    assert server.find(other) is not None
    assert not command.revoke(first.id)
    os.unlink(tmp_path / "tokens.json")
    assert server.find(other) is None
    assert not server


def test_many_processes_lose_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from jobdeck_server.guard import TokenStore;"
        "from jobdeck_server.http.message import Role\n"
        "for n in range(10): TokenStore(Path(sys.argv[1])).create(sys.argv[2], Role.RUN)"
    )

    def run(name: str) -> int:
        return subprocess.run([sys.executable, "-c", code, str(tmp_path), name], check=False).returncode

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(run, ["a", "b", "c"])) == [0, 0, 0]
    assert sorted(token.name for token in TokenStore(tmp_path).list()) == ["a"] * 10 + ["b"] * 10 + ["c"] * 10


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 2, "tokens": []}', '{"version": 1, "tokens": [{}]}', "null"]
)
def test_a_broken_file_admits_nobody_and_is_not_overwritten(tmp_path: Path, text: str) -> None:
    store = TokenStore(tmp_path)
    _, secret = store.create("x", Role.ADMIN)
    assert store.find(secret) is not None
    (tmp_path / "tokens.json").write_text(text)
    assert store.find(secret) is None
    with pytest.raises(TokenFileError):
        store.list()
    with pytest.raises(TokenFileError):
        store.create("y", Role.ADMIN)
    with pytest.raises(TokenFileError):
        store.revoke("x")
    assert (tmp_path / "tokens.json").read_text() == text


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TokenStore(tmp_path)
    token, _ = store.create("x", Role.ADMIN)

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        store.create("y", Role.ADMIN)
    assert store.list() == (token,)
    assert {path.name for path in tmp_path.iterdir()} == {"tokens.json", "tokens.lock"}


def test_names_and_roles_are_checked(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    for name in ("", "x" * 101, "a\nb", "a\x1bb"):
        with pytest.raises(ValueError):
            store.create(name, Role.RUN)
    with pytest.raises(ValueError):
        store.create("x", Role.NONE)


def test_the_file_is_what_it_says(tmp_path: Path) -> None:
    token, _ = TokenStore(tmp_path).create("x", Role.WORKER)
    data = json.loads((tmp_path / "tokens.json").read_text())
    assert data["version"] == 1
    assert data["tokens"] == [
        {
            "id": token.id,
            "name": "x",
            "role": "worker",
            "sha256": token.sha256,
            "created": token.created.isoformat(),
        }
    ]


# who it is


def test_tokenless_loopback_is_everybodys(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    store.create("x", Role.VIEW)  # that there are tokens changes nothing for who sends none
    request = ask()
    assert guard(store).admit(request) == Identity(role=Role.ADMIN, token_id="")
    assert guard(store).admit(ask(), needed=Role.ADMIN).role is Role.ADMIN
    # also a worker, which is nothing that an admin's token can be
    assert guard(store).admit(ask(), needed=Role.WORKER) == Identity(role=Role.WORKER, token_id="")
    _, secret = store.create("y", Role.ADMIN)
    with pytest.raises(ForbiddenError):
        guard(store).admit(ask(headers=[("x-api-token", secret)]), needed=Role.WORKER)


def test_who_was_let_in_holds_until_the_token_is_revoked(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    token, secret = store.create("x", Role.WORKER)
    asked = guard(store, require=True)
    identity = asked.admit(ask(headers=[("x-api-token", secret)]), needed=Role.WORKER)
    assert asked.holds(identity)
    assert not asked.holds(replace(identity, role=Role.ADMIN)), "a token of another role"
    store.revoke(token.id)
    assert not asked.holds(identity)
    assert guard(store).holds(Identity(role=Role.WORKER)), "nobody had a token to lose"


@pytest.mark.parametrize("require", [False, True])
@pytest.mark.parametrize("way", ["bearer", "BEARER", "x-api-token", "basic"])
def test_every_source(tmp_path: Path, require: bool, way: str) -> None:
    store = TokenStore(tmp_path)
    token, secret = store.create("x", Role.RUN)

    def headers(secret: str) -> list[tuple[str, str]]:
        if way == "x-api-token":
            return [("x-api-token", secret)]
        return [basic("anybody", secret) if way == "basic" else ("authorization", f"{way}  {secret}")]

    request = ask(headers=headers(secret))
    assert guard(store, require=require).admit(request) == Identity(role=Role.RUN, token_id=token.id, name=token.name)
    assert request.note == {"token": token.id}
    for wrong in (secret[:-1], "", "jd_x", token.sha256):
        with pytest.raises(UnauthorizedError) as caught:
            guard(store, require=require).admit(ask(headers=headers(wrong)))
        assert secret[:-1] not in str(caught.value)


def test_a_token_is_needed_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(UnauthorizedError):
        guard(TokenStore(tmp_path), require=True).admit(ask())
    # but for what needs none, where none is looked at either
    for headers in ([], [bearer("wrong")]):
        assert guard(TokenStore(tmp_path), require=True).admit(ask(headers=headers), needed=Role.NONE) == Identity()


@pytest.mark.parametrize(
    "header",
    [
        ("authorization", "Basic !!!"),
        ("authorization", "Basic " + base64.b64encode(b"\xff\xfe").decode()),
        ("authorization", "Basic " + base64.b64encode(b"nocolon").decode()),
        ("authorization", "Digest x"),
        ("authorization", "Bearer"),
        ("authorization", ""),
        ("x-api-token", ""),
    ],
)
def test_what_is_no_token_is_401_also_without_need(tmp_path: Path, header: tuple[str, str]) -> None:
    with pytest.raises(UnauthorizedError):
        guard(TokenStore(tmp_path)).admit(ask(headers=[header]))


def test_several_tokens_must_be_the_same(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    one, secret = store.create("x", Role.RUN)
    _, other = store.create("y", Role.ADMIN)
    same = ask(headers=[bearer(secret), ("x-api-token", secret)])
    assert guard(store).admit(same).token_id == one.id
    for second in (other, "wrong"):
        for headers in ([bearer(secret), ("x-api-token", second)], [("x-api-token", second), bearer(secret)]):
            with pytest.raises(UnauthorizedError):
                guard(store).admit(ask(headers=headers))


def test_roles(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    roles = [Role.VIEW, Role.RUN, Role.ADMIN, Role.WORKER]
    allowed = {
        Role.VIEW: {Role.VIEW},
        Role.RUN: {Role.VIEW, Role.RUN},
        Role.ADMIN: {Role.VIEW, Role.RUN, Role.ADMIN},
        Role.WORKER: {Role.WORKER},
    }
    for role in roles:
        _, secret = store.create(role.name, role)
        for needed in roles:
            request = ask(headers=[bearer(secret)])
            assert admitted(guard(store, require=True), request, needed) is (needed in allowed[role])


def admitted(guard: Guard, request: Request, needed: Role) -> bool:
    try:
        guard.admit(request, needed=needed)
    except ForbiddenError:
        return False
    return True


def test_where_it_comes_from_is_asked_before_the_token(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    _, secret = store.create("x", Role.ADMIN)
    request = ask(headers=[bearer(secret), ("origin", "http://evil.example")])
    with pytest.raises(ForbiddenError):
        guard(store, require=True).admit(request, needed=Role.NONE)
    assert request.note == {}
