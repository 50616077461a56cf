"""Bundles that cannot be run and results that cannot be kept: the documented status, words that help, a server that
goes on. What each part refuses alone stands in its own tests (``tests/server/bundles``).
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e import native
from tests.e2e.bundles import ALL, Rest, bundle, config, script, sha1, zipped
from tests.e2e.procs import rss_bytes
from tests.e2e.program import Server, server
from tests.server.bundles.zips import DEFLATED, Item, build, deflated

CANARY = b"canary: nothing of this may be in a result"
MIB = 1024 * 1024
GOOD = config("true")
EXPLODING = json.dumps({"artifacts": [["a", ["{a,b}" * 20]]], "output_interval_ms": 0, "output_segment_lines": 0})
UNZIP, CONFIG = "FAILED_UNZIP", "FAILED_EXECUTOR_CONFIG"


until = partial(native.until, limit_s=30.0)


@pytest.fixture
def rest(deck: Server) -> Rest:
    return Rest(deck)


def conf(text: bytes | str) -> bytes:
    return zipped({"executor_config.json": text if isinstance(text, bytes) else text.encode()})


def with_artifacts(value: str) -> bytes:
    return conf(f'{{"cmd": "true", "resultArtifacts": {value}}}')


def with_entry(name: str | bytes, data: bytes = CANARY, mode: int = 0o100644) -> bytes:
    return build([Item(name="executor_config.json", data=GOOD), Item(name=name, data=data, mode=mode)])


def zero_bomb(size_bytes: int) -> bytes:
    """One file of zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    crc, parts, piece = 0, [], bytes(MIB)
    for _ in range(size_bytes // MIB):
        crc = zlib.crc32(piece, crc)
        parts.append(packer.compress(piece))
    packed = b"".join([*parts, packer.flush()])
    bomb = Item(name="bomb", method=DEFLATED, packed=packed, size=size_bytes, crc=crc)
    return build([Item(name="executor_config.json", data=GOOD), bomb])


def overlapping() -> bytes:
    """Many entries that share their bytes."""
    items = [Item(name="executor_config.json", data=GOOD)]
    items += [Item(name=f"f{number}", data=b"x" * 1000, offset=0) for number in range(100)]
    return build(items)


def lying() -> bytes:
    return build(
        [
            Item(name="executor_config.json", data=GOOD),
            Item(name="x", method=DEFLATED, packed=deflated(bytes(MIB)), size=10),
        ]
    )


BAD: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "no zip": (lambda: b"this is no zip at all", UNZIP, "zip"),
    "nothing": (lambda: b"", UNZIP, "zip"),
    "cut": (lambda: bundle("true", files={"a": os.urandom(5000)})[:-300], UNZIP, "zip"),
    "half a zip": (lambda: bundle("true", files={"a": os.urandom(5000)})[2500:], UNZIP, "zip"),
    "damaged": (
        lambda: bundle("true", files={"a": b"x" * 100}).replace(b"executor_config", b"EXECUTOR_config", 1),
        UNZIP,
        "",
    ),
    "tar": (lambda: b"ustar".rjust(600, b"\0").ljust(10240, b"\0"), UNZIP, "zip"),
    "overlap": (overlapping, UNZIP, ""),
    "a size that lies": (lying, UNZIP, "more bytes than it says"),
    "slip": (lambda: with_entry("../../canary"), UNZIP, "'..'"),
    "absolute": (lambda: with_entry("/tmp/jobdeck-canary"), UNZIP, "absolute"),
    "backslash": (lambda: with_entry("..\\canary"), UNZIP, "backslash"),
    "nul": (lambda: with_entry("a\0b"), UNZIP, "control"),
    "a link": (lambda: with_entry("link", b"/etc/passwd", 0o120777), UNZIP, "link"),
    "a name twice": (lambda: build([Item(name="executor_config.json", data=GOOD)] * 2), UNZIP, "meets another"),
    "a name in two cases": (lambda: with_entry("Executor_Config.json"), UNZIP, "meets another"),
    "no config": (lambda: zipped({"a.txt": b"a"}), CONFIG, "there is no executor_config.json"),
    "no files": (lambda: build([]), CONFIG, "there is no executor_config.json"),
    "config too deep": (lambda: zipped({"d/executor_config.json": GOOD}), CONFIG, "there is no executor_config.json"),
    "config is a folder": (lambda: zipped({"executor_config.json/a": b"a"}), CONFIG, "executor_config.json"),
    "config is no JSON": (lambda: conf('{"cmd": "echo",}'), CONFIG, "line 1, column"),
    "config is no UTF-8": (lambda: conf(b'{"cmd": "\xff"}'), CONFIG, "UTF-8"),
    "config is null": (lambda: conf("null"), CONFIG, "no JSON object"),
    "config is a list": (lambda: conf("[]"), CONFIG, "no JSON object"),
    "config is empty": (lambda: conf(""), CONFIG, "no JSON"),
    "config is deep": (lambda: conf("[" * 100_000), CONFIG, "executor_config.json"),
    "config is huge": (lambda: conf(b" " * 2 * MIB + GOOD), CONFIG, "bytes"),
    "no cmd": (lambda: conf('{"resultArtifacts": []}'), CONFIG, "cmd is missing"),
    "cmd is a number": (lambda: conf('{"cmd": 1, "resultArtifacts": []}'), CONFIG, "cmd"),
    "cmd with NUL": (lambda: conf('{"cmd": "a\\u0000", "resultArtifacts": []}'), CONFIG, "NUL"),
    "args is a text": (lambda: conf('{"cmd": "true", "args": "a", "resultArtifacts": []}'), CONFIG, "args is no list"),
    "an arg is null": (lambda: conf('{"cmd": "true", "args": [null], "resultArtifacts": []}'), CONFIG, "args[0]"),
    "no artifacts": (lambda: conf('{"cmd": "true"}'), CONFIG, "resultArtifacts is missing"),
    "artifacts is null": (lambda: with_artifacts("null"), CONFIG, "resultArtifacts is missing"),
    "artifacts is a text": (lambda: with_artifacts('"all"'), CONFIG, "resultArtifacts is no list"),
    "an artifact is null": (lambda: with_artifacts("[null]"), CONFIG, "resultArtifacts[0] is no object"),
    "no name": (lambda: with_artifacts("[{}]"), CONFIG, "name is missing"),
    "a name twice in results": (lambda: with_artifacts('[{"name": "a"}, {"name": "a"}]'), CONFIG, "two artifacts"),
    "a pattern is a number": (lambda: with_artifacts('[{"name": "a", "resultPatterns": [1]}]'), CONFIG, "no text"),
    "a pattern that explodes": (
        lambda: with_artifacts(json.dumps([{"name": "a", "resultPatterns": ["{a,b}" * 40]}])),
        CONFIG,
        "resultPatterns",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_bundles(deck: Server, rest: Rest, name: str) -> None:
    make, status, words = BAD[name]
    info = rest.ran(make(), f"{name}.zip")
    assert info["status"] == status
    job = rest.job(info["hash"])
    assert job["error"].startswith(f"{status}: ")
    assert words in job["error"]
    assert (info["startTime"] is None, info["finishTime"] is None) == (status == UNZIP, False)
    assert info["resultHashes"] == []
    until(lambda: not (deck.data_dir / "work" / job["id"]).exists())


@pytest.mark.parametrize("key", ["0" * 40, "no hash at all", "ü/../%2e%2e", "A" * 40])
def test_an_unknown_hash(rest: Rest, key: str) -> None:
    rest.create(key)
    info = rest.ended(key)
    assert (info["status"], info["startTime"]) == ("FAILED_TO_GET_SOURCE_METADATA", None)
    assert rest.job(key)["error"]


def test_links_that_lead_nowhere_or_in_a_circle(rest: Rest) -> None:
    good, nowhere = rest.upload(GOOD, "executor_config.json"), sha1(os.urandom(8))
    link = {"name": "a", "size": 1, "mime": "", "contentType": "softLink", "content": nowhere}
    deep = rest.artifact({"executor_config.json": good})
    for _ in range(20):
        deep = rest.artifact({"inner": deep})
    keys = {
        "dangling entry": rest.artifact({"executor_config.json": good, "a": nowhere}),
        "no such bytes": rest.artifact({"executor_config.json": nowhere}, "object"),
        "dangling link": rest.metadata(link),
        "too deep": deep,
    }
    for name, key in keys.items():
        rest.create(key)
        assert rest.ended(key)["status"] == "FAILED_SOURCE_COULD_NOT_BE_OBTAINED", name
        assert len(rest.job(key)["error"]) > 50, name


def test_artifacts_with_paths_that_lead_out(deck: Server, rest: Rest) -> None:
    good = rest.upload(GOOD, "executor_config.json")
    canary = rest.upload(CANARY, "canary")
    for path in (
        "../canary",
        "/tmp/jobdeck-canary",
        "d/../../canary",
        "a\\b",
        "",
        ".",
        "executor_config.json/x",
        "a\nb",
    ):
        key = rest.artifact({"executor_config.json": good, path: canary})
        rest.create(key)
        assert rest.ended(key)["status"] == UNZIP, path
    assert not Path("/tmp/jobdeck-canary").exists()
    assert not list(deck.data_dir.rglob("canary"))


def test_names_of_every_kind(rest: Rest) -> None:
    """As input, and as results; what a zip must not hold (threat 7) a job may still make."""
    good = [chr(code) for code in range(0x21, 0x7F) if chr(code) not in "./\\"]
    good += [
        "ü",
        "日本",
        "\u202eabc",
        "🜁",
        "e\u0301",
        "\u00a0",
        "x" * 255,
        " a ",
        "...",
        "-rf",
        "CON",
        "aux.txt",
        "12:30",
    ]
    inputs = {name: name.encode() for name in good if name.lower() == name}
    made = ["a\nb", "\x1b[2J", "\x7f", "back\\slash", "tab\t", "a\u2028b", "%2e%2e", "A", "~"]
    line = 'for each; do printf %s "$each" > "$each"; done; printf x > "$(printf \'not\\377utf\')"'
    info = rest.ran(zipped({"executor_config.json": config("/bin/sh", "-c", line, "sh", *made), **inputs}))
    assert info["status"] == "SUCCESS", rest.job(info["hash"])["error"]
    content = rest.record(info["resultHashes"]["all"])["content"]
    expected = inputs | {name: name.encode() for name in made}
    assert set(content) == set(expected) | {"executor_config.json", "job_stdout.txt", "job_stderr.txt"}
    for name, data in expected.items():
        assert rest.record(content[name]["content"])["content"] == sha1(data), name
        assert rest.record(content[name]["content"])["name"] == name


@pytest.mark.slow
def test_ten_thousand_files(rest: Rest) -> None:
    files = {f"d{number % 100}/{number}.txt": b"%d" % (number % 7) for number in range(10_000)}
    info = rest.ran(bundle("true", artifacts=[{"name": "some", "resultPatterns": ["d7/*"]}], files=files))
    assert info["status"] == "SUCCESS", rest.job(info["hash"])["error"]
    assert len(rest.record(info["resultHashes"]["some"])["content"]) == 100


def test_results_that_are_no_files_of_the_job(rest: Rest, tmp_path: Path) -> None:
    (tmp_path / "canary").write_bytes(CANARY)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "canary").write_bytes(CANARY)
    line = """
        ln -s "$0/canary" link; ln "$0/canary" hard || true; ln -s "$0/d" folder; ln -s / root; ln -s . loop
        mkfifo pipe; ln -s /dev/zero zero; ln -s nowhere dangling; touch ok
        mkdir job_stdout.txt; touch job_stdout.txt/x; ln -s "$0/canary" job_stderr.txt; echo said
    """
    info = rest.ran(bundle("/bin/sh", "-c", line, str(tmp_path)))
    assert info["status"] == "SUCCESS", rest.job(info["hash"])["error"]
    found = rest.files(info["resultHashes"]["all"])
    assert set(found) == {"executor_config.json", "job_stdout.txt", "job_stderr.txt", "ok"}
    assert (found["job_stdout.txt"], found["job_stderr.txt"]) == (b"said\n", b"")
    assert (tmp_path / "canary").read_bytes() == CANARY


@pytest.mark.slow
@pytest.mark.parametrize(
    "harm",
    [
        "rm -rf ../files",
        "rm -rf ../files ../plan.json",
        "rm -rf ../files; ln -s / ../files",
        'rm -rf ../files; ln -s "$0" ../files',
        "rm ../plan.json",
        "echo '{' > ../plan.json",
        "echo '{\"artifacts\": [[1, 2]]}' > ../plan.json",
        f"echo '{EXPLODING}' > ../plan.json",
        "rm ../plan.json; mkfifo ../plan.json",
        "rm ../plan.json; ln -s /dev/zero ../plan.json",
        "i=0; while [ $i -lt 200 ]; do mkdir d; cd d; i=$((i+1)); done",
    ],
)
def test_a_job_that_harms_its_own_folder(deck: Server, rest: Rest, tmp_path: Path, harm: str) -> None:
    (tmp_path / "canary").write_bytes(CANARY)
    info = rest.ran(bundle("/bin/sh", "-c", harm, str(tmp_path)))
    assert info["status"] == "FAILED_TO_SAVE_ARTIFACT"
    assert rest.job(info["hash"])["error"]
    assert [each.name for each in tmp_path.iterdir()] == ["canary"]
    assert deck.ask("GET", "/v1/info")[0] == 200


@pytest.mark.slow
def test_a_failed_job_that_harms_its_folder_has_failed_by_itself(rest: Rest) -> None:
    info = rest.ran(script("rm -rf ../files; exit 9"))
    assert info["status"] == "FAILED_TO_EXECUTE"
    assert rest.job(info["hash"])["exit_code"] == 9


@pytest.mark.slow
def test_bombs_cost_little(deck: Server, rest: Rest) -> None:
    assert deck.process is not None
    before = rss_bytes(deck.process.pid)
    info = rest.ran(zero_bomb(200 * MIB))
    assert info["status"] == UNZIP
    assert "bytes" in rest.job(info["hash"])["error"]
    assert rss_bytes(deck.process.pid) - before < 64 * MIB


# -- a full disk --


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of its own, where this user may have one."""
    place = Path(tempfile.mkdtemp(prefix="jd-disk-"))
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=320m", "tmpfs", str(place)], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip("this user may not mount anything")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
    place.rmdir()


@pytest.mark.slow
def test_results_wait_for_room(small_disk: Path, tmp_path: Path) -> None:
    """Free space falls below what the server leaves free (256 MiB) while the job runs."""
    with server(small_disk / "data") as running:
        rest = Rest(running)
        line = 'while [ ! -e "$0/go" ]; do sleep 0.02; done; echo worth keeping > result.txt'
        keys = [rest.upload(bundle("/bin/sh", "-c", line, str(tmp_path), str(n), artifacts=ALL)) for n in range(2)]
        for key in keys:
            rest.create(key)
        until(lambda: all(rest.job(key)["state"] == "running" for key in keys))
        filler = small_disk / "filler"
        filler.write_bytes(bytes(60 * MIB))
        (tmp_path / "go").touch()
        until(lambda: all("results wait to be kept" in (rest.job(key)["note"] or "") for key in keys))
        assert "no room" in rest.job(keys[0])["note"]
        # Who does not want to wait stops it; it ended well, but for its results
        assert running.ask("DELETE", f"/{keys[1]}")[0] == 200
        assert rest.ended(keys[1])["status"] == "FAILED_TO_SAVE_ARTIFACT"
        filler.unlink()
        info = rest.ended(keys[0])
        assert info["status"] == "SUCCESS"
        assert rest.files(info["resultHashes"]["all"])["result.txt"] == b"worth keeping\n"
        assert rest.job(keys[0])["note"] is None
