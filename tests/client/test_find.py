from __future__ import annotations

import json
from pathlib import Path

import pytest

import jobdeck_client
from jobdeck_client import BadAddressError, find_server, find_token


def tell(folder: Path, *urls: str) -> None:
    (folder / "server.json").write_text(json.dumps({"urls": urls, "pid": 1}))


def test_the_order_of_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    told, configured = tmp_path / "told", tmp_path / "configured"
    told.mkdir()
    configured.mkdir()
    tell(told, "http://127.0.0.1:1111")
    tell(configured, "http://127.0.0.1:2222")
    environ = {"JOBDECK_SERVER": "other:3333", "JOBDECK_DATA_DIR": str(told)}
    assert find_server("http://given:4444/", environ=environ) == "http://given:4444"
    assert find_server(environ=environ) == "http://other:3333"
    assert find_server(environ={"JOBDECK_DATA_DIR": str(told)}) == "http://127.0.0.1:1111"
    assert find_server(data_dir=told, environ={}) == "http://127.0.0.1:1111"
    config = tmp_path / "config.toml"
    config.write_text(f'data_dir = "{configured}"\n')
    assert find_server(environ={"JOBDECK_CONFIG": str(config)}) == "http://127.0.0.1:2222"
    config.write_text("[[")
    assert find_server(environ={"JOBDECK_CONFIG": str(config)}) == "http://127.0.0.1:8080"
    assert find_server(environ={}) == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("urls", "found"),
    [
        (["http://10.0.0.1:80", "http://127.0.0.1:81"], "http://127.0.0.1:81"),
        (["http://0.0.0.0:82"], "http://127.0.0.1:82"),
        (["http://[::]:83"], "http://[::1]:83"),
        (["http://[::1]:84"], "http://[::1]:84"),
        ([], "http://127.0.0.1:8080"),
        (["nonsense://x"], "http://127.0.0.1:8080"),
    ],
)
def test_what_the_server_wrote(tmp_path: Path, urls: list[str], found: str) -> None:
    tell(tmp_path, *urls)
    assert find_server(data_dir=tmp_path, environ={}) == found


@pytest.mark.parametrize("text", ["", "{", "[]", '{"urls": 3}', '{"urls": [3]}'])
def test_a_file_that_tells_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)
    assert find_server(data_dir=tmp_path, environ={}) == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("localhost", "http://localhost"),
        ("localhost:9/", "http://localhost:9"),
        ("ws://h:1", "http://h:1"),
        ("wss://h/base/", "https://h/base"),
        ("https://[::1]:5", "https://[::1]:5"),
    ],
)
def test_what_people_type(text: str, found: str) -> None:
    assert find_server(text, environ={}) == found


@pytest.mark.parametrize(
    "text", ["ftp://x", "http://", "http://u:p@h", "http://h:99999", "http://h?x", "http://h#x", "h:x"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(BadAddressError):
        find_server(text, environ={})


def test_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert find_token(environ={}) is None
    (tmp_path / "jobdeck").mkdir()
    (tmp_path / "jobdeck" / "token").write_text("usual\n")
    assert find_token(environ={}) == "usual"
    named = tmp_path / "named"
    named.write_text("named\n")
    assert find_token(environ={"JOBDECK_TOKEN_FILE": str(named)}) == "named"
    assert find_token(named, environ={"JOBDECK_TOKEN_FILE": "/nowhere"}) == "named"
    for bad in ("", "two words", "caf\xe9", "a\nb"):
        named.write_text(bad)
        with pytest.raises(BadAddressError):
            find_token(named, environ={})
    with pytest.raises(BadAddressError):
        find_token(tmp_path / "missing", environ={})


def test_names() -> None:
    assert sorted(jobdeck_client.__all__) == [
        "Attach",
        "BadAddressError",
        "BadTrustError",
        "BlobContent",
        "BlobEntry",
        "BlobPage",
        "Blobs",
        "Callback",
        "ClassOutcome",
        "Client",
        "ClientError",
        "Collected",
        "ConfigCheck",
        "ConflictError",
        "ContextDetails",
        "Done",
        "EndedError",
        "Events",
        "FileChangedError",
        "Hit",
        "Line",
        "LinePage",
        "LinkClosed",
        "LinkState",
        "NotAllowedError",
        "NotFoundError",
        "OffsetError",
        "PackageDetails",
        "Page",
        "Progress",
        "RefusedError",
        "ServerFaultError",
        "TlsError",
        "Trust",
        "UnreachableError",
        "WorkerJobs",
        "Workers",
        "find_server",
        "find_token",
        "find_trust",
    ]
    assert all(hasattr(jobdeck_client, name) for name in jobdeck_client.__all__)
