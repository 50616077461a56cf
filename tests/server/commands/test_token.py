"""`jobdeck token`: what a user types and sees."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobdeck_server.commands.token import token
from jobdeck_server.guard.tokens import TokenStore
from jobdeck_server.http.message import Role


def call(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(token, [*arguments, "--data-dir", str(folder / "data")])


def test_create_list_revoke(tmp_path: Path) -> None:
    made = call(tmp_path, "create", "--role", "run", "--name", "laptop")
    assert made.exit_code == 0
    secret = made.stdout.strip()
    found = TokenStore(tmp_path / "data").find(secret)
    assert found is not None
    assert (found.name, found.role) == ("laptop", Role.RUN)
    assert secret not in made.stderr
    assert found.id in made.stderr

    listed = call(tmp_path, "list")
    assert found.id in listed.stdout
    assert "laptop" in listed.stdout
    assert secret not in listed.output

    assert call(tmp_path, "revoke", found.id).exit_code == 0
    assert TokenStore(tmp_path / "data").find(secret) is None
    again = call(tmp_path, "revoke", found.id)
    assert (again.exit_code, again.stderr) == (1, f"jobdeck: there is no token {found.id}\n")


def test_json(tmp_path: Path) -> None:
    made = json.loads(call(tmp_path, "create", "--role", "view", "--json").stdout)
    assert (made["role"], made["name"]) == ("view", "view")
    assert TokenStore(tmp_path / "data").find(made["token"]) is not None
    (listed,) = json.loads(call(tmp_path, "list", "--json").stdout)
    assert listed == {name: made[name] for name in ("id", "name", "role", "created")}


def test_into_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    made = call(tmp_path, "create", "--role", "admin", "--output", str(path))
    assert made.stdout == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert TokenStore(tmp_path / "data").find(path.read_text().strip()) is not None
    again = call(tmp_path, "create", "--role", "admin", "--output", str(path))
    assert again.exit_code == 1
    assert "File exists" in again.stderr
    assert len(TokenStore(tmp_path / "data").list()) == 1


def test_a_refused_token_leaves_no_file(tmp_path: Path) -> None:
    made = call(tmp_path, "create", "--role", "run", "--name", "a\nb", "--output", str(tmp_path / "secret"))
    assert made.exit_code == 1
    assert "printable" in made.stderr
    assert not (tmp_path / "secret").exists()


def test_an_empty_list_says_so(tmp_path: Path) -> None:
    listed = call(tmp_path, "list")
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert "There are no tokens" in listed.stderr


@pytest.mark.parametrize("arguments", [["create"], ["create", "--role", "root"], ["revoke"], ["nothing"]])
def test_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    assert call(tmp_path, *arguments).exit_code == 2


def test_a_broken_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tokens.json").write_text("no")
    for arguments in (["list"], ["create", "--role", "run"], ["revoke", "x"]):
        result = call(tmp_path, *arguments)
        assert result.exit_code == 1
        assert result.stderr.count("\n") == 1
        assert "is not a token file" in result.stderr
