"""The state as a function of what was told."""

from __future__ import annotations

from jobdeck_protocol.job import Job, JobState
from jobdeck_tui.console.state import (
    CountsTold,
    GrowthTold,
    JobClosed,
    JobGone,
    JobOpened,
    JobTold,
    LinkTold,
    LogForgotten,
    LogSize,
    Message,
    ServerTold,
    State,
    apply,
)

SIZE = LogSize(size_bytes=10, line_count=2, indexed_bytes=10, ended=False)


def after(*messages: Message, state: State | None = None) -> State:
    state = state or State(url="http://127.0.0.1:1")
    for message in messages:
        state = apply(state, message)
    return state


def job(job_id: str, state: JobState = JobState.RUNNING) -> Job:
    return Job(id=job_id, dialect="v1", state=state)


def test_nothing_is_live_before_the_first_word() -> None:
    assert not after().live
    assert after(LinkTold(up=True, at_us=5)).live


def test_a_link_that_stays_down_is_down_since_it_went_down() -> None:
    state = after(
        LinkTold(up=True, at_us=1),
        LinkTold(up=False, at_us=5, error="gone", retry_s=0.1),
        LinkTold(up=False, at_us=9, error="refused", retry_s=0.3),
    )
    assert state.link is not None
    assert (state.live, state.link.at_us, state.link.error, state.link.retry_s) == (False, 5, "refused", 0.3)
    state = after(LinkTold(up=True, at_us=12), state=state)
    assert state.link is not None
    assert (state.live, state.link.at_us) == (True, 12)


def test_what_may_be_changed_depends_on_the_role_and_on_us() -> None:
    view, run = ServerTold(version="1", role="view", store="s"), ServerTold(version="1", role="run", store="s")
    assert not after(view).may_change
    assert after(run).may_change
    assert not after(run, state=State(url="", read_only=True)).may_change


def test_counts_are_as_told_last() -> None:
    state = after(CountsTold(counts={JobState.RUNNING: 3}), CountsTold(counts={JobState.RUNNING: 1}))
    assert state.counts == {JobState.RUNNING: 1}


def test_an_open_job_is_kept_up_to_date_and_its_removal_is_known() -> None:
    state = after(JobOpened(job=job("a")), JobTold(job=job("a", JobState.SUCCEEDED)), JobTold(job=job("b")))
    assert state.open["a"] is not None
    assert state.open["a"].state is JobState.SUCCEEDED
    assert "b" not in state.open
    state = after(JobGone(id="a"), state=state)
    assert state.open == {"a": None}


def test_sizes_are_known_while_a_log_is_watched() -> None:
    state = after(GrowthTold(key=("a", "stderr"), size=SIZE), GrowthTold(key=("a", None), size=SIZE))
    assert state.logs == {("a", "stderr"): SIZE, ("a", None): SIZE}
    state = after(LogForgotten(key=("a", "stderr")), state=state)
    assert state.logs == {("a", None): SIZE}


def test_a_closed_job_is_not_followed() -> None:
    state = after(JobOpened(job=job("a")), JobClosed(id="a"), JobTold(job=job("a", JobState.FAILED)))
    assert state.open == {}
