"""The list of jobs as it is driven: cursor, ends, marks, filter, sorts, and what is done to jobs."""

from __future__ import annotations

import pytest

from jobdeck_client.errors import ConflictError, UnreachableError
from jobdeck_protocol.job import JobState
from jobdeck_tui.console import state as told
from jobdeck_tui.console.pages import Place
from jobdeck_tui.console.query import Query
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.help import rows_of
from jobdeck_tui.console.screens.output import OutputScreen
from jobdeck_tui.console.widgets.job_table import JobTable
from tests.tui.console.harness import screen_text, ui, until
from tests.tui.console.lists import stage, with_jobs
from tests.tui.console.server_list import ServerList

RUNNING, FAILED, SUCCEEDED = JobState.RUNNING, JobState.FAILED, JobState.SUCCEEDED


# -- cursor and window --


@ui
async def test_the_newest_come_first_and_the_cursor_is_on_the_newest() -> None:
    async with stage(with_jobs(50)) as it:
        assert (it.cursor, it.seen[:3]) == (50, [50, 49, 48])
        await it.press("down", "j", "j", "k")
        assert it.cursor == 48
        assert "3 / 50" in screen_text(it.app)


@ui
async def test_the_cursor_follows_its_job_and_the_view_stays_at_the_top_while_it_is_in_sight() -> None:
    async with stage(with_jobs(50)) as it:
        await it.press("down")
        for _ in range(3):
            it.server.submit()
        await it.hear()
        assert (it.cursor, it.seen[0]) == (49, 53)
        for _ in range(30):
            it.server.submit()
        await it.hear()
        assert it.cursor == 49
        assert 49 in it.seen


@ui
async def test_what_is_seen_stays_when_rows_come_above() -> None:
    async with stage(with_jobs(100)) as it:
        await it.press("pagedown", "pagedown")
        before = it.seen
        for _ in range(5):
            it.server.submit()
        await it.hear()
        assert it.seen == before


@ui
async def test_the_cursor_goes_to_the_neighbour_of_a_job_that_left() -> None:
    async with stage(with_jobs(10)) as it:
        await it.press("down")
        it.server.remove(8)
        await it.hear()
        assert it.cursor == 8


@ui
async def test_both_ends_of_a_long_list_are_one_key_away() -> None:
    async with stage(with_jobs(5000)) as it:
        await it.press("G")
        await until(it.pilot, lambda: it.cursor == 1)
        assert it.seen[-1] == 1
        await it.press("g")
        await until(it.pilot, lambda: it.cursor == 5000)
        assert it.seen[0] == 5000
        assert [place for place in it.deck.places if place in (Place.END, Place.START)] == [
            Place.START,
            Place.END,
            Place.START,
        ]


@pytest.mark.slow
@ui
async def test_pages_are_fetched_before_the_end_of_those_held_is_reached() -> None:
    async with stage(with_jobs(3000)) as it:
        table = it.screen.table
        for step in (90, -90):
            for _ in range(25):
                before = it.cursor
                assert before is not None
                table.go_to(table.cursor_index + step)
                await it.settled()
                assert it.cursor == before - step
        assert it.deck.places.count(Place.BELOW) >= 10
        assert it.deck.places.count(Place.ABOVE) >= 1
        assert len(table.rows) == 2000


@ui
async def test_following_keeps_the_cursor_on_the_newest_until_the_reader_moves() -> None:
    async with stage(with_jobs(50)) as it:
        await it.press("pagedown", "f")
        assert it.cursor == 50
        it.server.submit()
        await it.hear()
        assert (it.cursor, it.seen[0]) == (51, 51)
        assert "following" in screen_text(it.app)
        await it.press("down")
        it.server.submit()
        await it.hear()
        assert it.cursor == 50


@ui
async def test_new_jobs_above_the_window_are_counted() -> None:
    async with stage(with_jobs(5000)) as it:
        await it.press("G")
        await until(it.pilot, lambda: it.cursor == 1)
        for _ in range(3):
            it.server.submit()
        await it.hear()
        assert "↑ 3 new" in screen_text(it.app)


