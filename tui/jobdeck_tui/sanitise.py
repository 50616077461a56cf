"""The one door from foreign bytes to a terminal.

What a job prints, and what its record says (commands, labels, errors), was written by somebody else. A terminal obeys
what it is sent: a sequence in a log can set the clipboard (OSC 52), plant a false link (OSC 8), clear the screen, make
the terminal type an answer into the shell (CSI 6n), or let text read otherwise than it runs (bidi controls). So nothing
foreign is written to a terminal except through this file. What comes out holds printable characters, newlines, tabs,
carriage returns and well-formed SGR sequences (colours and the like), and nothing else:

- SGR is parsed and written anew from a list of known codes; conceal, blink, fonts and what is malformed are dropped.
- Every other control of C0, DEL, ESC and C1 becomes a visible sign (``␛``, ``␇``, ``<U+009B>``). The body of a sequence
  stays as text: nothing is swallowed, so no terminator has to be found, and a sequence that never ends hides nothing.
- Bidi controls, line and paragraph separators and invisible tag characters become ``<U+202E>`` and the like.
- Bytes that are no UTF-8 become U+FFFD; so do raw 8-bit C1 bytes.
- A lone carriage return passes (progress bars live by it); a backspace does not.

``Sanitiser`` works on a stream cut anywhere: its output does not depend on where the cuts are. Programs that read a
pipe get the exact bytes: whoever calls this asks ``isatty`` first.
"""

from __future__ import annotations

import codecs
import re

__all__ = ["Sanitiser", "bare", "clean", "clean_line"]

_SGR_LIMIT_COUNT = 64  # characters between ``ESC [`` and ``m``; the longest real ones have about 40

_PARAMETERS = f"[0-9:;]{{0,{_SGR_LIMIT_COUNT}}}"

_HELD = re.compile(rf"\x1b(?:\[{_PARAMETERS})?\Z")
"""The start of what may become an SGR sequence, at the end of what is known so far."""

_FOREIGN = re.compile(
    rf"\x1b\[(?P<sgr>{_PARAMETERS})m"
    # C0 but for tab, newline and carriage return; DEL and C1
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
    # Arabic letter mark, left-to-right and right-to-left marks, embeddings, overrides, isolates, deprecated formats
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"
    # line and paragraph separators, interlinear annotations, the byte order mark, tags; surrogates (undecodable bytes)
    "\u2028\u2029\ufff9-\ufffb\ufeff\U000e0000-\U000e007f\ud800-\udfff]"
)

_CONTROLS = re.compile(rf"{_FOREIGN.pattern}|[\t\n\r]")

_RESET = "\x1b[0m"

_PLAIN_CODES = frozenset(
    {0, 1, 2, 3, 4, 7, 9, 21, 22, 23, 24, 27, 29, 39, 49, 53, 55}  # weight, slant, lines, inverse, and their ends
    | set(range(30, 38))
    | set(range(40, 48))
    | set(range(90, 98))
    | set(range(100, 108))
)
_EXTENDED_CODES = frozenset({38, 48})


class Sanitiser:
    """Makes one stream of foreign bytes safe for a terminal, piece by piece.

    Two streams that end on one terminal (stdout and stderr of a job) have one sanitiser each. A sequence or a character
    that is cut at the end of a piece is kept back until the next one.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._styled = False  # an SGR sequence other than a reset was the last one written

    def feed(self, data: bytes) -> str:
        """Return what of ``data``, and of what was kept back before, may be written now."""
        return self._pass(self._decoder.decode(data), final=False)

    def close(self) -> str:
        """Return the rest, and a reset of colours if any are set. Nothing may be fed afterwards."""
        rest = self._pass(self._decoder.decode(b"", final=True), final=True)
        if self._styled:
            self._styled = False
            rest += _RESET
        return rest

    def _pass(self, text: str, *, final: bool) -> str:
        text = self._held + text
        self._held = ""
        if not final:
            # Looking at the end alone keeps this independent of the size of the piece.
            start = max(0, len(text) - _SGR_LIMIT_COUNT - 2)
            held = _HELD.search(text, start)
            if held is not None:
                self._held = held.group()
                text = text[: held.start()]
        return _FOREIGN.sub(self._replace, text)

    def _replace(self, match: re.Match[str]) -> str:
        parameters = match["sgr"]
        if parameters is None:
            return _visible(match.group())
        codes = _known_codes(parameters)
        if not codes:
            return ""
        self._styled = codes[-1] != "0"
        return f"\x1b[{';'.join(codes)}m"


def clean(text: str) -> str:
    """Return foreign text of several lines, safe for a terminal, colours kept and reset at its end."""
    sanitiser = Sanitiser()
    return sanitiser.feed(text.encode("utf-8", "replace")) + sanitiser.close()


def clean_line(text: str) -> str:
    """Return foreign text as one line without colours: newlines, tabs and returns are signs like all other controls."""
    text = _FOREIGN.sub(lambda match: "" if match["sgr"] is not None else _visible(match.group()), text)
    return re.sub(r"[\t\n\r]", lambda match: _visible(match.group()), text)


def bare(text: str) -> str:
    """Return text without any control at all, sequences included: the last net, under text that was cleaned before."""
    return text if text.isascii() and text.isprintable() else _CONTROLS.sub("", text)


def _visible(control: str) -> str:
    """One control character as a sign that any terminal prints."""
    code = ord(control)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"<U+{code:04X}>"


def _known_codes(parameters: str) -> list[str]:
    """The SGR codes of ``parameters`` that may pass, each in its one written form; nothing after a malformed one."""
    codes: list[str] = []
    groups = parameters.split(";")
    while groups:
        group = groups.pop(0)
        numbers = _numbers(group)
        if numbers is None:
            break
        code = numbers[0]
        if code in _EXTENDED_CODES:
            colour = _colour(numbers[1:] if ":" in group else _take_colour(groups), colons=":" in group)
            if colour is None:
                break
            codes.append(f"{code};{colour}")
        elif len(numbers) == 1 and code in _PLAIN_CODES:
            codes.append(str(code))
        elif code == 4 and len(numbers) == 2 and numbers[1] <= 5:
            # curly and dotted underlines; as a plain one, which every terminal knows
            codes.append("4" if numbers[1] else "24")
    return codes


def _numbers(group: str) -> list[int] | None:
    """``38:5:1`` as numbers, an empty field as 0; None if one of them is out of any range."""
    fields = group.split(":")
    if any(len(field) > 3 for field in fields):
        return None
    return [int(field or "0") for field in fields]


def _take_colour(groups: list[str]) -> list[int] | None:
    """Take the fields of an extended colour in the form with semicolons off ``groups``."""
    count = {"5": 2, "2": 4}.get(groups[0] if groups else "")
    if count is None or len(groups) < count or any(":" in group for group in groups[:count]):
        return None
    fields = _numbers(":".join(groups[:count]))
    del groups[:count]
    return fields


def _colour(fields: list[int] | None, *, colons: bool) -> str | None:
    """``5;n`` or ``2;r;g;b`` for the fields after 38 or 48; None if they are no colour."""
    if not fields:
        return None
    kind, *values = fields
    if colons and kind == 2 and len(values) == 4:
        values = values[1:]  # the colour space, which nobody gives
    if len(values) != {5: 1, 2: 3}.get(kind) or any(value > 255 for value in values):
        return None
    return ";".join(str(field) for field in (kind, *values))
