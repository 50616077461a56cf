"""Every setting and limit of the server in one frozen value, each with its unit in its name.

Order of precedence: flags, then environment (``JOBDECK_*`` and the documented ``JOBRUNNER_PORT`` and
``JOBRUNNER_HOSTNAME``), then a TOML file, then these defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server runs with. Values are checked where they are read from the outside, not here."""

    # where
    data_dir: Path
    listen: tuple[tuple[str, int], ...] = (("127.0.0.1", 8080),)
    start_dir: str = "/"  # working directory of jobs that name none: the folder in which the server was started
    work_root: str | None = None  # nothing runs outside it when given
    # Hosts, beside loopback ones, that a Host header may name; origins that browsers may come from
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    require_token: bool = False  # True as soon as a listener is not loopback
    insecure_no_auth: bool = False

    # TLS, on all listeners as soon as there is a certificate
    tls_cert: Path | None = None
    tls_key: Path | None = None  # None: it is in the same file
    tls_client_ca: Path | None = None  # a client that shows a certificate must show one of theirs
    tls_require_client: bool = False
    tls_check_s: float = 1.0  # between two looks at whether these files have changed

    # HTTP (threats 10 and 11)
    head_limit_bytes: int = 16 * KIB
    header_limit_count: int = 100
    target_limit_bytes: int = 8 * KIB
    body_limit_bytes: int = 4 * MIB  # of a request that has no limit of its own
    head_timeout_s: float = 10.0  # absolute: first byte of a request to the end of its head
    idle_timeout_s: float = 25.0  # between requests
    body_grace_s: float = 10.0  # a body may be slow for this long, then body_rate_floor holds
    body_rate_floor_bytes_per_s: int = 1000
    send_timeout_s: float = 30.0  # an answer of which nothing can be sent for this long (attaches excepted)
    connection_limit_count: int = 2000
    connection_limit_per_peer_count: int = 1000
    listen_backlog_count: int = 1024
    drain_limit_bytes: int = 64 * KIB  # of a body that nobody read, read past so that the connection can be kept
    linger_timeout_s: float = 2.0  # after our last byte, for a client that is still sending to read it
    user_timeout_s: float = 30.0  # sent bytes that the other machine does not acknowledge (attaches excepted)
    receive_size_bytes: int = 64 * KIB
    sendfile_chunk_bytes: int = MIB
    shutdown_grace_s: float = 5.0  # for what is being answered, after SIGTERM

    # WebSocket (threat 23)
    ws_message_limit_bytes: int = MIB
    ws_ping_s: float = 20.0
    ws_ping_timeout_s: float = 30.0
    ws_close_timeout_s: float = 5.0  # for the other end's close frame
    attach_limit_count: int = 1000
    watch_limit_count: int = 16  # outputs that one subscriber of the events has told of as they grow
    attach_credit_default_bytes: int = 4 * MIB
    output_message_limit_bytes: int = 256 * KIB
    output_runs_limit_count: int = 512
    stdin_window_bytes: int = 256 * KIB
    stdin_limit_bytes: int = 4 * GIB

    # jobs
    running_limit_count: int = 64  # on this machine; the rest wait in order. 0: it runs nothing itself
    spread_jobs: bool = False  # what waits for this machine alone may run on other workers
    queued_limit_count: int = 100_000
    ended_memory_bytes: int = 4 * MIB  # of records of ended jobs that are held in memory since somebody asks for them
    step_limit_count: int = 64
    command_limit_bytes: int = 128 * KIB - 1  # the kernel's own limit of one argument (MAX_ARG_STRLEN) less its NUL
    argument_limit_count: int = 4096
    environment_limit_bytes: int = MIB
    environment_limit_count: int = 4096
    label_limit_count: int = 64
    label_limit_bytes: int = 256
    linger_default_s: float = 10.0
    grace_default_s: float = 5.0
    grace_limit_s: float = 3600.0
    time_limit_limit_s: float = 366 * 86400.0
    output_limit_bytes: int = 4 * GIB
    default_path: str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    cgroups: bool = True

    # workers, and the scheduler API
    worker_name: str | None = None  # what this machine's own worker is called; None for the host's name
    worker_limit_count: int = 1000  # others that are known, connected or not
    worker_beat_s: float = 5.0  # between two signs of life, either way; after three missed ones it is unreachable
    worker_lost_s: float | None = None  # the jobs of one that was silent for so long are LOST; None: never
    worker_window_bytes: int = 512 * KIB  # of one worker's output, received and not yet written: lines wait behind it
    worker_strange_limit_count: int = 300_000  # jobs that a worker tells of at once and that were not given to it
    worker_token_look_s: float = 1.0  # between two looks whether the token of a connection is still valid
    server_life_limit_count: int = 1000  # starts of this server that are remembered
    restored: bool = False  # the data directory comes from a backup: workers start nothing until an admin agrees
    scripts_dir: str | None = None  # where jobs of that API run; None: like all jobs that name no folder
    only_scripts: bool = False  # they run nothing but ``script_commands``, and these only files in that folder
    script_commands: tuple[str, ...] = ()
    scheduler_start_wait_s: float = 1.0  # for a worker elsewhere to say whether it could start a job

    # lines of logs
    line_index_limit_count: int = 256  # indexes in memory
    line_memory_limit_bytes: int = 16 * MIB  # of their counts: 8 bytes for each 64 KiB of log
    line_thread_limit_count: int = 2  # of indexing at the same time
    line_sweep_s: float = 2.0
    line_sweep_bytes: int = 16 * MIB  # a running job's index is extended after so much output
    line_file_least_bytes: int = 4 * MIB  # the index of a shorter log is made anew sooner than it is read
    line_idle_s: float = 60.0  # an index that nobody used for this long is dropped from memory
    lines_default_count: int = 256  # of a page
    lines_limit_count: int = 1000
    line_cap_default_bytes: int = 8 * KIB  # told of one line
    line_cap_limit_bytes: int = 64 * KIB
    lines_answer_limit_bytes: int = MIB  # of all lines of a page
    lines_wait_s: float = 2.0  # for an index that has not come so far
    find_limit_count: int = 4  # searches at work at the same time; others wait for their turn
    find_hits_default_count: int = 100
    find_hits_limit_count: int = 10_000

    # blobs
    blob_list_all: bool = False  # whether GET /rest/blob/metadata lists records
    blob_limit_bytes: int = 1024 * GIB  # of one upload
    blob_reserve_bytes: int = 256 * MIB  # of the disk, left free for records and output: uploads stop before it
    blob_upload_limit_count: int = 256  # at the same time
    blob_backlog_bytes: int = 4 * MIB  # of an upload, received and not yet hashed and written
    blob_thread_limit_count: int = 16  # that hash and write, and as many that read; others wait for their turn
    blob_record_limit_bytes: int = 16 * MIB  # of one record's text: an artifact of some 100,000 files
    blob_link_depth_limit_count: int = 16  # links that follow one another, artifacts within artifacts
    blob_archive_limit_count: int = 200_000  # files of an archive, those of artifacts within it too
    blob_tag_limit_count: int = 64  # given to a record here
    blob_tag_limit_bytes: int = 256
    blob_grace_s: float = 3600.0  # what came within this time is never collected
    blob_sweep_interval_s: float = 3600.0  # between collections of what nobody needs any more

    # executor
    executor_builtin: bool = True  # whether this server runs jobs of the executor itself
    executor_labels: tuple[str, ...] = ()  # that the built-in executor has
    executor_nonce_file: Path | None = None  # of the secret that every caller of the executor must know
    executor_label_jobs_file: Path | None = None  # JSON: label -> hash of the job that earns it
    executor_hold_s: float = 5.0  # a worker's request for jobs is answered late, when there is one; 0: at once
    executor_busy_hold_s: float = 0.25  # the same for a worker with no free slot, which may have one any moment
    executor_refresh_s: float = 5.0  # between two requests of a worker; unseen for five times that it is given up
    executor_missing_s: float = 30.0  # a job handed out that its worker does not name for so long is lost
    executor_stop_s: float = 120.0  # a job that its worker still names so long after it was to stop it is given up
    executor_sweep_s: float = 10.0  # between two looks at who is missing
    executor_attempt_limit_count: int = 3  # for a job that was lost with its worker
    executor_segment_limit_bytes: int = 16 * MIB  # of a request that brings output
    executor_worker_limit_count: int = 10_000
    executor_key_limit_bytes: int = 512  # of the name that a client gives a job
    executor_word_limit_bytes: int = 4 * KIB  # of a status, a time, a worker's name
    executor_page_count: int = 256  # jobs, or segments of output, read with one query
    executor_answer_bytes: int = 256 * KIB  # a longer list is sent in pieces

    # executor: what a job's bundle and its results may be (threats 7, 8 and 15)
    bundle_entry_limit_count: int = 100_000  # files of a zip or artifact, and folders
    bundle_directory_limit_bytes: int = 16 * MIB  # of the zip's list of them, which is read into memory
    bundle_total_limit_bytes: int = 64 * GIB  # unpacked
    bundle_ratio_limit: int = 200  # unpacked bytes for one of the zip: deflate alone makes 1000 of the same byte
    bundle_ratio_floor_bytes: int = 64 * MIB  # up to here the ratio is of no interest: text and zeros compress well
    bundle_name_limit_bytes: int = 2048  # of a path; each part of it may have 255, as on disk
    bundle_depth_limit_count: int = 128  # of folders in one another, in results too
    executor_config_limit_bytes: int = MIB
    executor_thread_limit_count: int = 4  # that lay out bundles and look for results; others wait for their turn
    executor_upload_limit_count: int = 8  # results of one job that are uploaded at the same time
    executor_patience_s: float = 600.0  # for results that cannot be kept now: no room, too many uploads
    executor_artifact_limit_count: int = 256  # that a job asks for
    executor_pattern_limit_count: int = 5000  # of one job, after braces are expanded
    executor_pattern_limit_bytes: int = 4096  # of one pattern
    executor_result_limit_count: int = 100_000  # files, folders and others in a job's folder when its results are taken
    executor_result_limit_bytes: int = 64 * GIB

    # binaries: wheels, eggs and jars whose classes jobs run
    preload_packages: tuple[tuple[str, Path], ...] = ()  # names and files that are there from the start
    binary_limit_count: int = 10_000  # names
    binary_version_limit_count: int = 10  # of one name; older ones go, but for those that a job needs
    binary_name_limit_bytes: int = 1024
    # of the process that looks for the classes of a package, a foreign zip
    package_scan_memory_bytes: int = 512 * MIB
    package_scan_cpu_s: int = 5
    package_scan_deadline_s: float = 30.0
    package_scan_source_bytes: int = 64 * MIB  # of all its sources
    package_class_limit_count: int = 1000  # that are told of one package
    sync_wait_limit_s: float = 86_400.0  # of a request that is answered with a job's result, whatever it asks for

    # callbacks and fetching (threats 13 and 14): what the server calls at addresses that a client chose
    # Patterns of scheme, host and port (``core/outbound/rules``); None: loopback hosts while all listeners are loopback
    callback_allow: tuple[str, ...] | None = None
    fetch_allow: tuple[str, ...] | None = None
    fetch_folders: tuple[str, ...] = ()  # below which ``file:`` and ``local:`` may read
    outbound_ca: Path | None = None  # PEM: certificates of issuers that are trusted beside the system's
    outbound_url_limit_bytes: int = 8 * KIB
    outbound_resolve_s: float = 5.0
    outbound_resolve_limit_count: int = 8  # names looked up at the same time
    outbound_connect_s: float = 10.0  # to a connection, TLS included
    outbound_head_limit_bytes: int = 16 * KIB  # of an answer
    callback_secret_file: Path | None = None  # deliveries are signed with what it holds
    callback_delays_s: tuple[float, ...] = (10.0, 10.0, 10.0, 10.0, 10.0)  # between tries: one more than there are
    callback_timeout_s: float = 30.0  # of one try
    callback_body_limit_bytes: int = 64 * MIB
    callback_inline_limit_bytes: int = MIB  # of a body that is kept in the database
    callback_parallel_count: int = 32
    callback_parallel_per_host_count: int = 4
    callback_limit_count: int = 10_000  # that wait, for their job or for their receiver
    callback_retention_count: int = 1000  # of those that are over
    fetch_limit_bytes: int = GIB
    fetch_limit_count: int = 8  # at the same time; others wait for their turn
    fetch_time_s: float = 600.0
    fetch_head_s: float = 30.0  # for an answer to begin
    fetch_grace_s: float = 10.0  # it may be slow for this long, then the floor holds
    fetch_rate_floor_bytes_per_s: int = 1000
    fetch_cache_count: int = 256  # URIs whose content is remembered

    # jobs that are classes out of packages
    package_python: str | None = None  # the interpreter where a context names none; None: the one of this server
    package_limit_count: int = 64  # of one job, those that it depends on too
    package_config_inline_bytes: int = 64 * KIB  # a longer configuration is kept in the blob store
    package_result_limit_bytes: int = GIB
    package_progress_s: float = 1.0  # between two looks at how far a job says it has come

    # contexts, in which they run
    context_defaults: Path | None = None  # HOCON: settings of all contexts, and contexts that are made at the start
    context_limit_count: int = 1000  # that live, those of one job not counted
    context_slots_count: int = 8  # jobs of one context that run at the same time, where it does not say so itself
    context_full: str = "wait"  # or "refuse": a job that would have to wait for its context is not accepted
    context_start_s: float = 300.0  # to be up, its virtual environment included
    context_stop_s: float = 60.0  # to let go of what it holds, once its jobs have ended
    context_sweep_s: float = 3600.0  # between two looks at what may be forgotten
    context_retention_s: float = 72 * 3600.0  # ended ones are kept so long
    context_retention_count: int = 1000
    context_pythons: tuple[str, ...] = ()  # interpreters that a context may ask for, as it may write them
    context_lost_s: float = 10.0  # for its jobs to end by themselves, when what they run in has died
    context_restart: str = "never"  # or "always": one that has died is made anew, where it does not say so itself
    context_restart_limit_count: int = 3  # of one context, by the server, within the next
    context_restart_window_s: float = 600.0
    venv_time_s: float = 240.0  # to make a virtual environment
    venv_build_limit_count: int = 2  # made at the same time
    venv_wheel_limit_count: int = 64  # in one
    venv_limit_bytes: int = 4 * GIB  # of what is unpacked into one
    venv_unused_count: int = 8  # kept of those that no context uses
    venv_unused_s: float = 7 * 86400.0  # and so long

    # contexts on Spark
    spark_home: Path | None = None  # with jars/ and python/; None: pyspark beside this interpreter, if it is there
    spark_java: Path | None = None  # of a JDK or JRE; None: JAVA_HOME, PATH, what /usr/lib/jvm has
    spark_master: str | None = None  # where contexts compute that do not say it; with it all are Spark's
    spark_ready_count: int = 0  # processes that wait for a context
    spark_adhoc_limit_count: int = 8  # contexts of one job that live; the jobs of others wait
    spark_start_limit_count: int = 4  # JVMs that start at the same time; others wait for their turn
    spark_driver_memory_bytes: int = GIB  # heap of a context's JVM
    spark_api_jars: tuple[str, ...] = ()  # that jobs out of jars are built for and do not bring
    spark_archive: bool = True  # keep the loaded classes of a JVM in a file, so that the next one starts quicker
    spark_sample_s: float = 5.0  # between two looks at what a context holds in memory
    spark_answer_s: float = 30.0  # for the process of a context to say how it is
    spark_stop_s: float = 20.0  # for it to stop Spark before it is killed
    spark_ready_pause_s: float = 2.0  # after a ready process has died; doubled with each that follows
    spark_ready_pause_limit_s: float = 300.0

    # configurations of package jobs (HOCON), which cost more to read than their size tells
    config_limit_bytes: int = 30 * MIB  # as it was sent
    config_coming_limit_bytes: int = 512 * MIB  # of all that come at the same time, small ones left out
    config_depth_limit_count: int = 100  # of objects and lists in one another
    config_output_limit_bytes: int = 100 * MIB  # as JSON: substitutions make much of little
    config_memory_limit_bytes: int = GIB  # of the process that reads a large one
    config_cpu_s: int = 20  # of its processor
    config_time_s: float = 60.0  # of the clock
    config_process_limit_count: int = 2  # that read at the same time; others wait for their turn

    # data files of the Spark API
    data_limit_bytes: int = 10 * GIB  # of all of them together
    data_limit_count: int = 10_000
    data_upload_limit_count: int = 16  # at the same time

    # store
    sync: str = "full"  # or "normal": the last commits may be lost with the power
    commit_batch_limit_count: int = 2000
    page_default_count: int = 50
    page_limit_count: int = 1000
    text_scan_limit_count: int = 5000  # rows that one text-filtered list request may look at
    event_retention_count: int = 100_000
    idempotency_retention_s: float = 86400.0
    idempotency_key_limit_bytes: int = 255
    thread_limit_count: int = 8

    # retention
    retention_jobs_count: int = 10_000
    retention_age_s: float = 30 * 86400.0
    retention_output_bytes: int = 20 * GIB
    retention_interval_s: float = 60.0
