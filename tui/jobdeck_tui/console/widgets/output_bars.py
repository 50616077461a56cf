"""The two lines around a log: above it which job it is and how that stands, below it where one is in the log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import Reactive
from textual.widget import Widget

from jobdeck_protocol.job import JobState
from jobdeck_tui.console.marks import cut_off, mark_of
from jobdeck_tui.console.outcomewords import progress_words
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import bytes_text, ending

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job

__all__ = ["Foot", "Head", "Place"]

_ID_CELLS = 8
_LEAST_ROOM = 12
_BAR_CELLS = 16
_BAR_FROM_CELLS = 100


class Head(Widget):
    """Sign and state, what runs, the id's beginning; right which streams are shown.

    Attributes:
        job: None while it is not known.
        stream: The only one that is shown, None for both.
        brief: What the line below would tell, where there is no room for it.
    """

    DEFAULT_CSS = """
    Head { height: 1; padding: 0 1; background: $panel; color: $foreground; }
    """

    job: Reactive[Job | None] = Reactive(None)
    stream: Reactive[str | None] = Reactive(None)
    brief: Reactive[str] = Reactive("")

    def render(self) -> Content:
        """Fitted to the width: the command is cut first."""
        if self.job is None:
            return Content("")
        job, width = self.job, self.content_size.width
        sign = mark_of(job)
        far = progress_words(job, _BAR_CELLS if width >= _BAR_FROM_CELLS else _BAR_CELLS // 2)
        matter = clean_line("; ".join(filter(None, ("unreachable" if cut_off(job) else "", far, job.note))))
        told = f"{sign.sign} {_standing(job)}" + (f" ({matter})" if matter else "")
        state = Content.styled(told, f"${sign.colour}").truncate(max(_LEAST_ROOM, width // 2), ellipsis=True)
        words = [self.brief] if self.brief else []
        words += [f"only {self.stream}"] if self.stream is not None else []
        words.append(job.id[:_ID_CELLS])
        while words and width - state.cell_length - len(" · ".join(words)) - 4 < _LEAST_ROOM:
            words.pop()
        right = Content.styled(" · ".join(words), "$text-muted")
        room = width - state.cell_length - right.cell_length - (4 if words else 2)
        command = Content(clean_line(job.command)).truncate(max(0, room), ellipsis=True)
        gap = max(0, width - state.cell_length - 2 - command.cell_length - right.cell_length)
        return Content.assemble(state, "  ", command, " " * gap, right)


def _standing(job: Job) -> str:
    """Its state, and how it ended if that says more."""
    end = ending(job)
    if job.state is JobState.FAILED and end.isdecimal():
        return f"exit {end}"
    if job.state in (JobState.FAILED, JobState.STOPPED) and end:
        return f"{job.state.value}, {end}"
    return job.state.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one is in a log.

    Attributes:
        line: The line where reading goes on, from 0; None if there is none.
        line_count: As far as is known here.
        size_bytes: Of the log, None while that is not known.
        indexed: Which part of it was looked through for lines, 0 to 1.
        behind_count: Lines that were written since following ended.
        follow: The end is followed.
        ended: The log will not grow any more.
        chosen: What is selected, in words.
        trouble: Why something could not be read.
    """

    line: int | None = None
    line_count: int = 0
    size_bytes: int | None = None
    indexed: float = 1.0
    behind_count: int = 0
    follow: bool = True
    ended: bool = False
    chosen: str = ""
    trouble: str = ""

    @property
    def without_numbers(self) -> Place:
        """All of it that a growing log by itself does not change."""
        return replace(self, line=None if self.follow else self.line, line_count=0, size_bytes=None, behind_count=0)

    @property
    def going(self) -> tuple[str, str]:
        """What happens at the end now, and the colour in which that is told."""
        if self.trouble:
            return clean_line(self.trouble), "$text-error"
        if self.indexed < 1:
            return f"indexing {int(self.indexed * 100)} %", "$text-warning"
        if self.follow:
            return ("end", "$text-muted") if self.ended else ("● following", "$text-success")
        more = f", {self.behind_count:,} new" if self.behind_count else ""
        return ("", "") if self.ended else (f"paused{more}", "$text-warning")


class Foot(Widget):
    """Left where one is, right what goes on.

    Attributes:
        place: See there.
        modes: Toggles that are on, in words.
    """

    DEFAULT_CSS = """
    Foot { height: 1; padding: 0 1; background: $panel; color: $text-muted; }
    """

    place: Reactive[Place] = Reactive(Place())
    modes: Reactive[str] = Reactive("")

    def render(self) -> Content:
        """Fitted to the width: what falls away first is least."""
        width = self.content_size.width
        place = self.place
        going, colour = place.going
        right = Content.styled(going, colour) if going else Content("")
        left = [part for part in (_position(place), _size(place), place.chosen, self.modes) if part]
        while left and sum(map(len, left)) + 3 * (len(left) - 1) + right.cell_length + 1 > width:
            left.pop()
        text = Content(" · ".join(left))
        if right.cell_length > width:
            right = right.truncate(width, ellipsis=True)
        return Content.assemble(text, " " * max(0, width - text.cell_length - right.cell_length), right)


def _position(place: Place) -> str:
    if place.line is None:
        return ""
    part = (place.line + 1) / max(1, place.line_count)
    return f"{place.line + 1:,} / {place.line_count:,} ({part:.0%})"


def _size(place: Place) -> str:
    return "" if not place.size_bytes else bytes_text(place.size_bytes)
