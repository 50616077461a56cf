"""Refusals of the guard. The guard knows no jobs and no dialect: ``serve`` turns these into the core's refusals.

    GuardError
        ForbiddenError        where the request comes from, or the role of its token, does not allow it
        UnauthorizedError     no token, or one that is not known
        BindError             the server would be open to others without any token
        ScriptsError          what the scheduler API may run is not said clearly
        TokenFileError        the token file cannot be read as one

``str()`` of each is a sentence for a person, without secrets.
"""

from __future__ import annotations


class GuardError(Exception):
    """A refusal of the guard."""


class ForbiddenError(GuardError):
    """Where the request comes from, or the role of its token, does not allow it."""


class UnauthorizedError(GuardError):
    """No token came, or one that is not known. The answer should carry ``WWW-Authenticate: Bearer``."""

    def __init__(self, text: str = "A token is needed.") -> None:
        super().__init__(text)


class BindError(GuardError):
    """The server would be open to others without any token."""


class ScriptsError(GuardError):
    """What the scheduler API may run is not said clearly."""


class TokenFileError(GuardError):
    """The token file cannot be read as one."""
