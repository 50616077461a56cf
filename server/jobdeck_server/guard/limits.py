"""What is checked before a server starts: where it may listen, and what callers of the scheduler API may run.

It may listen on loopback freely, elsewhere only with a token, or with an explicit wish to do without.

Every local user can use a port on loopback; the start-up text of the server says so. A port that others can reach would
let them run commands here, so the server does not start rather than be open by mistake.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jobdeck_server.guard.errors import BindError, ScriptsError
from jobdeck_server.guard.origin import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobdeck_server.guard.tokens import TokenStore
    from jobdeck_server.settings import Settings


def check_bind(listen: Iterable[tuple[str, int]], tokens: TokenStore, *, insecure: bool) -> bool:
    """Decide whether a server may listen there, before it does.

    Args:
        listen: (host, port) as configured. A name other than ``localhost`` counts as reachable by others.
        tokens: Of its data directory.
        insecure: ``--insecure-no-auth`` was given.

    Returns:
        Whether every request needs a token (``Settings.require_token``).

    Raises:
        BindError: There is an address that others can reach, no token, and no such flag.
    """
    open_hosts = [host for host, _ in listen if not is_loopback(host.strip("[]").lower())]
    if not open_hosts or insecure:
        return False
    if not tokens:
        raise BindError(
            f"Listening on {open_hosts[0] or 'all addresses'} would let others run commands here. "
            "Make a token first (jobdeck token create), or say --insecure-no-auth."
        )
    return True


def check_scripts(settings: Settings) -> None:
    """See that what was said of scripts is whole: half of it would allow more, or less, than was meant. Blocks.

    Raises:
        ScriptsError: It is not.
    """
    if settings.only_scripts and not settings.script_commands:
        raise ScriptsError("--only-scripts needs --commands: the commands that may run.")
    if settings.script_commands and not settings.only_scripts:
        raise ScriptsError("--commands is for --only-scripts: without it any command may run.")
    if settings.scripts_dir is not None and not os.path.isdir(settings.scripts_dir):
        raise ScriptsError(f"There is no folder of scripts {settings.scripts_dir}.")
