"""The options of package jobs: what the server calls for them, what it keeps for them."""

from __future__ import annotations

from jobdeck_server.commands.option import Option
from jobdeck_server.commands.values import (
    a_list,
    a_word,
    amount,
    count,
    named_file,
    pattern,
    seconds,
    some_or_none,
    text,
)

__all__ = ["PACKAGE_OPTIONS"]

PACKAGE_OPTIONS: tuple[Option, ...] = (
    Option(
        name="package",
        field="preload_packages",
        parse=a_list(named_file),
        metavar="NAME=FILE",
        many=True,
        help="A wheel, egg or jar (.whl, .egg, .jar) that is there as the package NAME when the server has started; a "
        "file that has changed becomes its newest version.",
    ),
    Option(
        name="package_python",
        field="package_python",
        parse=text,
        metavar="FILE",
        help="The interpreter of classes out of packages where their context names none. Default: the one that runs "
        "this server.",
    ),
    Option(
        name="package_result_limit",
        field="package_result_limit_bytes",
        parse=amount,
        metavar="SIZE",
        help="Size of the result of a class. Default 1GiB.",
    ),
    Option(
        name="sync_wait_limit",
        field="sync_wait_limit_s",
        parse=seconds,
        metavar="TIME",
        help="The longest time that a synchronous start of a class waits for its result (timeout). Default 24h.",
    ),
    Option(
        name="callback_allow",
        field="callback_allow",
        parse=some_or_none(pattern("http", "https")),
        metavar="PATTERN",
        many=True,
        help="Where the ends of jobs may be told to (callbackUrl): scheme, host and port, such as "
        "https://*.example.org:8443 or http://10.0.0.0/8:*; none for nowhere. Default: this machine, while the server "
        "listens on loopback alone, else nowhere.",
    ),
    Option(
        name="callback_delays",
        field="callback_delays_s",
        parse=some_or_none(seconds),
        metavar="TIME",
        many=True,
        help="How long to wait after the first, second, ... try of a callback that failed; after the last it is given "
        "up. none: there is one try. Default 10s,10s,10s,10s,10s.",
    ),
    Option(
        name="callback_secret_file",
        field="callback_secret_file",
        parse=text,
        metavar="FILE",
        help="A file, readable by you alone, with the secret by which callbacks are signed (X-Jobdeck-Signature: "
        "sha256=, the HMAC of the body). Default: they are not signed.",
    ),
    Option(
        name="fetch_allow",
        field="fetch_allow",
        parse=some_or_none(pattern("http", "https", "ftp")),
        metavar="PATTERN",
        many=True,
        help="Where packages may be fetched from (URIs in cp), as --callback-allow; ftp too. Default: this machine, "
        "while the server listens on loopback alone, else nowhere.",
    ),
    Option(
        name="fetch_folders",
        field="fetch_folders",
        parse=a_list(text),
        metavar="DIR",
        many=True,
        help="A folder below which packages may be read by file: and local: URIs. Default: none.",
    ),
    Option(
        name="fetch_limit",
        field="fetch_limit_bytes",
        parse=amount,
        metavar="SIZE",
        help="Size of a package that is fetched. Default 1GiB.",
    ),
    Option(
        name="outbound_ca",
        field="outbound_ca",
        parse=text,
        metavar="FILE",
        help="CAs, in PEM form, that are trusted beside the system's when https:// is called for callbacks and "
        "packages.",
    ),
    Option(
        name="data_limit",
        field="data_limit_bytes",
        parse=amount,
        metavar="SIZE",
        help="Size of all data files (POST /data) together. Default 10GiB.",
    ),
    Option(
        name="context_defaults",
        field="context_defaults",
        parse=text,
        metavar="FILE",
        help="HOCON: settings of all contexts (spark.context-settings { ... }), and contexts to make at the start "
        "(contexts { NAME { ... } }).",
    ),
    Option(
        name="max_jobs_per_context",
        field="context_slots_count",
        parse=count(1, 10_000),
        metavar="N",
        help="Jobs of one context that run at the same time, unless it says so itself. Default 8.",
    ),
    Option(
        name="context_full",
        field="context_full",
        parse=a_word("wait", "refuse"),
        metavar="wait|refuse",
        help="wait: a job for which its context has no place waits (default). refuse: it is not accepted (503).",
    ),
    Option(
        name="context_timeout",
        field="context_start_s",
        parse=seconds,
        metavar="TIME",
        help="How long a context may take to be up, its virtual environment included. Default 5m.",
    ),
    Option(
        name="context_pythons",
        field="context_pythons",
        parse=a_list(text),
        metavar="PYTHON",
        many=True,
        help="An interpreter (a path, or a name in PATH) that contexts may ask for (python.executable). Default: none.",
    ),
)
