"""What an option is: a name, the setting behind it, and how its value is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Option"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One thing that can be set.

    Attributes:
        name: Its key in the file; dashes for underscores make the flag, upper case with ``JOBDECK_`` the variable.
        field: The field of ``Settings``, or of ``Configured``, that it sets.
        parse: From text or a TOML value to the field's value; raises ``BadValueError``.
        metavar: What the value is called in the help; None for a flag without one.
        help: One or two sentences for a newcomer.
        many: May be given several times.
    """

    name: str
    field: str
    parse: Callable[[object], Any]
    metavar: str | None
    help: str
    many: bool = False

    @property
    def flag(self) -> str:
        """The flag of the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return "JOBDECK_" + self.name.upper()
