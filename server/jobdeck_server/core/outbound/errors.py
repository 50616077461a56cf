"""Why something was not called. ``str()`` of each is a sentence without secrets: no query, no user, no body.

OutboundError
    RefusedError        it is not allowed; the same again will be refused again
        SchemeError     this is no URL of a scheme that is known here
    FailedError         it is allowed, and did not work this time
"""

from __future__ import annotations


class OutboundError(Exception):
    """Something was not called, or not to its end."""


class RefusedError(OutboundError):
    """The rules do not allow it."""


class SchemeError(RefusedError):
    """The scheme is none of those that are known for this purpose."""


class FailedError(OutboundError):
    """The other end could not be reached, or did not do its part."""
