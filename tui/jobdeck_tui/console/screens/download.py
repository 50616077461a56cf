"""Save a blob, or a file of an artifact: where to, how far it is, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from jobdeck_client import ClientError
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.moving import Meter, restarted
from jobdeck_tui.console.saving import target
from jobdeck_tui.console.widgets.path_input import PathInput
from jobdeck_tui.console.workers import start
from jobdeck_tui.names import safe_name
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from jobdeck_tui.console.app import ConsoleApp

__all__ = ["DownloadScreen", "Wanted"]

_HELP = "Enter saves, Tab completes, Esc gives up."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is fetched.

    Attributes:
        hash: Of the blob.
        name: Proposed for the file; foreign.
        path: Of a file in an artifact.
        size_bytes: None where nobody knows.
    """

    hash: str
    name: str
    path: str | None = None
    size_bytes: int | None = None


class DownloadScreen(ModalScreen[Path | None]):
    """Returns the file that was written; None if it was given up. What is there is replaced only after a second Enter.

    Until it is whole the file is a hidden one beside its place; if it is broken off, the next try goes on from there.
    """

    DEFAULT_CSS = """
    DownloadScreen {
        align: center middle;
        & > Vertical {
            width: 84; max-width: 100%; height: auto; padding: 0 1;
            border: round $primary; border-title-color: $text-primary; background: $surface;
        }
        & Input { border: none; height: 1; padding: 0; background: $surface; }
        & Static { color: $text-muted; }
        & Static.-wrong { color: $text-error; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", "Cancel")]

    def __init__(self, wanted: Wanted) -> None:
        super().__init__()
        self.wanted = wanted
        self._default_name = safe_name(wanted.path or wanted.name) or wanted.hash
        self._replaces: Path | None = None  # agreed to, if Enter is pressed again

    def compose(self) -> ComposeResult:
        """One line to type into, one that says how it goes."""
        self._input = PathInput()
        self._words = Static(_HELP, markup=False)
        with Vertical() as box:
            box.border_title = Content(f"Save {clean_line(self._default_name)}")
            yield self._input
            yield self._words

    def on_mount(self) -> None:
        """Type at once, behind the name that is proposed."""
        self._input.begin(str(Path.cwd() / self._default_name))

    def on_input_changed(self) -> None:
        """Another file: nothing was agreed to."""
        self._replaces = None

    def on_path_input_proposed(self, event: PathInput.Proposed) -> None:
        """Names that would fit."""
        self._say(event.words or _HELP)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Begin, or ask."""
        try:
            path = target(restarted(event.value), self._default_name)
            there = path.exists()
        except (ValueError, OSError, RuntimeError) as error:  # the last one: nobody has this ~name
            self._refuse(str(error))
            return
        if there and self._replaces != path:
            self._replaces = path
            self._say(f"{path} exists already. Enter again replaces it.", wrong=True)
            return
        self._input.disabled = True
        self._say(f"asking for {bytes_text(self.wanted.size_bytes)}" if self.wanted.size_bytes else "asking")
        start(self, partial(self._saved, path, replace=there), "save")

    async def _saved(self, path: Path, *, replace: bool) -> None:
        app = cast("ConsoleApp", self.app)
        wanted, meter = self.wanted, Meter(self._say)
        try:
            size = await app.api.blobs.download(wanted.hash, wanted.path, path, meter.update, replace=replace)
        except FileExistsError:
            self._refuse(f"{path} came to be meanwhile; it is left as it is.")
        except OSError as error:
            self._refuse(f"{path}: {error.strerror or error}.")
        except ClientError as error:
            self._refuse(str(error))
        except GuestEndedError:
            self.dismiss(None)
        else:
            app.tell(f"{bytes_text(size)} saved to {path}")
            self.dismiss(path)

    def _refuse(self, why: str) -> None:
        self._input.disabled = False
        self._input.focus()
        self._say(why, wrong=True)

    def _say(self, words: str, *, wrong: bool = False) -> None:
        self._words.set_class(wrong, "-wrong")
        self._words.update(Content(clean_line(words)))

    def action_give_up(self) -> None:
        """Leave no file under its name; what came is kept beside it, hidden, and used by the next try."""
        if self.workers.cancel_group(self, "save"):
            cast("ConsoleApp", self.app).tell("Given up; saving it to the same place again goes on from there")
        self.dismiss(None)
