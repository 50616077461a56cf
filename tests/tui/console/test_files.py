"""Looking into artifacts, results and files by keys: trees, text, JSON, hex, search, and when things go wrong."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from types import MappingProxyType

import pytest
from PIL import Image

from jobdeck_protocol.job import Job, JobState, Step
from jobdeck_tui.console import state as told
from jobdeck_tui.console.peek import Target
from jobdeck_tui.console.screens.artifact import ArtifactScreen
from jobdeck_tui.console.screens.goto import GotoScreen
from jobdeck_tui.console.screens.help import HelpScreen
from jobdeck_tui.console.screens.jobs import JobsScreen
from jobdeck_tui.console.screens.line import LineScreen
from jobdeck_tui.console.screens.peek import PeekScreen
from jobdeck_tui.console.screens.results import ResultsScreen, empty_words
from tests.tui.console.blobs import NO_SERVER, Stage, Store, stage
from tests.tui.console.harness import screen_text, ui, until


async def look(it: Stage, name: str, data: bytes) -> PeekScreen:
    """Open a file that holds this."""
    blob = it.app.blobs.store.put(name, data)
    it.app.push_screen(PeekScreen(Target(hash=blob.hash, name=name)))
    await it.on(PeekScreen)
    return it.peek


# -- files --


@ui
async def test_a_text_is_shown_searched_and_left() -> None:
    async with stage(Store()) as it:
        peek = await look(it, "notes.txt", b"".join(b"line %d\n" % n for n in range(1, 101)))
        await it.see("notes.txt", "text", "line 20", "1 / 100")
        await it.press("slash", *"line 42", "enter")
        await it.see("line 42", "1 of 1", "42 / 100")
        await it.press("escape")
        await until(it.pilot, lambda: not peek.search.active)
        await it.press("slash", *"7", "enter")
        await it.see("of 20")
        first = peek.view.cursor_line
        await it.press("n", "n", "N")
        await until(it.pilot, lambda: (peek.view.cursor_line or 0) > (first or 0))
        await it.press("escape")
        await until(it.pilot, lambda: not peek.search.active)
        await it.press("G")
        await it.see("100 / 100")
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen is it.screen)


@ui
async def test_a_search_that_is_given_up_goes_back() -> None:
    async with stage(Store()) as it:
        peek = await look(it, "notes.txt", b"".join(b"line %d\n" % n for n in range(1, 501)))
        await it.see("line 20")
        await it.press("slash", *"line 420")
        await it.see("1 of 1")
        await it.press("escape")
        await it.see("line 20", "1 / 500")
        assert it.app.screen is peek
        await it.press("slash", *"absent")
        await it.see("nothing found")


@ui
async def test_json_is_laid_out_and_shown_as_it_is() -> None:
    async with stage(Store()) as it:
        await look(it, "a.json", json.dumps({"name": "run", "list": [1, 2.50]}).encode())
        await it.see('  "name": "run",', "json")
        await it.press("x")
        await it.see('{"name": "run", "list": [1, 2.5]}')
        await it.press("x")
        await it.see("00000000  7b 22 6e 61", "hex")
        await it.press("x", "slash", *"run")
        await it.see("1 of 1")


@ui
async def test_an_image_is_shown_in_blocks_and_as_its_bytes() -> None:
    out = io.BytesIO()
    Image.new("RGB", (30, 8), (200, 30, 30)).save(out, "PNG")
    async with stage(Store()) as it:
        await look(it, "dot.png", out.getvalue())
        await it.see("PNG image, 30 x 8", "▀" * 30, "1 / 4", "image")
        await it.press("x")
        await it.see("00000000  89 50 4e 47", "hex")


@ui
async def test_bytes_are_read_where_they_are_looked_at() -> None:
    size_bytes = 10 << 30
    async with stage(Store(), size=(80, 24)) as it:
        it.app.blobs.endless_bytes = size_bytes
        await look(it, "big.bin", b"")
        await it.see("000000000  00 01 02 03", "10.0 GiB", "hex")
        await it.press("G")
        await it.see("27ffffff0")
        await it.press("colon")
        await it.on(GotoScreen)
        await it.press(*"0x10203", "enter")
        await until(it.pilot, lambda: it.app.screen is not it.screen and not isinstance(it.app.screen, GotoScreen))
        await it.see("000010200  00 01 02 03")
        read_bytes = sum(end - start for _, start, end in it.asked("part"))
        assert read_bytes < 200_000


@ui
async def test_a_long_text_is_read_as_one_goes_on() -> None:
    async with stage(Store()) as it:
        peek = await look(it, "long.log", b"a line of some length, and more\n" * 100_000)
        await it.see("a line of some length")
        assert max(end for _, _, end in it.asked("part")) < 1_100_000
        await it.press("G")
        await it.see("100,000 / 100,000")
        assert peek.mode is not None
        assert peek.mode.line_count == 100_000


@ui
async def test_what_is_not_text_says_what_it_is() -> None:
    async with stage(Store()) as it:
        for name, data, words in (
            ("a.zip", b"PK\x03\x04" + bytes(60), ("zip archive", "the files of a zip are not listed")),
            ("empty", b"", ("it is empty", "0 B")),
            ("x.gif", b"GIF89a\x03\x00\x04\x00" + bytes(9), ("GIF image, 3 x 4", "47 49 46 38")),
        ):
            await look(it, name, data)
            await it.see(*words)
            await it.press("escape")
            await until(it.pilot, lambda: it.app.screen is it.screen)


@ui
async def test_a_long_line_can_be_seen_whole() -> None:
    async with stage(Store()) as it:
        await look(it, "long.txt", b"x" * 100_000 + b"END\nsecond\n")
        await it.see("second")
        await it.press("enter")
        await it.on(LineScreen)
        await it.press("G")
        await it.see("END")


@ui
async def test_attacks_in_a_file_are_shown() -> None:
    async with stage(Store()) as it:
        await look(it, "\x1b]0;x\x07.txt", b"\x1b]52;c;AAAA\x07 [bold]x[/bold] \xe2\x80\xaeabc \x9b2J\n")
        await it.see("␛]0;x␇.txt", "␛]52;c;AAAA␇ [bold]x[/bold]", "<U+202E>")
        await it.press("x")
        await it.see("1b 5d 35 32")


@ui
async def test_a_file_that_cannot_be_read_is_asked_for_again() -> None:
    async with stage(Store()) as it:
        it.app.blobs.failure = NO_SERVER
        await look(it, "a.txt", b"hello\n")
        await it.see("No server answers.")
        it.app.blobs.failure = None
        await it.see("hello")
        it.app.push_screen(PeekScreen(Target(hash="0" * 40, name="gone")))
        it.app.blobs.store.files["0" * 40] = {}
        it.app.push_screen(PeekScreen(Target(hash="0" * 40, name="gone", path="not/there")))
        await it.see("There is no not/there.")


@pytest.mark.slow
@ui
async def test_rows_of_a_dump_follow_the_width() -> None:
    for size, first in (((60, 16), "00000008"), ((80, 24), "00000010"), ((200, 60), "00000020")):
        async with stage(Store(), size=size) as it:
            await look(it, "x.bin", bytes(range(256)) * 4)
            await it.see("00000000  00 01", first)
            await it.press("question_mark")
            await it.on(HelpScreen)
            assert "File" in screen_text(it.app)


# -- artifacts --


@ui
async def test_an_artifact_is_unfolded_and_a_file_in_it_opened() -> None:
    store = Store()
    store.artifact("all.zip", {"logs/out.txt": b"hello\n", "logs/deep/x": b"1", "a.json": b"[1]", "gone": None})
    async with stage(store) as it:
        await it.press("enter")
        await it.see("artifact of 4 files", "▸ logs/", "a.json")
        await it.press("right", "down", "right", "down")
        await it.see("▾ logs/", "▾ deep/", "x")
        await it.press("left", "left", "left", "enter")
        await it.unseen("▾")
        await it.press("enter", "down", "down", "enter")
        await it.on(PeekScreen)
        await it.see("logs/out.txt", "hello")
        assert it.asked("look") == [("look", store.blobs[0].hash, "logs/out.txt")]
        await it.press("escape")
        await it.on(ArtifactScreen)
        await it.press("Y")
        path = f"/v1/blobs/{store.blobs[0].hash}/content/logs/out.txt"
        await until(it.pilot, lambda: it.app.clipboard.endswith(path))


@ui
async def test_ten_thousand_files_come_page_by_page() -> None:
    store = Store()
    store.artifact("many.zip", {f"d{n % 10}/{n:05d}": b"" for n in range(10_000)})
    async with stage(store) as it:
        await it.press("enter")
        await it.see("d9/", "1 / 10")
        await until(it.pilot, lambda: "loading" not in screen_text(it.app))
        assert len(it.asked("entries")) == 10
        await it.press("right")
        await it.see("1 / 1,010")
        await it.press("G")
        await it.see("1,010 / 1,010")


@ui
async def test_reading_an_artifact_goes_on_after_a_failure() -> None:
    store = Store()
    store.artifact("many.zip", {f"{n:05d}": b"" for n in range(1500)})
    async with stage(store) as it:
        it.app.blobs.failure = NO_SERVER
        await it.press("enter")
        await it.on(ArtifactScreen)
        await it.see("No server answers.")
        it.app.blobs.failure = None
        await it.see("1 / 1,500")
        await it.unseen("No server")


# -- results --

JOB = Job(
    id="0a1b2c3d-0000-4000-8000-000000000001",
    dialect="webgme",
    state=JobState.RUNNING,
    steps=(Step(command_line="make all"),),
)


@ui
async def test_results_come_when_the_job_ends() -> None:
    store = Store()
    all_files = store.artifact("all.zip", {"a.txt": b"hello\n"})
    one = store.put("one.txt", b"single\n")
    results = {"all": all_files.hash, "one": one.hash, "score": {"f1": 0.5}, "lost": "d" * 40}
    async with stage(store) as it:
        await it.results_of(JOB)
        await it.see("The job still runs", "make all", "results · running")
        done = replace(JOB, state=JobState.SUCCEEDED, results=MappingProxyType(results))
        it.tell(told.JobTold(job=done))
        await it.see("▸ all", "one", "score", "lost", "results · succeeded")
        await it.press("right", "down", "enter")
        await it.on(PeekScreen)
        await it.see("hello")
        await it.press("escape")
        await it.on(ResultsScreen)
        await it.press("down", "enter")
        await it.on(PeekScreen)
        await it.see("single")
        await it.press("escape")
        await it.on(ResultsScreen)
        await it.press("down", "enter")
        await it.on(PeekScreen)
        await it.see('"f1": 0.5')
        await it.press("s")  # a value is no file: nothing is asked
        await it.press("escape")
        await it.on(ResultsScreen)


def test_why_there_are_no_results() -> None:
    words = {state: empty_words(replace(JOB, state=state))[0] for state in JobState}
    assert "has not run yet" in words[JobState.QUEUED]
    assert "still runs" in words[JobState.RUNNING]
    assert words[JobState.FAILED] == "The job left no results."
    assert "Nobody knows" in words[JobState.LOST]
    assert "removed" in empty_words(None)[0]


@ui
async def test_results_are_a_key_away_from_the_list() -> None:
    async with stage(Store()) as it:
        await it.press("1")
        await it.on(JobsScreen)
        await it.see("make part-3")
        await it.press("R")
        await it.on(ResultsScreen)
        await it.see("There is no job 00000003.")
