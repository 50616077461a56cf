"""The line in which a list is filtered: words with a name before them (``state:failed``), and text. Pure."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["meant", "split"]


@cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    named = "|".join(names)
    return re.compile(rf'(?:(?P<name>{named}):)(?:"(?P<quoted>[^"]*)"?|(?P<plain>\S*))', re.IGNORECASE)


def split(line: str, *names: str) -> tuple[dict[str, str], str | None]:
    """What stands behind each of these names, and the text that is left, None if there is none.

    ``label:"two words"`` holds blanks; of a name that is there twice the last one counts. A name with nothing behind it
    has the empty word.
    """
    found: dict[str, str] = {}

    def take(match: re.Match[str]) -> str:
        found[match["name"].lower()] = match["plain"] if match["quoted"] is None else match["quoted"]
        return " "

    text = re.sub(r"\s+", " ", _pattern(names).sub(take, line)).strip()
    return found, text or None


def meant(words: str, choices: Iterable[str]) -> tuple[frozenset[str], str | None]:
    """The choices that words with commas between begin, and the first word that begins none, else None."""
    found: set[str] = set()
    every = tuple(choices)
    for word in filter(None, words.lower().split(",")):
        begun = [each for each in every if each.startswith(word)]
        if not begun:
            return frozenset(found), word
        found.update(begun)
    return frozenset(found), None
