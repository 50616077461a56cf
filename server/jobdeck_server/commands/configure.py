"""Flags, environment and a TOML file to one ``Settings``: every value is checked here, and an error names its source.

Precedence: flags, then ``JOBDECK_*``, then the documented ``JOBRUNNER_PORT`` and ``JOBRUNNER_HOSTNAME``, then the TOML
file, then the defaults. ``OPTIONS`` is the one table of what can be set by name: ``running_limit`` there is the flag
``--running-limit``, the variable ``JOBDECK_RUNNING_LIMIT`` and the key ``running_limit`` of the file. The file may also
have a table ``[limits]`` with any other number of ``Settings`` by its own name.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import platformdirs

from jobdeck_server.commands.values import BadValueError, a_flag, a_list, a_word, address, amount, count, seconds, text
from jobdeck_server.guard.origin import is_loopback
from jobdeck_server.settings import Settings

__all__ = ["OPTIONS", "ConfigError", "Configured", "Option", "configure", "data_dir"]


class ConfigError(Exception):
    """Something in the configuration is wrong; ``str()`` of it says where and what."""


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


def _not_a_flag(value: object) -> bool:
    """The opposite of a flag that says no."""
    return not a_flag(value)


OPTIONS: tuple[Option, ...] = (
    Option(
        name="listen",
        field="listen",
        parse=a_list(address),
        metavar="HOST:PORT",
        many=True,
        help="Where to listen; port 0 takes a free one. Default 127.0.0.1:8080. Any address that is not loopback needs "
        "a token first (jobdeck token create).",
    ),
    Option(
        name="data_dir",
        field="data_dir",
        parse=text,
        metavar="DIR",
        help="Where records, output and tokens are kept (made if missing, readable by you alone). Default: your state "
        "directory.",
    ),
    Option(
        name="work_root",
        field="work_root",
        parse=text,
        metavar="DIR",
        help="Refuse jobs whose working directory is outside this folder.",
    ),
    Option(
        name="allow_host",
        field="allowed_hosts",
        parse=a_list(text),
        metavar="NAME",
        many=True,
        help="A host name, beside loopback ones, under which clients may call this server.",
    ),
    Option(
        name="allow_origin",
        field="allowed_origins",
        parse=a_list(text),
        metavar="URL",
        many=True,
        help="An origin (https://host) from which pages in browsers may call this server.",
    ),
    Option(
        name="require_token",
        field="require_token",
        parse=a_flag,
        metavar=None,
        help="Ask for a token on loopback too: without one, every local user can run jobs as you.",
    ),
    Option(
        name="insecure_no_auth",
        field="insecure_no_auth",
        parse=a_flag,
        metavar=None,
        help="Listen openly without tokens. Everybody who reaches the port can run anything as you.",
    ),
    Option(
        name="sync",
        field="sync",
        parse=a_word("full", "normal"),
        metavar="full|normal",
        help="full: what was acknowledged survives a power loss (default). normal: faster, the last moments may be "
        "lost with the power; a crash of the server loses nothing either way.",
    ),
    Option(
        name="running_limit",
        field="running_limit_count",
        parse=count(1, 100_000),
        metavar="N",
        help="Jobs that run at once; the rest wait in order. Default 64.",
    ),
    Option(
        name="output_limit",
        field="output_limit_bytes",
        parse=amount,
        metavar="SIZE",
        help="Output kept of each job (4GiB, 500M, ...); what comes after is counted and dropped. Default 4GiB.",
    ),
    Option(
        name="retain_jobs",
        field="retention_jobs_count",
        parse=count(0, 10**9),
        metavar="N",
        help="Ended jobs that are kept. Default 10000.",
    ),
    Option(
        name="retain_age",
        field="retention_age_s",
        parse=seconds,
        metavar="TIME",
        help="How long ended jobs are kept (30d, 12h, 90s, ...). Default 30d.",
    ),
    Option(
        name="retain_output",
        field="retention_output_bytes",
        parse=amount,
        metavar="SIZE",
        help="Output that is kept of all ended jobs together. Default 20GiB.",
    ),
    Option(
        name="blob_list",
        field="blob_list_all",
        parse=a_flag,
        metavar=None,
        help="Let GET /rest/blob/metadata list blobs, as the original does in its debug mode. Without it, lists are "
        "told by the native API alone.",
    ),
    Option(
        name="no_builtin_executor",
        field="executor_builtin",
        parse=_not_a_flag,
        metavar=None,
        help="Leave all jobs of the executor (/rest/executor) to outside workers. Without it this server runs those "
        "that no worker takes.",
    ),
    Option(
        name="executor_labels",
        field="executor_labels",
        parse=a_list(text),
        metavar="LABEL",
        many=True,
        help="A label that this server's own executor has: it runs jobs that ask for it.",
    ),
    Option(
        name="executor_nonce_file",
        field="executor_nonce_file",
        parse=text,
        metavar="FILE",
        help="A file, readable by you alone, with the secret that every request to the executor must bring in the "
        "header x-executor-nonce.",
    ),
    Option(
        name="label_jobs_file",
        field="executor_label_jobs_file",
        parse=text,
        metavar="FILE",
        help="A JSON file, label to hash: the jobs by which workers earn labels. It is read again when it changes.",
    ),
    Option(
        name="stop_jobs",
        field="stop_jobs",
        parse=a_flag,
        metavar=None,
        help="Stop all jobs when the server is told to end. Without it they run on, and the next server finds them.",
    ),
    Option(
        name="log_format",
        field="log_format",
        parse=a_word("text", "json"),
        metavar="text|json",
        help="Form of the log on standard error. Default text.",
    ),
)

_FILES = frozenset({"executor_nonce_file", "executor_label_jobs_file"})
_BESIDE = frozenset({"stop_jobs", "log_format"})
_NUMBERS = {
    field.name: field.type
    for field in fields(Settings)
    if field.type in ("int", "float") and field.name not in {option.field for option in OPTIONS}
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What ``jobdeck serve`` starts with."""

    settings: Settings
    stop_jobs: bool = False
    log_format: str = "text"


