"""Who may come in: where a request comes from, whose token it carries, and where a server may listen."""

from jobdeck_server.guard.errors import (
    BindError,
    ForbiddenError,
    GuardError,
    ScriptsError,
    TokenFileError,
    UnauthorizedError,
)
from jobdeck_server.guard.guard import Guard
from jobdeck_server.guard.limits import check_bind, check_scripts
from jobdeck_server.guard.tokens import Token, TokenStore

__all__ = [
    "BindError",
    "ForbiddenError",
    "Guard",
    "GuardError",
    "ScriptsError",
    "Token",
    "TokenFileError",
    "TokenStore",
    "UnauthorizedError",
    "check_bind",
    "check_scripts",
]