@ui
async def test_a_click_goes_to_a_row_two_open_it_and_a_title_sorts() -> None:
    async with stage(with_jobs(50)) as it:
        await it.pilot.click(JobTable, offset=(20, 4))
        await it.settled()
        assert it.cursor == 47
        await it.pilot.click(JobTable, offset=(4, 0))
        await it.settled()
        assert it.deck.queries == [Query(sort="state")]
        await it.pilot.click(JobTable, offset=(20, 2), times=2)
        await until(it.pilot, lambda: isinstance(it.app.screen, OutputScreen))


@ui
async def test_only_rows_that_changed_are_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(with_jobs(50, FAILED, RUNNING)) as it:
        table = it.screen.table
        drawn: list[int] = []
        monkeypatch.setattr(table, "refresh", lambda *regions, **_: drawn.extend(region.y for region in regions))
        table._tick()
        assert drawn == []
        for row in (3, 1):
            it.server.move(len(it.server.jobs) - row, SUCCEEDED)
            it.deck.tell_changes()
            table.take(it.deck.state.list)
        assert drawn == [3, 1]


# -- filter and sorts --


@ui
async def test_a_filter_is_asked_for_once_it_stands_and_escape_clears_it() -> None:
    async with stage(with_jobs(300, FAILED, SUCCEEDED)) as it:
        await it.press("slash", *"state:f part-1")
        await until(it.pilot, lambda: it.deck.queries)
        await until(it.pilot, lambda: it.deck.queries[-1].text == "part-1")
        await it.settled()
        assert it.deck.queries[-1] == Query(states=frozenset({FAILED}), text="part-1")
        assert it.cursor == 199
        await it.press("enter", "down")
        assert it.cursor == 197
        await it.press("slash", "escape")
        assert it.deck.queries[-1] == Query()
        assert (it.cursor, it.screen.filter.display) == (300, False)


@ui
async def test_keys_that_follow_quickly_are_one_question() -> None:
    async with stage(with_jobs(30)) as it:
        await it.press("slash")
        for text in ("p", "pa", "par", "part-2"):
            it.screen.filter.input.value = text
        await until(it.pilot, lambda: it.deck.queries)
        assert [query.text for query in it.deck.queries] == ["part-2"]


@ui
async def test_a_state_that_is_none_is_told_beside_the_line_and_not_asked_for() -> None:
    async with stage(with_jobs(5)) as it:
        await it.press("slash")
        it.screen.filter.input.value = "state:zz"  # at once: half of it would be a question of its own
        await it.press("enter")
        assert it.deck.queries == []
        assert "no state begins with 'zz'" in screen_text(it.app)


@ui
async def test_sorts_turn_round_and_keep_the_filter() -> None:
    async with stage(with_jobs(10, FAILED, RUNNING)) as it:
        await it.press("slash")
        it.screen.filter.input.value = "part"
        await it.press("enter", "S", "S", "E", "A", "A")
        assert [(query.text, query.sort) for query in it.deck.queries] == [
            ("part", "-created"),
            ("part", "state"),
            ("part", "-state"),
            ("part", "-ended"),
            ("part", "-created"),
            ("part", "created"),
        ]
        assert it.cursor == 1
        assert "AGE ▲" in screen_text(it.app)


@ui
async def test_another_query_begins_at_its_first_row() -> None:
    async with stage(with_jobs(100, FAILED, SUCCEEDED)) as it:
        await it.press("pagedown", "S")
        assert (it.cursor, it.seen[0]) == (1, 1)


@ui
async def test_a_search_that_found_little_goes_on_when_the_reader_does() -> None:
    server = with_jobs(3000)
    server.scan_count = 1000
    async with stage(server) as it:
        await it.press("slash", *"part-2", "enter")
        await until(it.pilot, lambda: it.deck.queries and it.deck.queries[-1].text == "part-2")
        it.deck.places.clear()
        await it.settled()
        assert it.deck.places == []
        assert "not all searched" in screen_text(it.app)
        await it.press("G")
        await until(it.pilot, lambda: Place.END in it.deck.places)


# -- words --


