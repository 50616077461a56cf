"""Makes the pictures of the README: ``python -m assets.make``, from the root of the repository.

That of the demo is what a terminal showed: the command runs in a pseudo-terminal, pyte keeps the screen, and the screen
is written as SVG, text as text. That of the console is the console itself, drawn without a terminal on fixed data (see
``scene``). Nothing is drawn by hand, so a picture cannot promise what the program does not do.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pyte

from assets.scene import picture

if TYPE_CHECKING:
    from pyte.screens import Char

_COLUMNS, _LINES = 80, 60
_CONSOLE_SIZE = (110, 34)
_LIMIT_S = 90.0
_CELL_WIDTH, _CELL_HEIGHT, _MARGIN = 8.4, 18, 14
_COLOURS = {
    "default": "#d8dee9",
    "black": "#2b303b",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "white": "#ffffff",
}
_BACKGROUND = "#1d2128"


def main() -> None:
    """Make all pictures."""
    here = Path(__file__).parent
    (here / "console.svg").write_text(asyncio.run(picture(_CONSOLE_SIZE)))
    (here / "workers.svg").write_text(asyncio.run(picture(_CONSOLE_SIZE, workers=True)))
    command = [str(Path(sys.executable).with_name("jobdeck")), "demo", "--no-console"]
    screen, code = run(command)
    if code != 0:
        sys.exit(f"jobdeck demo ended with {code}; no picture of that")
    (here / "demo.svg").write_text(svg(screen, "$ jobdeck demo"))


def run(command: list[str]) -> tuple[pyte.Screen, int]:
    """Run a command in a pseudo-terminal; returns the screen at its end, and its exit code."""
    screen = pyte.Screen(_COLUMNS, _LINES)
    stream = pyte.ByteStream(screen)
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(command[0], command)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
    end_s = time.monotonic() + _LIMIT_S
    while time.monotonic() < end_s:
        if not select.select([fd], [], [], 1.0)[0]:
            continue
        try:
            data = os.read(fd, 65536)
        except OSError:  # EIO: the last process on the other side has gone
            break
        if not data:
            break
        stream.feed(data)
    return screen, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def svg(screen: pyte.Screen, title: str) -> str:
    """The screen as SVG, empty lines at its end left out."""
    rows = [[screen.buffer[y][x] for x in range(screen.columns)] for y in range(screen.lines)]
    while rows and not "".join(cell.data for cell in rows[-1]).strip():
        rows.pop()
    width = screen.columns * _CELL_WIDTH + 2 * _MARGIN
    height = (len(rows) + 1) * _CELL_HEIGHT + 2 * _MARGIN
    lines = [_line(y, row) for y, row in enumerate(rows, start=1)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
            f"<title>{escape(title)}</title>",
            f'<rect width="100%" height="100%" rx="8" fill="{_BACKGROUND}"/>',
            (
                '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"'
                f' font-size="14" fill="{_COLOURS["default"]}" xml:space="preserve">'
            ),
            _text(0, 0, title, f'fill="{_COLOURS["cyan"]}"'),
            *filter(None, lines),
            "</g>",
            "</svg>",
            "",
        ]
    )


def _line(y: int, row: list[Char]) -> str:
    """One row as runs of cells that look alike; spaces alone are left out."""
    parts: list[str] = []
    x = 0
    for style, cells in groupby(row, key=_style):
        text = "".join(cell.data for cell in cells)
        if text.strip():
            parts.append(_text(x, y, text.rstrip(), style))
        x += len(text)
    return "\n".join(parts)


def _style(cell: Char) -> str:
    colour = _COLOURS.get(cell.fg, f"#{cell.fg}")
    return f'fill="{colour}"' + (' font-weight="bold"' if cell.bold else "")


def _text(x: int, y: int, text: str, style: str) -> str:
    """Text at a cell, stretched to the grid whatever font there is."""
    left, bottom = _MARGIN + x * _CELL_WIDTH, _MARGIN + y * _CELL_HEIGHT + 14
    length = len(text) * _CELL_WIDTH
    return f'<text x="{left:.1f}" y="{bottom}" textLength="{length:.1f}" {style}>{escape(text)}</text>'


if __name__ == "__main__":
    main()