def configure(
    flags: Mapping[str, object], environ: Mapping[str, str], *, config: str | None = None, start_dir: str
) -> Configured:
    """Merge all sources into one value.

    Args:
        flags: Option name to what the command line gave; missing, None and () mean that it was not given.
        environ: The environment.
        config: The TOML file; None means ``JOBDECK_CONFIG``, then ``jobdeck/config.toml`` in the user's
            configuration directory if that exists.
        start_dir: Working directory of jobs that name none.

    Raises:
        ConfigError: A value is wrong, a key is unknown, or the file cannot be read.
    """
    merged: dict[str, Any] = {}
    merged.update(_from_file(_config_path(config, environ)))
    merged.update(_from_jobrunner(environ))
    merged.update(_from_environ(environ))
    merged.update(_from_flags(flags))
    beside = {name: merged.pop(name) for name in _BESIDE if name in merged}
    merged["data_dir"] = Path(start_dir, os.path.expanduser(merged.get("data_dir") or default_data_dir()))
    for name in _FILES & merged.keys():
        merged[name] = Path(start_dir, os.path.expanduser(merged[name]))
    if "work_root" in merged:
        merged["work_root"] = os.path.join(start_dir, os.path.expanduser(merged["work_root"]))
    settings = Settings(start_dir=start_dir, **merged)
    open_hosts = [host for host, _ in settings.listen if not is_loopback(host.lower())]
    if open_hosts and not settings.insecure_no_auth:
        settings = replace(settings, require_token=True)
    return Configured(settings=settings, **beside)


def data_dir(flag: str | None, environ: Mapping[str, str], *, config: str | None = None) -> Path:
    """The data directory alone, by the same rules as ``configure``: for commands that work without a server.

    Raises:
        ConfigError: As ``configure``.
    """
    return configure({"data_dir": flag}, environ, config=config, start_dir=os.getcwd()).settings.data_dir


def default_data_dir() -> Path:
    """The user's state directory."""
    return platformdirs.user_state_path("jobdeck")


def _parse(option: Option, value: object, source: str) -> object:
    try:
        return option.parse(value)
    except BadValueError as error:
        raise ConfigError(f"{source}: {error}") from error


def _from_flags(flags: Mapping[str, object]) -> dict[str, Any]:
    return {
        option.field: _parse(option, value, option.flag)
        for option in OPTIONS
        # an unset flag without a value arrives as False, and nobody unsets one by a flag
        if (value := flags.get(option.name)) not in (None, (), [], False)
    }


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    return {
        option.field: _parse(option, environ[option.variable], option.variable)
        for option in OPTIONS
        if environ.get(option.variable)
    }


def _from_jobrunner(environ: Mapping[str, str]) -> dict[str, Any]:
    """``JOBRUNNER_PORT`` and ``JOBRUNNER_HOSTNAME``; an empty host name means loopback, unlike in the original."""
    port, host = environ.get("JOBRUNNER_PORT", ""), environ.get("JOBRUNNER_HOSTNAME", "")
    if not port and not host:
        return {}
    if ":" in host:
        host = f"[{host.strip('[]')}]"
    listen = next(option for option in OPTIONS if option.name == "listen")
    source = "JOBRUNNER_PORT" if port else "JOBRUNNER_HOSTNAME"
    return {"listen": _parse(listen, f"{host}:{port or 8080}", source)}


def _config_path(config: str | None, environ: Mapping[str, str]) -> Path | None:
    named = config or environ.get("JOBDECK_CONFIG")
    if named:
        return Path(named)
    usual = platformdirs.user_config_path("jobdeck") / "config.toml"
    return usual if usual.is_file() else None


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    by_name = {option.name: option for option in OPTIONS}
    found: dict[str, Any] = {}
    for key, value in document.items():
        if key == "limits":
            found.update(_limits(value, path))
        elif key in by_name:
            found[by_name[key].field] = _parse(by_name[key], value, f"{path}: {key}")
        else:
            raise ConfigError(f"{path}: there is no setting {key!r}; there are {', '.join(by_name)} and [limits]")
    return found


def _limits(table: object, path: Path) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: limits must be a table")
    for name, value in table.items():
        kind = _NUMBERS.get(name)
        if kind is None:
            raise ConfigError(f"{path}: there is no limit {name!r}; there are {', '.join(sorted(_NUMBERS))}")
        allowed = int if kind == "int" else int | float
        if isinstance(value, bool) or not isinstance(value, allowed) or value < 0:
            raise ConfigError(f"{path}: limits.{name}: {value!r} is no {kind} of 0 or more")
    return table