@ui
async def test_an_empty_list_says_why() -> None:
    async with stage(ServerList(), holding=True) as it:
        assert "Loading…" in screen_text(it.app)
        it.deck.let()
        await it.settled()
        assert "n starts one" in screen_text(it.app)
        assert "jobdeck run -- date" in screen_text(it.app)
        it.server.submit()
        await it.hear()
        assert "starts one" not in screen_text(it.app)


@ui
async def test_no_match_and_no_list_say_so() -> None:
    async with stage(with_jobs(5)) as it:
        await it.press("slash", *"nothing", "enter")
        assert "No job matches." in screen_text(it.app)
        it.deck.error = "No server answers at \x1b]52;c;x\x07."
        await it.press("slash", "x", "enter")
        assert "The list cannot be had:" in screen_text(it.app)
        assert "␛]52;c;x␇" in screen_text(it.app)


# -- marks --


@ui
async def test_marks_follow_their_jobs_and_leave_with_them() -> None:
    async with stage(with_jobs(50)) as it:
        await it.press("space", "down", "space")
        assert it.screen.table.marks == {f"{50:08x}", f"{48:08x}"}
        it.server.remove(47)
        it.server.submit()
        await it.hear()
        assert it.screen.table.marks == {f"{50:08x}"}
        assert "◆ 1 marked" in screen_text(it.app)
        await it.press("ctrl+a")
        assert len(it.screen.table.marks) == 50
        await it.press("u")
        assert it.screen.table.marks == set()


@ui
async def test_marks_that_a_filter_leaves_out_are_gone() -> None:
    async with stage(with_jobs(50)) as it:
        await it.press("ctrl+a", "slash", *"part-4", "enter")
        assert it.screen.table.marks == {f"{number:08x}" for number in (4, *range(40, 50))}


# -- what is done to jobs --


@ui
async def test_a_stop_is_asked_for_and_a_stray_enter_does_nothing() -> None:
    async with stage(with_jobs(3, RUNNING)) as it:
        await it.press("x")
        assert isinstance(it.app.screen, ConfirmScreen)
        assert "make part-3" in screen_text(it.app)
        await it.press("enter")
        assert it.asked("stop") == []
        await it.press("x", "tab", "enter")
        await until(it.pilot, lambda: it.asked("stop"))
        assert it.asked("stop") == [("stop", f"{3:08x}")]
        await until(it.pilot, lambda: it.app.toasts)
        assert it.app.toasts == ["1 job asked to stop"]


@ui
async def test_what_has_ended_is_left_out_and_that_is_said() -> None:
    async with stage(with_jobs(4, RUNNING, FAILED)) as it:
        await it.press("ctrl+a", "X")
        assert "Left out: 2 jobs that have ended already." in screen_text(it.app)
        await it.press("y")
        await until(it.pilot, lambda: it.asked("kill"))
        assert it.asked("kill") == [("kill", f"{3:08x}", f"{1:08x}")]
        await until(it.pilot, lambda: not it.screen.table.marks)


@ui
async def test_nothing_is_asked_where_all_have_ended() -> None:
    async with stage(with_jobs(2, FAILED)) as it:
        await it.press("x")
        assert not isinstance(it.app.screen, ConfirmScreen)
        assert it.app.toasts == ["It has ended already"]


@ui
async def test_refusals_and_failures_are_told() -> None:
    async with stage(with_jobs(6, RUNNING)) as it:
        it.app.asking.refused = [(f"{n:08x}", "It is \x1b[2Jnot running.") for n in range(2, 7)]
        await it.press("ctrl+a", "x", "y")
        await until(it.pilot, lambda: len(it.app.toasts) == 5)
        assert it.app.toasts[0] == "00000002: It is ␛[2Jnot running."
        assert it.app.toasts[3:] == ["and 2 more refused", "1 job asked to stop"]
        it.app.asking.refusal = UnreachableError("http://x", "refused")
        await it.press("x", "y")
        await until(it.pilot, lambda: len(it.app.toasts) == 6)
        assert it.app.toasts[5] == "Stopping failed: No server answers at http://x: refused."


