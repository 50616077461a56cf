"""Save a log to a file: where to, how far it is, and what went wrong."""

from __future__ import annotations

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
from jobdeck_tui.console.saving import save_log, target
from jobdeck_tui.console.shell import log_name
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from jobdeck_protocol.job import Job
    from jobdeck_tui.console.app import ConsoleApp

__all__ = ["SaveScreen"]

_HELP = "Enter saves, Esc gives up. A file that exists is not overwritten."
_BAR_CELLS = 24


class SaveScreen(ModalScreen[Path | None]):
    """Returns the file that was written; None if it was given up.

    Args:
        job: Whose log.
        stream: One stream alone.
        size_bytes: How long it is about, None if nobody knows.
    """

    DEFAULT_CSS = """
    SaveScreen {
        align: center middle;
        & > Vertical {
            width: 76; max-width: 100%; height: auto; padding: 0 1;
            border: round $primary; border-title-color: $text-primary; background: $surface;
        }
        & Input { border: none; height: 1; padding: 0; background: $surface; }
        & Static { color: $text-muted; }
        & Static.-wrong { color: $text-error; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", "Cancel")]

    def __init__(self, job: Job, *, stream: str | None = None, size_bytes: int | None = None) -> None:
        super().__init__()
        self._job = job
        self._stream = stream
        self._size_bytes = size_bytes
        self._default_name = log_name(job, stream=stream)

    def compose(self) -> ComposeResult:
        """One line to type into, one that says how it goes."""
        self._input = Input(compact=True, select_on_focus=False)
        self._words = Static(_HELP, markup=False)
        with Vertical() as box:
            box.border_title = f"Save {self._stream or 'the log'} to a file"
            yield self._input
            yield self._words

    def on_mount(self) -> None:
        """Type at once, behind the name that is proposed."""
        self._input.value = str(Path.cwd() / self._default_name)
        self._input.focus()
        self.call_after_refresh(self._show_end)

    def _show_end(self) -> None:
        """A field shows the end of its text where the cursor is moved to it."""
        self._input.action_home()
        self._input.action_end()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Begin."""
        try:
            path = target(event.value, self._default_name)
        except (ValueError, OSError, RuntimeError) as error:  # the last one: nobody has this ~name
            self._refuse(str(error))
            return
        self._input.disabled = True
        self._tell(0)
        start(self._input, partial(self._saved, path), "save")

    async def _saved(self, path: Path) -> None:
        app = cast("ConsoleApp", self.app)
        try:
            written = await save_log(app.api, self._job.id, path, self._tell, stream=self._stream)
        except FileExistsError:
            self._refuse(f"{path} exists already; it is left as it is.")
        except OSError as error:
            self._refuse(f"{path}: {error.strerror or error}.")
        except ClientError as error:
            self._refuse(str(error))
        except GuestEndedError:
            self.dismiss(None)
        else:
            app.tell(f"{bytes_text(written)} saved to {path}")
            self.dismiss(path)

    def _refuse(self, why: str) -> None:
        self._input.disabled = False
        self._input.focus()
        self._words.add_class("-wrong")
        self._words.update(Content(clean_line(why)))

    def _tell(self, written_bytes: int) -> None:
        """How far it is; called for every piece, so nothing but the newest word is drawn."""
        self._words.remove_class("-wrong")
        words = f"{bytes_text(written_bytes)} saved"
        if self._size_bytes:
            part = min(1.0, written_bytes / self._size_bytes)
            full = round(part * _BAR_CELLS)
            words = f"{'█' * full}{'░' * (_BAR_CELLS - full)} {part:4.0%}  {words}"
        self._words.update(Content(words))

    def action_give_up(self) -> None:
        """Leave no file."""
        self.workers.cancel_group(self._input, "save")
        self.dismiss(None)
