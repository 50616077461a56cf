"""``OPTIONS``: the one table of what can be set by name.

``running_limit`` there is the flag ``--running-limit``, the variable ``JOBDECK_RUNNING_LIMIT`` and the key
``running_limit`` of the TOML file.
"""

from __future__ import annotations

from jobdeck_server.commands.option import Option
from jobdeck_server.commands.packageoptions import PACKAGE_OPTIONS
from jobdeck_server.commands.sparkoptions import SPARK_OPTIONS
from jobdeck_server.commands.values import a_flag, a_list, a_word, address, amount, count, not_a_flag, seconds, text

__all__ = ["OPTIONS", "Option"]


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
        name="tls_cert",
        field="tls_cert",
        parse=text,
        metavar="FILE",
        help="Speak TLS (https://) on all listeners, with this certificate in PEM form, those of its issuers behind "
        "it. It is read again when it changes.",
    ),
    Option(
        name="tls_key",
        field="tls_key",
        parse=text,
        metavar="FILE",
        help="The certificate's private key. Default: it is in the same file.",
    ),
    Option(
        name="tls_client_ca",
        field="tls_client_ca",
        parse=text,
        metavar="FILE",
        help="CAs of the clients' certificates, in PEM form: a client that shows one must show one of theirs.",
    ),
    Option(
        name="tls_require_client",
        field="tls_require_client",
        parse=a_flag,
        metavar=None,
        help="Serve only clients that show a certificate of --tls-client-ca. Tokens are needed as without it.",
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
        parse=count(0, 100_000),
        metavar="N",
        help="Jobs that run on this machine at once; the rest wait in order. 0 leaves all to other workers. Default "
        "64.",
    ),
    Option(
        name="spread",
        field="spread_jobs",
        parse=a_flag,
        metavar=None,
        help="Let jobs that name neither a worker nor labels run on other workers when this machine has no free slot. "
        "Without it they run here alone: a command may need this machine's files.",
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
        parse=not_a_flag,
        metavar=None,
        help="Leave all jobs of the executor (/rest/executor) to workers: jobdeck worker, and programs that ask. "
        "Without it this server runs them as long as it has free slots.",
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
        name="scripts",
        field="scripts_dir",
        parse=text,
        metavar="DIR",
        help="The folder in which jobs of the scheduler API (/start) run, and where their scripts are. Default: the "
        "folder in which the server was started.",
    ),
    Option(
        name="only_scripts",
        field="only_scripts",
        parse=a_flag,
        metavar=None,
        help="Let the scheduler API run nothing but --commands, and these only with a file inside the folder of "
        "scripts. It does not bind the other APIs.",
    ),
    Option(
        name="commands",
        field="script_commands",
        parse=a_list(text),
        metavar="NAME",
        many=True,
        help="With --only-scripts: a command that may run, such as bash or python3.",
    ),
    Option(
        name="worker_name",
        field="worker_name",
        parse=text,
        metavar="NAME",
        help="What this machine is called in lists of workers. Default: its host name.",
    ),
    Option(
        name="worker_lost_after",
        field="worker_lost_s",
        parse=seconds,
        metavar="TIME",
        help="Count the jobs of a worker as lost when it was silent for so long (10m, 1d, ...); if it comes back, they "
        "are what it says. Without it they wait for it for ever.",
    ),
    Option(
        name="restored",
        field="restored",
        parse=a_flag,
        metavar=None,
        help="The data directory was restored from a backup: workers tell all their jobs, and are given none until an "
        "admin agrees. A server that was restored mostly finds that out by itself.",
    ),
    *PACKAGE_OPTIONS,
    *SPARK_OPTIONS,
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
