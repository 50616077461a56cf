"""Attacks on the terminal, through every pane of the real console in a real pseudo-terminal.

Each payload stands in a job's output, its command, its labels and its error. What comes out of the pseudo-terminal may
hold what Textual's driver says itself, and no other control.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.tui.conftest import Server, Terminal
from tests.tui.test_sanitise import BIDI, PAYLOADS

# What the driver and the screen update write: styles, cursor, the modes that it switches, and the kitty protocol.
_MODES = "1000|1002|1003|1004|1006|1015|1016|1049|2004|2026|2048|25|7"
_OURS = re.compile(
    rf"\x1b\[[0-9;:]*m|\x1b\[\d+;\d+H|\x1b\[\?(?:{_MODES})[hl]|\x1b\[\?(?:2026|2048)\$p|\x1b\[>\d+u|\x1b\[<u"
    r"|\x1b\]22;[a-z-]+\x07"  # the pointer's shape, from a list of Textual's own
)
_CONTROLS = re.compile(f"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f{BIDI}\u2028\u2029]")


@pytest.fixture(scope="module")
def attacked(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A server with jobs whose every word attacks; returns the id of one that prints all payloads."""
    folder: Path = tmp_path_factory.mktemp("attack")
    (folder / "payloads").write_bytes(
        b"\n".join(raw for raw, _ in PAYLOADS) + b"\n\x1b[1;31mRED\x1b[0m \xe2\x9c\x93 end\n"
    )
    texts = [raw.decode("utf-8", "replace").replace("\0", "") for raw, _ in PAYLOADS]
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        for text in texts:
            # The server takes no label with a control in it: those attack by command and error alone.
            labels = [text] if text.isprintable() else []
            wanted = {"argv": ["nowhere" + text, text], "labels": labels}
            answer = client.post("/v1/jobs", content=json.dumps(wanted))
            assert answer.status_code == 201, answer.text
        shown = {"command": f"cat payloads; cat payloads >&2 # {texts[0]}", "cwd": str(folder)}
        answer = client.post("/v1/jobs", content=json.dumps(shown))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def judge(got: bytes) -> None:
    """Nothing but what the console's own driver says, as often as it does."""
    text = got.decode("utf-8", "replace")
    left = _OURS.sub("", text)
    found = _CONTROLS.search(left)
    assert found is None, f"{left[max(0, found.start() - 60) : found.end() + 60]!r}"
    # Those of the payloads that the driver says too are told from it by their number.
    counts = {mode: text.count(mode) for mode in ("\x1b[?1049h", "\x1b[?1049l", "\x1b[?2004l", "\x1b[?1000h")}
    assert counts == {"\x1b[?1049h": 1, "\x1b[?1049l": 1, "\x1b[?2004l": 1, "\x1b[?1000h": 2}


@pytest.mark.slow
def test_the_output_pane(server: Server, attacked: str) -> None:
    terminal = Terminal(server, "console", attacked, "--server", server.url, TEXTUAL_ANIMATIONS="none")
    terminal.wait_for("✓ end")
    for keys in (b"g", b"w", b"t", b"i", b" ", b"/", b"end\r"):
        terminal.type(keys)
        terminal.settle()
    terminal.type(b"G")
    terminal.wait_for("✓ end")
    assert b"RED" in terminal.got
    assert re.search(rb"\x1b\[[0-9;]*38;[25];[0-9;]+m *RED", terminal.got), "colours pass"
    terminal.type(b"q")
    assert terminal.end() == 0
    judge(terminal.got)


def test_the_list_its_filter_and_its_questions(server: Server, attacked: str) -> None:
    terminal = Terminal(server, "console", "--server", server.url, TEXTUAL_ANIMATIONS="none")
    terminal.wait_for("cat payloads")
    for keys in (b"G", b"g", b"\x01", b"X", b"\x1b", b"u", b"/", b"nowhere\r", b"d", b"\x1b", b"?", b"\x1b", b"r"):
        terminal.type(keys)
        terminal.settle()
    terminal.type(b"q")
    assert terminal.end() == 0
    judge(terminal.got)


@pytest.mark.slow
def test_blobs_files_and_what_is_in_them(server: Server) -> None:
    texts = [raw.decode("utf-8", "replace").replace("\0", "") for raw, _ in PAYLOADS]
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        content = b"\n".join(raw for raw, _ in PAYLOADS).replace(b"\0", b"") + b"\n[bold]end[/bold]\n"
        answer = client.put("/v1/blobs", params={"name": "attack" + texts[0]}, content=content)
        assert answer.status_code == 201, answer.text
        stored = answer.json()["hash"]
        files = {f"dir/{n} {text}": {"content": stored, "contentType": "softLink"} for n, text in enumerate(texts)}
        record = {
            "name": f"attacks {texts[1]}",
            "size": 1,
            "mime": texts[2],
            "content": files,
            "contentType": "complex",
        }
        answer = client.post("/v1/blobs/records", content=json.dumps(record))
        assert answer.status_code == 201, answer.text
        json_file = json.dumps({text: [text] for text in texts}, ensure_ascii=False).encode("utf-8", "replace")
        answer = client.put("/v1/blobs", params={"name": "attack.json"}, content=json_file)
        assert answer.status_code == 201, answer.text
    terminal = Terminal(server, "console", "--server", server.url, TEXTUAL_ANIMATIONS="none")
    terminal.wait_for("live")
    terminal.type(b"2")
    terminal.wait_for("attack.json")
    terminal.type(b"/attack\r")
    terminal.settle()
    terminal.type(b"\x1b[H\r")  # the newest: JSON
    terminal.wait_for("json")
    for keys in (b"x", b"s", b"\x1b", b"\x7f"):
        terminal.type(keys)
        terminal.settle()
    terminal.type(b"\x1b[B\r")  # the artifact
    terminal.wait_for("dir/")
    for keys in (b"l", b"G", b"\r"):
        terminal.type(keys)
        terminal.settle()
    terminal.wait_for("text ·")
    terminal.type(b"G")
    terminal.wait_for("[bold]end[/bold]")
    for keys in (b"w", b"\x7f", b"\x7f", b"d", b"n"):
        terminal.type(keys)
        terminal.settle()
    terminal.type(b"q")
    assert terminal.end() == 0
    judge(terminal.got)