@ui
async def test_a_job_that_is_run_again_gets_the_cursor() -> None:
    async with stage(with_jobs(300)) as it:
        await it.press("pagedown", "r")
        await until(it.pilot, lambda: it.cursor == 301)
        assert it.asked("rerun") == [("rerun", f"{300 - it.screen.table.seen_count:08x}")]
        assert it.app.toasts[0].startswith("Started 0000012d, the same as ")
        it.app.asking.refusal = ConflictError(409, "no", "It cannot be run again.")
        await it.press("r")
        await until(it.pilot, lambda: len(it.app.toasts) == 2)
        assert it.app.toasts[1] == "It could not be run again: It cannot be run again."


@ui
async def test_several_are_run_again_after_a_question() -> None:
    async with stage(with_jobs(3)) as it:
        await it.press("ctrl+a", "r")
        assert isinstance(it.app.screen, ConfirmScreen)
        await it.press("y")
        await until(it.pilot, lambda: len(it.asked("rerun")) == 3)


@ui
async def test_the_cursor_comes_back_from_far_away_to_a_new_job() -> None:
    async with stage(with_jobs(5000)) as it:
        await it.press("G")
        await until(it.pilot, lambda: it.cursor == 1)
        await it.press("r")
        await until(it.pilot, lambda: it.cursor == 5001)
        it.server.submit()
        await it.hear()
        assert it.cursor == 5001


@ui
async def test_only_what_has_ended_is_removed() -> None:
    async with stage(with_jobs(2, RUNNING, FAILED)) as it:
        await it.press("ctrl+a", "d")
        assert "Left out: 1 job that has not ended yet." in screen_text(it.app)
        await it.press("y")
        await until(it.pilot, lambda: it.asked("remove"))
        assert it.asked("remove") == [("remove", f"{2:08x}")]
        await it.press("u", "G", "d")
        assert it.app.toasts[-1] == "Only jobs that have ended can be removed"


@ui
async def test_ids_and_curl_lines_are_copied() -> None:
    async with stage(with_jobs(3)) as it:
        await it.press("y")
        assert it.app.clipboard == f"{3:08x}"
        await it.press("Y")
        assert it.app.clipboard.startswith("curl ")
        assert "make part-3" in it.app.clipboard
        await it.press("ctrl+a", "y")
        assert it.app.clipboard.split("\n") == [f"{n:08x}" for n in (3, 2, 1)]


@ui
async def test_who_may_only_look_has_no_keys_that_change() -> None:
    async with stage(with_jobs(3, RUNNING), read_only=True) as it:
        actions = {row.action for row in rows_of(it.app.screen)}
        assert not actions & {"stop(False)", "stop(True)", "rerun", "remove", "start"}
        assert {"open", "copy_id", "filter"} <= actions
        assert "Stop" not in screen_text(it.app)
        await it.press("x", "X", "r", "d", "n")
        assert len(it.app.screen_stack) == 2
        assert it.app.asking.asked == []


@ui
async def test_keys_come_when_the_server_says_that_one_may() -> None:
    async with stage(with_jobs(3, RUNNING)) as it:
        it.deck.tell(told.ServerTold(version="1", role="view", store="s"))
        await it.settled()
        await until(it.pilot, lambda: "Stop" not in screen_text(it.app))
        it.deck.tell(told.ServerTold(version="1", role="run", store="s"))
        await until(it.pilot, lambda: "Stop" in screen_text(it.app))


@ui
async def test_enter_opens_the_output() -> None:
    async with stage(with_jobs(3)) as it:
        await it.press("down", "enter")
        await until(it.pilot, lambda: isinstance(it.app.screen, OutputScreen))
        assert isinstance(it.app.screen, OutputScreen)
        assert it.app.screen.job_id == f"{2:08x}"


# -- the output beside the list --


@ui
async def test_the_output_is_beside_the_list_below_it_or_not_there() -> None:
    for size, shown in (((100, 24), False), ((100, 40), True), ((160, 24), True)):
        async with stage(with_jobs(3), size=size) as it:
            assert it.screen.preview.display is shown
            wanted = it.screen.preview.wanted[0]
            assert wanted == (f"{3:08x}" if shown else None)
            if shown:
                await it.press("down")
                await until(it.pilot, lambda: it.screen.preview.wanted[0] == f"{2:08x}")
                await it.press("p")
                await until(it.pilot, lambda: it.screen.preview.wanted[0] is None)
                assert not it.screen.preview.display
