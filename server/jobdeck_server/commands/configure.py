"""Flags, environment and a TOML file to one ``Settings``: every value is checked here, and an error names its source.

Precedence: flags, then ``JOBDECK_*``, then the documented ``JOBRUNNER_PORT`` and ``JOBRUNNER_HOSTNAME``, then the TOML
file, then the defaults. What can be set by name stands in ``options``. The file may also have a table ``[limits]`` with
any other number of ``Settings`` by its own name.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import platformdirs

from jobdeck_server.commands.options import OPTIONS, Option
from jobdeck_server.commands.values import BadValueError
from jobdeck_server.guard.origin import is_loopback
from jobdeck_server.settings import Settings

__all__ = ["OPTIONS", "ConfigError", "Configured", "Option", "configure", "data_dir"]


class ConfigError(Exception):
    """Something in the configuration is wrong; ``str()`` of it says where and what."""


_FILES = frozenset(
    {
        "callback_secret_file",
        "context_defaults",
        "executor_label_jobs_file",
        "executor_nonce_file",
        "outbound_ca",
        "spark_home",
        "spark_java",
        "tls_cert",
        "tls_client_ca",
        "tls_key",
    }
)
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
    if "scripts_dir" in merged:
        merged["scripts_dir"] = _folder(start_dir, merged["scripts_dir"])
    if "fetch_folders" in merged:
        merged["fetch_folders"] = tuple(_folder(start_dir, path) for path in merged["fetch_folders"])
    if "spark_api_jars" in merged:
        merged["spark_api_jars"] = tuple(_folder(start_dir, path) for path in merged["spark_api_jars"])
    if "preload_packages" in merged:
        merged["preload_packages"] = tuple(
            (name, Path(_folder(start_dir, path))) for name, path in merged["preload_packages"]
        )
    settings = Settings(start_dir=start_dir, **merged)
    open_hosts = [host for host, _ in settings.listen if not is_loopback(host.lower())]
    if open_hosts and not settings.insecure_no_auth:
        settings = replace(settings, require_token=True)
    return Configured(settings=settings, **beside)


def _folder(start_dir: str, path: str) -> str:
    return os.path.normpath(os.path.join(start_dir, os.path.expanduser(path)))


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
