"""Where a setting comes from, in which order, and what is said when it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobdeck_server.commands.configure import OPTIONS, ConfigError, Configured, configure, data_dir
from jobdeck_server.commands.values import BadValueError, address, amount, seconds
from jobdeck_server.settings import Settings


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def configured(
    flags: dict[str, object] | None = None, environ: dict[str, str] | None = None, config: Path | None = None
) -> Configured:
    return configure(flags or {}, environ or {}, config=None if config is None else str(config), start_dir="/srv")


def toml(folder: Path, text: str) -> Path:
    path = folder / "jobdeck.toml"
    path.write_text(text)
    return path


def test_defaults(tmp_path: Path) -> None:
    found = configured()
    assert found == Configured(settings=Settings(data_dir=tmp_path / "state" / "jobdeck", start_dir="/srv"))
    assert found.settings.listen == (("127.0.0.1", 8080),)
    assert not found.settings.require_token


def test_flags_over_environment_over_jobrunner_over_file(tmp_path: Path) -> None:
    file = toml(tmp_path, 'listen = ["127.0.0.1:1"]\n')
    jobrunner = {"JOBRUNNER_PORT": "2"}
    environ = {**jobrunner, "JOBDECK_LISTEN": "127.0.0.1:3, [::1]:3"}
    flags: dict[str, object] = {"listen": ("127.0.0.1:4",)}
    assert configured(config=file).settings.listen == (("127.0.0.1", 1),)
    assert configured({}, jobrunner, file).settings.listen == (("127.0.0.1", 2),)
    assert configured({}, environ, file).settings.listen == (("127.0.0.1", 3), ("::1", 3))
    assert configured(flags, environ, file).settings.listen == (("127.0.0.1", 4),)


@pytest.mark.parametrize(
    ("environ", "listen"),
    [
        ({"JOBRUNNER_PORT": "9000"}, ("127.0.0.1", 9000)),
        ({"JOBRUNNER_PORT": "9000", "JOBRUNNER_HOSTNAME": ""}, ("127.0.0.1", 9000)),
        ({"JOBRUNNER_HOSTNAME": "0.0.0.0"}, ("0.0.0.0", 8080)),
        ({"JOBRUNNER_HOSTNAME": "::1"}, ("::1", 8080)),
        ({"JOBRUNNER_PORT": "", "JOBRUNNER_HOSTNAME": ""}, ("127.0.0.1", 8080)),
    ],
)
def test_the_documented_variables(environ: dict[str, str], listen: tuple[str, int]) -> None:
    assert configured({}, environ).settings.listen == (listen,)


@pytest.mark.parametrize(
    ("listen", "needs"),
    [
        *[("127.0.0.1:0", False), ("localhost:1", False), ("[::1]:1", False), ("127.9.9.9:1", False)],
        *[("0.0.0.0:1", True), ("[::]:1", True), ("192.168.1.1:1", True), ("example.org:1", True)],
    ],
)
def test_an_open_listener_needs_a_token(listen: str, needs: bool) -> None:
    flags: dict[str, object] = {"listen": ("127.0.0.1:2", listen)}
    assert configured(flags).settings.require_token is needs
    assert not configured({**flags, "insecure_no_auth": True}).settings.require_token


def test_every_option_can_be_set_in_every_way(tmp_path: Path) -> None:
    values = {
        "listen": ("127.0.0.1:5", '["127.0.0.1:5"]', (("127.0.0.1", 5),)),
        "data_dir": ("/data", '"/data"', Path("/data")),
        "work_root": ("work", '"work"', "/srv/work"),
        "allow_host": ("a.example,b.example", '["a.example", "b.example"]', ("a.example", "b.example")),
        "allow_origin": ("https://a.example", '["https://a.example"]', ("https://a.example",)),
        "require_token": ("1", "true", True),
        "insecure_no_auth": ("yes", "true", True),
        "tls_cert": ("cert.pem", '"cert.pem"', Path("/srv/cert.pem")),
        "tls_key": ("/etc/key.pem", '"/etc/key.pem"', Path("/etc/key.pem")),
        "tls_client_ca": ("ca.pem", '"ca.pem"', Path("/srv/ca.pem")),
        "tls_require_client": ("1", "true", True),
        "sync": ("normal", '"normal"', "normal"),
        "running_limit": ("3", "3", 3),
        "spread": ("1", "true", True),
        "output_limit": ("1GiB", '"1GiB"', 1024**3),
        "retain_jobs": ("7", "7", 7),
        "retain_age": ("2d", '"2d"', 2 * 86400.0),
        "retain_output": ("5000", "5000", 5000),
        "blob_list": ("true", "true", True),
        "no_builtin_executor": ("on", "true", False),
        "executor_labels": ("gpu,big", '["gpu", "big"]', ("gpu", "big")),
        "executor_nonce_file": ("nonce", '"nonce"', Path("/srv/nonce")),
        "label_jobs_file": ("/etc/labels.json", '"/etc/labels.json"', Path("/etc/labels.json")),
        "scripts": ("scripts/", '"scripts"', "/srv/scripts"),
        "only_scripts": ("1", "true", True),
        "commands": ("bash,python3", '["bash", "python3"]', ("bash", "python3")),
        "worker_name": ("deck", '"deck"', "deck"),
        "worker_lost_after": ("2h", '"2h"', 7200.0),
        "restored": ("1", "true", True),
        "stop_jobs": ("on", "true", True),
        "callback_allow": (
            "https://*.example.org:8443,http://10.0.0.0/8:*",
            '["https://*.example.org:8443", "http://10.0.0.0/8:*"]',
            ("https://*.example.org:8443", "http://10.0.0.0/8:*"),
        ),
        "package": (
            "a=a.whl,b=/b=.egg",
            '["a=a.whl", "b=/b=.egg"]',
            (("a", Path("/srv/a.whl")), ("b", Path("/b=.egg"))),
        ),
        "callback_delays": ("0.5s,1m", '[0.5, "1m"]', (0.5, 60.0)),
        "callback_secret_file": ("secret", '"secret"', Path("/srv/secret")),
        "fetch_allow": ("ftp://[fd00:1::/64]:*", '["ftp://[fd00:1::/64]:*"]', ("ftp://[fd00:1::/64]:*",)),
        "fetch_folders": ("/var/wheels,wheels/", '["/var/wheels", "wheels/"]', ("/var/wheels", "/srv/wheels")),
        "fetch_limit": ("5M", "5242880", 5 * 1024**2),
        "outbound_ca": ("ca.pem", '"ca.pem"', Path("/srv/ca.pem")),
        "package_result_limit": ("2M", '"2M"', 2 * 1024**2),
        "sync_wait_limit": ("1h", "3600", 3600.0),
        "package_python": ("python3", '"python3"', "python3"),
        "context_defaults": ("contexts.conf", '"contexts.conf"', Path("/srv/contexts.conf")),
        "max_jobs_per_context": ("3", "3", 3),
        "context_full": ("refuse", '"refuse"', "refuse"),
        "context_timeout": ("90s", "90", 90.0),
        "context_pythons": ("python3.12,/opt/py", '["python3.12", "/opt/py"]', ("python3.12", "/opt/py")),
        "context_restart": ("always", '"always"', "always"),
        "spark_home": ("spark", '"spark"', Path("/srv/spark")),
        "spark_java": ("/usr/lib/jvm/17", '"/usr/lib/jvm/17"', Path("/usr/lib/jvm/17")),
        "spark_master": ("spark://host:7077", '"spark://host:7077"', "spark://host:7077"),
        "spark_ready": ("2", "2", 2),
        "spark_adhoc": ("3", "3", 3),
        "spark_driver_memory": ("2G", '"2GiB"', 2 * 1024**3),
        "spark_api_jars": (
            "/var/api.jar,config.jar",
            '["/var/api.jar", "config.jar"]',
            ("/var/api.jar", "/srv/config.jar"),
        ),
        "no_spark_archive": ("1", "true", False),
        "data_limit": ("1G", '"1GiB"', 1024**3),
        "log_format": ("json", '"json"', "json"),
    }
    assert set(values) == {option.name for option in OPTIONS}
    for option in OPTIONS:
        text, in_file, wanted = values[option.name]
        flag: object = True if option.metavar is None else (text.split(",") if option.many else text)
        file = toml(tmp_path, f"{option.name} = {in_file}\n")
        for found in (
            configured({option.name: flag}),
            configured({}, {option.variable: text}),
            configured(config=file),
        ):
            holder: Any = found if hasattr(found, option.field) else found.settings
            assert getattr(holder, option.field) == wanted, option.name


def test_a_flag_of_several_takes_commas_and_a_list_of_a_file_does_not(tmp_path: Path) -> None:
    flags: dict[str, object] = {"executor_labels": ("gpu,big", "fast")}
    assert configured(flags).settings.executor_labels == ("gpu", "big", "fast")
    file = toml(tmp_path, 'executor_labels = ["gpu,big", "fast"]\n')
    assert configured(config=file).settings.executor_labels == ("gpu,big", "fast")


def test_a_list_may_be_said_to_be_empty(tmp_path: Path) -> None:
    assert configured().settings.callback_allow is None
    for found in (
        configured({"callback_allow": ("none",)}),
        configured({}, {"JOBDECK_CALLBACK_ALLOW": "none"}),
        configured(config=toml(tmp_path, "callback_allow = []\n")),
    ):
        assert found.settings.callback_allow == ()
    assert configured({"callback_delays": ("none",)}).settings.callback_delays_s == ()


def test_limits_by_their_own_names(tmp_path: Path) -> None:
    file = toml(tmp_path, "[limits]\nhead_timeout_s = 3\nbody_limit_bytes = 100\n")
    settings = configured(config=file).settings
    assert (settings.head_timeout_s, settings.body_limit_bytes) == (3, 100)


def test_the_usual_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "config" / "jobdeck").mkdir(parents=True)
    (tmp_path / "config" / "jobdeck" / "config.toml").write_text("running_limit = 9\n")
    assert configured().settings.running_limit_count == 9
    other = toml(tmp_path, "running_limit = 8\n")
    assert configured({}, {"JOBDECK_CONFIG": str(other)}).settings.running_limit_count == 8


@pytest.mark.parametrize(
    ("flags", "environ", "file", "words"),
    [
        ({"listen": ("nowhere",)}, {}, "", "--listen: 'nowhere' is no HOST:PORT"),
        ({"listen": ("::1:80",)}, {}, "", "in brackets"),
        ({"listen": ("127.0.0.1:70000",)}, {}, "", "port from 0 to 65535"),
        ({}, {"JOBDECK_RUNNING_LIMIT": "-1"}, "", "JOBDECK_RUNNING_LIMIT: '-1' is no whole number from 0"),
        ({}, {"JOBDECK_SYNC": "off"}, "", "JOBDECK_SYNC: 'off' is none of full, normal"),
        ({}, {"JOBRUNNER_PORT": "http"}, "", "JOBRUNNER_PORT"),
        ({}, {"JOBDECK_REQUIRE_TOKEN": "maybe"}, "", "neither true nor false"),
        ({"callback_allow": ("example.org",)}, {}, "", "--callback-allow: 'example.org' is no pattern such as"),
        ({"callback_allow": ("ftp://example.org",)}, {}, "", "it must be one of http, https"),
        ({"fetch_allow": ("http://0.0.0.0/32",)}, {}, "", "--fetch-allow: 'http://0.0.0.0/32': such addresses"),
        ({}, {"JOBDECK_FETCH_ALLOW": "none,http://a"}, "", "JOBDECK_FETCH_ALLOW: 'none' is no pattern"),
        ({"callback_delays": ("soon",)}, {}, "", "--callback-delays: 'soon' is no time"),
        ({"package": ("a.whl",)}, {}, "", "--package: 'a.whl' is no NAME=FILE"),
        ({"package": ("=a.whl",)}, {}, "", "--package: '=a.whl' is no NAME=FILE"),
        ({}, {}, "port = 1", "there is no setting 'port'"),
        ({}, {}, "listen = 8080", "listen: 8080 is no list"),
        ({}, {}, "retain_age = 'soon'", "'soon' is no time"),
        ({}, {}, "limits = 3", "limits must be a table"),
        ({}, {}, "[limits]\nhead = 3", "there is no limit 'head'"),
        ({}, {}, "[limits]\nhead_timeout_s = true", "limits.head_timeout_s: True is no float"),
        ({}, {}, "[limits]\nbody_limit_bytes = 1.5", "limits.body_limit_bytes: 1.5 is no int"),
        ({}, {}, "not toml", "jobdeck.toml"),
    ],
)
def test_errors_name_their_source(
    tmp_path: Path, flags: dict[str, object], environ: dict[str, str], file: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(flags, environ, toml(tmp_path, file) if file else None)
    assert words in str(caught.value)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        configured(config=tmp_path / "missing.toml")


def test_data_dir_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert data_dir("here", {}) == tmp_path / "here"
    assert data_dir(None, {"JOBDECK_DATA_DIR": "/there"}) == Path("/there")
    assert data_dir(None, {"HOME": "/"}) == tmp_path / "state" / "jobdeck"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("0", 0), (17, 17), ("1k", 1024), ("1.5MiB", 1572864), ("2 GB", 2 * 1024**3), ("1t", 1024**4), ("9b", 9)],
)
def test_amounts(text: object, wanted: int) -> None:
    assert amount(text) == wanted


@pytest.mark.parametrize("bad", ["", "-1", "1x", "k", "1e3", "nan", True, None, -1, "1" * 30])
def test_bad_values(bad: object) -> None:
    for reader in (amount, seconds) if bad != "1" * 30 else ():
        with pytest.raises(BadValueError):
            reader(bad)
    with pytest.raises(BadValueError):
        address(bad)
