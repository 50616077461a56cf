"""What can be wrong with a bundle or its results. ``str()`` of each is a sentence for the job's owner.

BundleError
    UnpackError       the zip or artifact is refused
    ConfigError       executor_config.json cannot be used
        PatternError  one of its patterns cannot
    WalkError         the results are too many, too large, or gone
    LeftOutError      this one file cannot be a result
StoppedError          somebody asked for a stop; the bundle is not to blame
"""

from __future__ import annotations

_SHOWN_COUNT = 80


class BundleError(Exception):
    """Something about a job's files is not as it must be."""


class UnpackError(BundleError):
    """A zip or an artifact that is not unpacked, or not further; what was written so far is the caller's to remove."""


class ConfigError(BundleError, ValueError):
    """``executor_config.json`` cannot be used."""


class PatternError(ConfigError):
    """A pattern is too long, stands for too many, or is no text."""


class WalkError(BundleError):
    """The folder of a job holds more than is taken, or is no longer there."""


class LeftOutError(BundleError):
    """A file is no regular file of the job's own, or was changed for something else since it was found."""


class StoppedError(Exception):
    """``cancelled`` said so. Half of the work is done."""


def shown(name: str | bytes) -> str:
    """A foreign name for a sentence: quoted, escaped, ASCII alone, not longer than a line."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    whole = ascii(text)
    return whole if len(whole) <= _SHOWN_COUNT else f"{ascii(text[:_SHOWN_COUNT])[: _SHOWN_COUNT - 1]}...{whole[0]}"
