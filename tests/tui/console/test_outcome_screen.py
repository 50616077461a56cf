"""What became of a class out of a package, as it is seen: trees, streams, exceptions, refusals, progress."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from jobdeck_client import ClassOutcome
from jobdeck_client.errors import NotFoundError
from jobdeck_protocol.job import JobState
from jobdeck_tui.console import state as told
from jobdeck_tui.console.outcomewords import failure_lines, progress_bar
from jobdeck_tui.console.screens.download import DownloadScreen
from jobdeck_tui.console.screens.help import rows_of
from jobdeck_tui.console.screens.peek import PeekScreen
from jobdeck_tui.console.widgets import json_pane
from tests.tui.console.blobs import NO_SERVER
from tests.tui.console.harness import screen_text, ui, until
from tests.tui.console.outcomes import job, json_outcome, opened

RESULT = (
    b'{"words": {"a": 2, "b": 0.10, "see": 123456789012345678901234567890}, "list": [1, [2, {"deep": null}]],'
    b' "long": "' + b"lorem ipsum " * 300 + b'", "none": {}}'
)
WIDE = json.dumps([{"word": f"w{n}", "count": n} for n in range(500)]).encode()


@ui
async def test_a_small_result_is_a_tree_that_folds() -> None:
    async with opened(job(), json_outcome(RESULT), result=RESULT) as it:
        await it.see("jobs.WordCount", "RESULT", "▾ words", "a  2", "b  0.10", "123456789012345678901234567890", "deep")
        await it.see('long  "lorem ipsum', "…", "none  {}", "1 / 13", "$")
        await it.press("down")
        await it.see("$.words", "2 / 13")
        await it.press("h")
        await it.see('▸ words  {3}  {"a": 2, "b": 0.10', "2 / 10")
        await it.press("l", "j", "j", "j")
        await it.see("$.words.see")
        await it.press("p")
        await until(it.pilot, lambda: it.app.clipboard == "$.words.see")
        await it.press("y")
        await until(it.pilot, lambda: it.app.clipboard == "123456789012345678901234567890")
        await it.press("h")
        await it.see("$.words", "2 / 13")
        await it.press("g", "minus")
        await it.see("▸ words", "▸ list", "1 / 5")
        await it.press("plus")
        await it.see("deep", "1 / 13")
        keys = {row.action for row in rows_of(it.app.screen)}
        assert {"config", "save", "look", "copy", "copy_path", "search", "fold_all(True)"} <= keys
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen is it.app._jobs)


@pytest.mark.slow
@ui
async def test_a_value_that_is_cut_is_looked_at_whole() -> None:
    async with opened(job(), json_outcome(RESULT), result=RESULT) as it:
        await it.see("long")
        await it.press("G", "k", "enter")
        await it.on(PeekScreen)
        await it.see("$.long", "lorem ipsum lorem", "text", "3.5 KiB")
        await it.press("escape")
        await until(it.pilot, lambda: it.app.screen is it.outcome)


@ui
async def test_names_and_values_are_searched() -> None:
    async with opened(job(), json_outcome(WIDE), result=WIDE) as it:
        await it.see("▸ 0  {2}", "1 / 501")
        await it.press("slash", *"w42", "enter")
        await it.see("1 of 11", 'word  "w42"', "$[42].word")
        await it.press("n")
        await it.see("2 of 11", "$[420].word")
        await it.press("N", "N")
        await it.see("11 of 11", "$[429].word")
        await it.press("escape")
        await it.unseen("of 11")
        await it.press("g", "slash", *"nowhere")
        await it.see("nothing found")
        await it.press("escape")
        await it.unseen("nothing found")
        await it.see("1 / ")


@ui
async def test_the_configuration_is_a_tree_too() -> None:
    async with opened(job(), json_outcome(b"1"), result=b"1", config=b'{"input": {"string": "a b", "n": 1.50}}') as it:
        await it.see("result · succeeded", " 1 / 1")
        await it.press("c")
        await it.see("configuration · succeeded", "▾ input", '"a b"', "n  1.50")
        await it.press("c")
        await it.see("result · succeeded", " 1 / 1")
        assert [each for each in it.classes.asked if each[0] == "config"] == [("config",)]


def test_of_a_huge_result_the_beginning_is_read_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_pane, "JSON_PIECE_BYTES", 20_000)
    monkeypatch.setattr(json_pane, "JSON_LIMIT_BYTES", 100_000)
    result = json.dumps([{"n": n, "text": "x" * 100} for n in range(2_000)]).encode()

    @ui
    async def look() -> None:
        async with opened(job(), json_outcome(result), result=result) as it:
            await it.see("▸ 0  {2}", "+")
            assert max(end for kind, _, end in it.classes.asked[1:]) == 20_000  # no more than is seen
            await it.press("G")
            await it.see("the first 97.7 KiB of 2", "s saves all")
            assert max(end for kind, _, end in it.classes.asked[1:]) == 100_000
            await it.press("s")
            await it.on(DownloadScreen)
            await it.see("0000aaaa-result.json")

    look()


@ui
async def test_a_stream_is_looked_into_as_a_file() -> None:
    data = bytes(range(256)) * 4
    came = ClassOutcome(kind="finished", result_kind="stream", result_bytes=len(data))
    async with opened(job(), came, result=data) as it:
        await it.on(PeekScreen)
        await it.see("00000000  00 01 02 03", "hex")
        await it.press("escape")
        await it.see("The job has streamed 1.0 KiB.", "x looks into it")
        await it.press("x")
        await it.on(PeekScreen)


@ui
async def test_an_exception_has_message_class_and_stack() -> None:
    came = ClassOutcome(
        kind="run_raised",
        message="it broke:\x1b[2J\u202e bad\n[bold]more",
        error_class="my.Error",
        stack='Traceback:\n  File "/x.py", line 3\n    raise Error',
    )
    async with opened(job(JobState.FAILED, exit_code=4), came) as it:
        await it.see(
            "it broke:␛[2J<U+202E> bad", "[bold]more", "class  my.Error", '  File "/x.py", line 3', "raise Error"
        )
        await it.press("y")
        await until(it.pilot, lambda: "class  my.Error\n\nstack\nTraceback:" in it.app.clipboard)
        assert not {"look", "save"} & {row.action for row in rows_of(it.app.screen)}


@pytest.mark.slow
@ui
async def test_problems_are_a_list() -> None:
    came = ClassOutcome(kind="validation", message="a; b", error_class="V", problems=("no input.strings", "two\nlines"))
    async with opened(job(JobState.FAILED, exit_code=1), came, size=(60, 16)) as it:
        await it.see("The job has refused its configuration:", "✗ no input.strings", "✗ two", "    lines")


@ui
async def test_progress_is_told_until_the_result_is_there() -> None:
    running = job(JobState.RUNNING, progress=0.25, progress_text="counting\x1b[2J", started_us=5)
    async with opened(running) as it:
        await it.see("still runs", "████████░░░", " 25 %", "counting␛[2J")
        it.tell(told.JobTold(job=replace(running, progress=0.5)))
        await it.see(" 50 %")
        it.classes.came, it.classes.result = json_outcome(b"[7]"), b"[7]"
        it.tell(told.JobTold(job=replace(running, state=JobState.SUCCEEDED, progress=None)))
        await it.see("RESULT", "0  7")


@ui
async def test_what_is_not_there_is_told() -> None:
    waiting = job(JobState.QUEUED, note="waits for a slot in main")
    async with opened(waiting) as it:
        await it.see("has not run yet", "waits for a slot in main")
        it.classes.came = ClassOutcome(kind="finished")
        it.tell(told.JobTold(job=replace(waiting, state=JobState.SUCCEEDED)))
        await it.see("has ended well, and returned nothing")
        it.tell(told.JobGone(id=job().id))
        await it.see("The job was removed.")


@pytest.mark.slow
@ui
async def test_what_is_no_json_is_shown_as_far_as_it_is() -> None:
    async with opened(job(), json_outcome(b"[1, oops]"), result=b"[1, oops]") as it:
        await it.see("no JSON: byte 4", "0  1")


def test_why_there_is_no_result() -> None:
    refused = ClassOutcome(kind="validation", message="a; b", problems=("no input.strings", "two\nlines\x1b[2J"))
    assert [line for line, _ in failure_lines(refused, job(JobState.FAILED))] == [
        *("The job has refused its configuration:", "  ✗ no input.strings", "  ✗ two", "    lines␛[2J"),
    ]
    for state, kind, words in (
        (JobState.STOPPED, "stopped", "The job was stopped: it left no result."),
        (JobState.LOST, "lost", "Nobody knows how the job ended: it left no result."),
        (JobState.FAILED, "exited", "It left no result."),
    ):
        assert failure_lines(ClassOutcome(kind=kind), job(state)) == [(words, "")]
    assert progress_bar(0.001, 4) == "█░░░"
    assert progress_bar(0.999, 4) == "███░"
    assert (progress_bar(0, 4), progress_bar(1, 4), progress_bar(7, 4)) == ("░░░░", "████", "████")


@ui
async def test_failures_are_told_and_mend() -> None:
    async with opened(job(JobState.RUNNING)) as it:
        await it.see("still runs")
        it.classes.failure = NO_SERVER
        it.tell(told.JobTold(job=job()))
        await it.see("No server answers.")
        it.classes.came, it.classes.result, it.classes.failure = json_outcome(b"[7]"), b"[7]", None
        await it.see("0  7")
        it.classes.failure = NotFoundError(404, "no", "It is gone.")
        await it.press("c")
        await until(it.pilot, lambda: it.app.toasts == ["It cannot be had: It is gone."])
        await it.see("result · ")


@pytest.mark.slow
def test_a_part_that_cannot_be_had_is_not_asked_for_at_once_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_pane, "RETRY_S", 3600.0)

    @ui
    async def look() -> None:
        async with opened(job(), json_outcome(WIDE), result=WIDE) as it:
            await it.see("▸ 0  {2}")
            pane = it.outcome.pane
            it.classes.failure = NO_SERVER
            pane.show(it.classes.read, len(WIDE), title="again")
            await it.see("No server answers.")
            asked = len(it.classes.asked)
            pane.show_rows()
            await it.press("down")
            assert len(it.classes.asked) == asked
            it.classes.failure = None
            pane.read_on()  # as after a while by itself
            await it.see("▸ 0  {2}", "/ 501")

    look()


@pytest.mark.slow
@ui
async def test_what_is_typed_goes_on_while_the_job_does() -> None:
    running = job(JobState.RUNNING, progress=0.25, started_us=5)
    async with opened(running, config=b'{"a": "b"}') as it:
        await it.see("25 %")
        await it.press("c")
        await it.see("▾ $", "a  ")
        await it.press("slash", "b")
        it.tell(told.JobTold(job=replace(running, progress=0.5)))
        await it.pilot.pause(0.2)
        await it.press("enter")
        await it.see("1 of 1")


@pytest.mark.slow
@ui
async def test_keys_are_obeyed_while_it_is_read() -> None:
    async with opened(job(), json_outcome(WIDE), result=WIDE) as it:
        it.classes.pause = asyncio.Event()
        await it.see("RESULT")
        await it.press("c")
        await it.see("configuration · ")
        it.classes.pause.set()
        await it.press("c")
        await it.see("▸ 0  {2}")


@pytest.mark.slow
@ui
async def test_it_is_legible_where_there_is_little_room() -> None:
    deep = b'{"a name that is longer than the room": ' + b'{"b":' * 40 + b'"end"' + b"}" * 41
    for size in ((60, 16), (200, 60)):
        async with opened(job(), json_outcome(deep), result=deep, size=size) as it:
            await it.see("a name that is")
            await it.press("G")
            await it.see('"end"', "42 / 42", "(41)")
            assert all(len(line) <= size[0] for line in screen_text(it.app).splitlines())
