"""The interpreters of contexts: the server's choice, one that the operator allows, or a virtual environment."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

from jobdeck_server.core import contextsettings
from jobdeck_server.core.errors import ContextInitError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobdeck_server.settings import Settings


class Venvs:
    """See the top of this file.

    Args:
        settings: Those that begin with ``venv_``, and ``context_pythons``.

    Attributes:
        in_use: Whether the context with an id lives, so that what it uses must stay.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.in_use: Callable[[str], bool] = lambda _context_id: True

    def check(self, settings: Mapping[str, Any]) -> None:
        """Refuse settings of which can be seen at once that they lead to no interpreter. Never blocks.

        Raises:
            BadRequestError: They cannot be understood.
            ContextInitError: They name one that may not be used.
        """
        self._base(contextsettings.python_wish(settings))

    async def python(self, settings: Mapping[str, Any], *, user: str) -> str:
        """The interpreter for the jobs of a context.

        Args:
            settings: Of the context.
            user: The id of the context: as long as it lives the interpreter stays, and is the same at each call.

        Raises:
            BadRequestError, ContextInitError: There is none.
        """
        return self._base(contextsettings.python_wish(settings))

    def _base(self, wish: contextsettings.PythonWish) -> str:
        """The interpreter that was asked for, as a path."""
        if wish.executable is None:
            return self._settings.package_python or sys.executable
        if wish.executable not in self._settings.context_pythons:
            raise ContextInitError(
                f"python.executable {wish.executable} is not among those that this server's operator allows."
            )
        found = shutil.which(wish.executable, path=self._settings.default_path)
        if found is None:
            raise ContextInitError(f"python.executable {wish.executable} is not there.")
        return found
