"""Settings: their sources, their order, and the messages for wrong ones."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy.engine import make_url

from sparkify_dagster.config.keys import KEYS, Secret, SettingsError, settings_table
from sparkify_dagster.config.settings import Settings
from sparkify_dagster_tests.redshift_stand_in import real_cluster

EXAMPLE = Path(__file__).parents[2] / "dwh.cfg.example"
PASSWORD = "Pa%%ss%(x)s=;#@/:w0rd"  # every character that an ini file or a URL could take for its own
CLUSTER = f"""[CLUSTER]
HOST=cluster.example.com
DB_NAME=dev
DB_USER=awsuser
DB_PASSWORD={PASSWORD}
"""
S3 = "[S3]\nLOG_DATA='s3://bucket/logs'\nLOG_JSONPATH='s3://bucket/paths.json'\nSONG_DATA='s3://bucket/songs'\n"

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Settings of the text of a dwh.cfg (none: no file) and of environment variables."""

    def load(cfg: str | None = None, **environ: str) -> Settings:
        if cfg is not None:
            (tmp_path / "dwh.cfg").write_text(cfg)
        return Settings.load(environ, tmp_path)

    return load


@pytest.fixture
def error(load: Load) -> Callable[..., str]:
    def error(cfg: str | None = None, **environ: str) -> str:
        with pytest.raises(SettingsError) as caught:
            load(cfg, **environ)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return error


Error = Callable[..., str]


# Defaults, and the object itself


def test_nothing_configured_is_duckdb_with_a_simulated_source(load: Load) -> None:
    settings = load()
    assert settings.warehouse == make_url("duckdb:///.sparkify/warehouse.duckdb")
    assert settings.log_data == ".sparkify/simulated/log_data"
    assert settings.song_data == ".sparkify/simulated/song_data"
    assert settings.log_jsonpath == ".sparkify/simulated/log_json_path.json"
    assert settings.simulates_source
    assert (settings.log_start, settings.log_end) == (date(2018, 11, 1), date(2018, 12, 1))
    assert (settings.max_load_errors, settings.min_match_rate) == (100, 0)
    assert settings.cluster_identifier is settings.cluster_region is settings.iam_role_arn is None
    assert settings.aws_endpoint_url is settings.aws_region is settings.code_url is None
    assert settings.dwh_access_key is settings.dwh_secret_key is None
    assert settings == Settings()


def test_settings_are_frozen(load: Load) -> None:
    with pytest.raises(ValidationError):
        load().max_load_errors = 1


def test_every_field_has_a_description() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_import_does_not_import_dagster() -> None:
    program = "import sys, sparkify_dagster.config.settings; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# Where values are read


def test_environment_wins_over_file(load: Load) -> None:
    settings = load(S3, SPARKIFY_LOG_DATA="s3://other/logs")
    assert (settings.log_data, settings.song_data) == ("s3://other/logs", "s3://bucket/songs")


def test_empty_environment_variable_hides_the_file(load: Load) -> None:
    settings = load(S3, SPARKIFY_LOG_DATA="", SPARKIFY_SONG_DATA=" ", SPARKIFY_LOG_JSONPATH="")
    assert settings == Settings()


def test_what_is_expected_is_known_of_the_simulated_month_alone(load: Load) -> None:
    assert load().expected == ".sparkify/simulated/expected"
    assert load(SPARKIFY_EXPECTED_RESULTS="").expected is None
    assert load(S3).expected is None
    assert load(SPARKIFY_LOG_START="2018-11-15").expected is None
    assert load(SPARKIFY_LOG_END="2018-11-15").expected is None
    assert load(S3, SPARKIFY_EXPECTED_RESULTS="s3://bucket/expected/").expected == "s3://bucket/expected"


def test_the_report_has_a_place_unless_it_is_set_to_none(load: Load) -> None:
    assert load().report == ".sparkify/report.html"
    assert load(SPARKIFY_REPORT_FILE="").report is None
    assert load(SPARKIFY_REPORT_FILE="file:///srv/report.html").report == "/srv/report.html"
    assert load(SPARKIFY_REPORT_FILE="s3://bucket/report.html").report == "s3://bucket/report.html"
    for no_file in ("s3://bucket", "s3://bucket/", "s3://bucket/a//b.html", "reports/"):
        with pytest.raises(SettingsError, match=r"^SPARKIFY_REPORT_FILE: '.*' (is not the name|has an empty folder)"):
            load(SPARKIFY_REPORT_FILE=no_file)


def test_empty_value_in_file_is_not_configured(load: Load) -> None:
    assert load("[CLUSTER]\nHOST=''\nDB_PORT=\n[S3]\nLOG_DATA=\"\"\nSONG_DATA=\n[AWS]\nACCESS_KEY=\n") == Settings()


def test_named_config_is_read_instead_of_the_default_one(load: Load, tmp_path: Path) -> None:
    (tmp_path / "other.cfg").write_text(S3.replace("bucket", "other"))
    for named in (str(tmp_path / "other.cfg"), "other.cfg"):
        assert load(S3, SPARKIFY_CONFIG=named).log_data == "s3://other/logs"


def test_empty_config_name_reads_no_file(load: Load) -> None:
    assert load(S3, SPARKIFY_CONFIG="").simulates_source


def test_named_config_that_does_not_exist(error: Error) -> None:
    assert error(S3, SPARKIFY_CONFIG="no.cfg") == "SPARKIFY_CONFIG: 'no.cfg' does not exist (environment variable)"


def test_default_folder_is_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dwh.cfg").write_text(S3)
    monkeypatch.chdir(tmp_path)
    assert Settings.load({}).log_data == "s3://bucket/logs"


def test_file_path_is_shown_as_the_user_named_it(error: Error, tmp_path: Path) -> None:
    named = f"{tmp_path}/./my.cfg"
    Path(named).write_text("\n[CLUSTER]\nDB_PORT=abc\n")
    assert error(SPARKIFY_CONFIG=named) == f"[CLUSTER] DB_PORT: 'abc' is not a port number ({named}, line 3)"


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_values_may_be_quoted(load: Load, quote: str) -> None:
    settings = load(f"[S3]\nLOG_DATA={quote}logs{quote}\nSONG_DATA = {quote}songs{quote}\n")
    assert (settings.log_data, settings.song_data) == ("logs", "songs")


def test_section_and_key_names_in_any_case(load: Load, error: Error) -> None:
    assert load(S3.replace("[S3]", "[s3]").replace("_DATA", "_data")).log_data == "s3://bucket/logs"
    assert error("[Cluster]\nHost=h\n[s3]\nlog_data=x\n[cluster]\n").startswith("dwh.cfg, line 5: ")
    assert error("[s3]\n# comment\nlog_data: ftp://x\n").endswith("(dwh.cfg, line 3)")


def test_byte_order_mark_is_no_part_of_the_file(load: Load) -> None:
    assert load("\ufeff" + S3).log_data == "s3://bucket/logs"


# Files that cannot be read


@pytest.mark.parametrize(
    ("cfg", "line"),
    [
        ("HOST=x\n", 1),
        ("[CLUSTER]\nHOST=x\nDB_PASSWORD hunter2\n", 3),
        ("[S3]\nLOG_DATA=a\nLOG_DATA=b\n", 3),
        ("[S3]\n[AWS]\n[s3]\n", 3),
    ],
)
def test_malformed_file_names_file_and_line(error: Error, cfg: str, line: int) -> None:
    message = error(cfg)
    assert message.startswith(f"dwh.cfg, line {line}: ")
    assert "hunter2" not in message


def test_file_that_is_a_folder_or_not_text(error: Error, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"[S3]\n\xff\xfe")
    assert error(SPARKIFY_CONFIG="folder").startswith("folder: cannot be read: ")
    assert error(SPARKIFY_CONFIG="binary") == "binary: is not UTF-8 text"


def test_value_that_swallows_the_next_line(error: Error) -> None:
    message = error("[CLUSTER]\nHOST=h\nDB_PASSWORD=hunter2\n  DB_NAME=dev\n", SPARKIFY_LOG_DATA="")
    assert message == "[CLUSTER] DB_PASSWORD: goes on in the next line, because that is indented (dwh.cfg, line 3)"


# Comments behind values


@pytest.mark.parametrize("value", ["host ; ours", "host # ours", "'host' # ours", "'host' # 'ours'", "# none yet"])
def test_comment_behind_a_value_is_an_error(error: Error, value: str) -> None:
    message = error(f"[CLUSTER]\nHOST = {value}\n")
    assert message.startswith("[CLUSTER] HOST: ")
    assert "has a comment behind it: write the comment on a line of its own" in message
    assert message.endswith("(dwh.cfg, line 2)")


@pytest.mark.parametrize("value", ["hunter2 # ours", "hunter2 ;", "# hunter2"])
def test_comment_behind_a_secret_does_not_show_it(error: Error, value: str) -> None:
    message = error(CLUSTER.replace(PASSWORD, value))
    assert message.startswith("[CLUSTER] DB_PASSWORD: *** has a comment behind it")
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("written", "password"), [("#a;b#", "#a;b#"), ("'a # b'", "a # b"), ('"it\'s #1"', "it's #1"), ("'it's'", "it's")]
)
def test_password_may_hold_what_begins_a_comment(load: Load, written: str, password: str) -> None:
    assert load(CLUSTER.replace(PASSWORD, written)).warehouse.password == password


# Unknown names


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SPARKIFY_LOGDATA", "SPARKIFY_LOG_DATA"),
        ("SPARKIFYLOGDATA", "SPARKIFY_LOG_DATA"),
        ("sparkify_log_data", "SPARKIFY_LOG_DATA"),
        ("SPARKIFY_LOG_DAT", "SPARKIFY_LOG_DATA"),
        ("SPARKIFY_MAX_LOADS_ERROR", "SPARKIFY_MAX_LOAD_ERRORS"),
        ("SPARKIFY_WEARHOUSE", "SPARKIFY_WAREHOUSE"),
    ],
)
def test_variable_like_a_known_one_is_an_error(error: Error, name: str, meant: str) -> None:
    assert error(**{name: "x"}) == f"{name}: there is no such setting; write {meant} (environment variable)"


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ("[CLUSTER]\nHOSST = x\n", "[CLUSTER] HOSST: there is no such setting; write HOST (dwh.cfg, line 2)"),
        ("[cluster]\nport = 1\n", "[CLUSTER] PORT: there is no such setting; write DB_PORT (dwh.cfg, line 2)"),
        ("[S3]\nLOGDATA=\n", "[S3] LOGDATA: there is no such setting; write LOG_DATA (dwh.cfg, line 2)"),
        ("[AWS]\nSECRETS=x\n", "[AWS] SECRETS: there is no such setting; write SECRET (dwh.cfg, line 2)"),
        ("[CLUSTR]\nHOST=x\n", "[CLUSTR]: there is no such section; write [CLUSTER] (dwh.cfg, line 1)"),
        ("[S_3]\n", "[S_3]: there is no such section; write [S3] (dwh.cfg, line 1)"),
    ],
)
def test_name_in_the_file_like_a_known_one_is_an_error(error: Error, cfg: str, message: str) -> None:
    assert error(cfg) == message


def test_names_of_others_are_ignored_and_named_in_one_line(load: Load, tmp_path: Path) -> None:
    cfg = "[DWH]\nDWH_CLUSTER_TYPE=multi-node\n[AWS]\nREGION=eu-west-1\n"
    # Kubernetes sets these of a service named sparkify.
    kubernetes = dict.fromkeys(("SPARKIFY_SERVICE_HOST", "SPARKIFY_PORT", "SPARKIFY_PORT_80_TCP_PROTO"), "x")
    assert load(cfg, **kubernetes) == Settings()
    assert Settings.ignored(kubernetes, tmp_path) == (
        "ignored, since no setting has this name: SPARKIFY_PORT, SPARKIFY_PORT_80_TCP_PROTO, SPARKIFY_SERVICE_HOST"
        " (environment), [DWH] (dwh.cfg, line 1), [AWS] REGION (dwh.cfg, line 4)"
    )


def test_every_variable_that_the_project_documents_is_known() -> None:
    project = EXAMPLE.parent
    pages = [*project.glob("*.md"), *(project / "docs").rglob("*.md"), *(project / "infrastructure").iterdir()]
    documents = [document.read_text("utf-8") for document in [*pages, Path(real_cluster.__file__)]]
    # The changelog also names the former settings.
    current = [re.sub(r"^\| Setting \| `\w+` \|", "", document, flags=re.MULTILINE) for document in documents]
    names = {name for document in current for name in re.findall(r"\bSPARKIFY_[A-Z_]*[A-Z]\b", document)}
    assert "SPARKIFY_HISTORY" in names
    assert Settings.ignored(dict.fromkeys(names, "")) == ""


# Placeholders


@pytest.mark.parametrize("value", ["<cluster endpoint>", "'<cluster endpoint>'", '"<cluster endpoint>"', "<id>.x.com"])
def test_placeholder_is_an_error(error: Error, value: str) -> None:
    shown = value.strip("'\"")
    assert error(f"[CLUSTER]\nHOST={value}\n") == (
        f"[CLUSTER] HOST: '{shown}' is a placeholder, fill it in or delete the line (dwh.cfg, line 2)"
    )


@pytest.mark.parametrize(
    "place",
    [
        *("CLUSTER DB_NAME", "CLUSTER DB_USER", "CLUSTER DB_PASSWORD", "CLUSTER DB_PORT", "CLUSTER DB_REGION"),
        *("CLUSTER CLUSTER_IDENTIFIER", "IAM_ROLE ARN", "S3 LOG_JSONPATH", "S3 LOG_DATA", "AWS ACCESS_KEY"),
    ],
)
def test_placeholder_is_an_error_of_its_key_even_where_not_needed_yet(error: Error, place: str) -> None:
    section, key = place.split()
    message = error(f"[{section}]\n{key}=<x>\n")
    assert message.startswith(f"[{section}] {key}: ")
    assert "placeholder" in message
    assert message.endswith("(dwh.cfg, line 2)")


@pytest.mark.parametrize("value", ["", "s3://other/logs"])
def test_placeholder_that_the_environment_hides_is_none(load: Load, value: str) -> None:
    cfg = "[S3]\nLOG_DATA=<logs>\nSONG_DATA=<songs>\n"
    assert load(cfg, SPARKIFY_LOG_DATA=value, SPARKIFY_SONG_DATA=value).log_data in (value, Settings().log_data)


@pytest.mark.parametrize("warehouse", ["", "duckdb:///x.duckdb", "postgresql://u:p@h/d"])
def test_cluster_is_not_used_where_the_environment_names_another_warehouse(load: Load, warehouse: str) -> None:
    cfg = "[CLUSTER]\nHOST=<host>\nDB_PORT=abc\nCLUSTER_IDENTIFIER=<id>\nDB_REGION=eu\n[IAM_ROLE]\nARN=<arn>\n"
    settings = load(cfg, SPARKIFY_WAREHOUSE=warehouse)
    assert settings.warehouse.get_backend_name() == (warehouse or "duckdb").split(":")[0]
    assert settings.cluster_identifier is settings.cluster_region is settings.iam_role_arn is None


def test_redshift_url_in_the_environment_still_uses_role_and_identifier(load: Load, error: Error) -> None:
    url = "redshift+psycopg2://u:p@/dev"
    cfg = "[CLUSTER]\nHOST=<host>\nDB_PASSWORD=<pw>\nCLUSTER_IDENTIFIER=one\nDB_REGION=eu-west-1\n[IAM_ROLE]\nARN="
    role = "arn:aws:iam::123456789012:role/reader"
    settings = load(cfg + role, SPARKIFY_WAREHOUSE=url)
    assert settings.warehouse == make_url(url)
    assert (settings.cluster_identifier, settings.cluster_region) == ("one", "eu-west-1")
    assert settings.iam_role_arn == role
    assert error(cfg + "<arn>", SPARKIFY_WAREHOUSE=url).startswith("[IAM_ROLE] ARN: '<arn>' is a placeholder")


def test_angle_brackets_inside_a_password_are_no_placeholder(load: Load) -> None:
    assert load(CLUSTER.replace(PASSWORD, "a<b>c")).warehouse.password == "a<b>c"


# Warehouse


def test_cluster_becomes_the_redshift_url(load: Load) -> None:
    settings = load(CLUSTER + "DB_PORT=5555\nDB_REGION=us-west-2\nCLUSTER_IDENTIFIER=one\n")
    url = settings.warehouse
    assert (url.drivername, url.username, url.password) == ("redshift+psycopg2", "awsuser", PASSWORD)
    assert (url.host, url.port, url.database) == ("cluster.example.com", 5555, "dev")
    assert (settings.cluster_region, settings.cluster_identifier) == ("us-west-2", "one")


def test_cluster_port_has_a_default(load: Load) -> None:
    assert load(CLUSTER).warehouse.port == 5439


@pytest.mark.parametrize(
    ("host", "rest", "expected"),
    [
        ("h.example.com:5555/prod", "", ("h.example.com", 5555, "prod")),
        ("h.example.com:5555", "DB_NAME=dev", ("h.example.com", 5555, "dev")),
        ("h.example.com/prod", "", ("h.example.com", 5439, "prod")),
        ("h.example.com:5555/prod", "DB_NAME=dev\nDB_PORT=5556", ("h.example.com", 5556, "dev")),
    ],
)
def test_host_may_be_the_console_s_endpoint(load: Load, host: str, rest: str, expected: tuple[str, int, str]) -> None:
    url = load(f"[CLUSTER]\nHOST={host}\nDB_USER=u\nDB_PASSWORD=p\n{rest}\n").warehouse
    assert (url.host, url.port, url.database) == expected


@pytest.mark.parametrize("host", ["https://h.example.com", "h:port/dev", "h:0", "h:70000/dev", "h h", "h/a/b"])
def test_wrong_host(error: Error, host: str) -> None:
    message = error(CLUSTER.replace("cluster.example.com", host))
    assert message.startswith(f"[CLUSTER] HOST: '{host}' is not ")
    assert message.endswith("(dwh.cfg, line 2)")


def test_identifier_alone_makes_a_url_without_host(load: Load) -> None:
    settings = load(CLUSTER.replace("HOST=cluster.example.com", "CLUSTER_IDENTIFIER=one"))
    assert (settings.warehouse.host, settings.warehouse.port) == (None, None)
    assert (settings.warehouse.database, settings.cluster_identifier) == ("dev", "one")


def test_cluster_without_host_and_identifier_is_not_used(load: Load) -> None:
    assert load(CLUSTER.replace("HOST=cluster.example.com", "")).warehouse == Settings().warehouse


@pytest.mark.parametrize(("key", "given"), [("DB_NAME", "HOST"), ("DB_USER", "DB_PASSWORD")])
def test_cluster_misses_a_key(error: Error, key: str, given: str) -> None:
    without = re.sub(f"{key}=.*\n", "", CLUSTER)
    assert error(without) == f"[CLUSTER] {key}: missing, but [CLUSTER] {given} is given (dwh.cfg)"


def test_a_cluster_that_is_looked_up_misses_its_database(error: Error) -> None:
    identified = CLUSTER.replace("HOST=cluster.example.com", "CLUSTER_IDENTIFIER=one").replace(
        "DB_NAME=dev", "DB_NAME="
    )
    assert error(identified) == (
        "[CLUSTER] DB_NAME: missing, but [CLUSTER] CLUSTER_IDENTIFIER is given (dwh.cfg, line 3)"
    )


def test_without_a_password_aws_provides_one(load: Load) -> None:
    url = load(re.sub("DB_PASSWORD=.*\n", "", CLUSTER)).warehouse
    assert (url.username, url.password) == ("awsuser", None)
    url = load(re.sub("(DB_PASSWORD|DB_USER)=.*\n", "", CLUSTER)).warehouse
    assert (url.username, url.password) == (None, None)


def test_what_redshift_needs_besides(load: Load, error: Error) -> None:
    settings = load(
        CLUSTER,
        SPARKIFY_COPY_STAGING="s3://bucket/prefix/",
        SPARKIFY_WAREHOUSE_SECRET="redshift!dev-awsuser",
        SPARKIFY_COPY_FIRST="Yes",
        SPARKIFY_STATEMENT_TIMEOUT="60",
    )
    assert (settings.copy_staging, settings.warehouse_secret) == ("s3://bucket/prefix", "redshift!dev-awsuser")
    assert (settings.copy_first, settings.statement_timeout) == (True, 60)
    assert "is neither true nor false" in error(CLUSTER, SPARKIFY_COPY_FIRST="perhaps")
    assert "is not s3://bucket/prefix" in error(CLUSTER, SPARKIFY_COPY_STAGING="local/folder")
    for prefix in ("/a", "a//b", "a/../b", "."):
        assert "where nothing can be written" in error(CLUSTER, SPARKIFY_COPY_STAGING=f"s3://bucket/{prefix}")


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "5_439", "1.5", "٣"])
def test_wrong_port(error: Error, port: str) -> None:
    message = error(f"{CLUSTER}DB_PORT={port}\n")
    assert message == f"[CLUSTER] DB_PORT: '{port}' is not a port number (dwh.cfg, line 6)"


@pytest.mark.parametrize(
    ("url", "drivername"),
    [
        ("duckdb:///x.duckdb", "duckdb"),
        ("postgresql://u:p@h/d", "postgresql+psycopg2"),
        ("postgresql+psycopg2://u:p@h/d", "postgresql+psycopg2"),
        ("redshift://u:p@h:5439/d", "redshift+psycopg2"),
        ("redshift+psycopg2://u:p@h:5439/d", "redshift+psycopg2"),
    ],
)
def test_warehouse_from_the_environment_with_its_driver(load: Load, url: str, drivername: str) -> None:
    warehouse = load(CLUSTER, SPARKIFY_WAREHOUSE=url).warehouse
    assert warehouse == make_url(url).set(drivername=drivername)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("hunter2", "is not a SQLAlchemy URL"),
        ("redshift://u:hunter2@h:port/d", "is not a SQLAlchemy URL"),
        ("redshift://u:hunter2@h:70000/d", "is not a port number"),
        ("mysql://u:hunter2@h/d", "is not a URL of duckdb"),
        ("postgres://u:hunter2@h/d", "begins with postgres:// as some tools write it: write postgresql://"),
        ("postgresql+psycopg://u:hunter2@h/d", "is not a URL of duckdb"),
        ("redshift+redshift_connector://u:hunter2@h/d", "is not a URL of duckdb"),
        ("duckdb://hunter2/x.duckdb", "has a host"),
        ("redshift://u:x@hunter2@h/d", "has an '@' too many"),
        ("redshift://u:x@y/hunter2@h:5439/d", "has an '@' too many"),
        ("redshift://u@h/d?password=hunter2", "has a secret after its '?'"),
        ("redshift://u:hunter2@/d", "names no host"),
    ],
)
def test_wrong_warehouse_does_not_show_its_password(error: Error, url: str, problem: str) -> None:
    message = error(SPARKIFY_WAREHOUSE=url)
    assert message.startswith(f"SPARKIFY_WAREHOUSE: *** {problem}")
    assert message.endswith("(environment variable)")
    assert "hunter2" not in message


def test_a_tilde_is_the_home_folder(load: Load, error: Error, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load(SPARKIFY_WAREHOUSE="duckdb:///~/x.duckdb").warehouse.database == "/home/somebody/x.duckdb"
    assert load("[S3]\nLOG_DATA=~/logs\nSONG_DATA=a~/b\n").log_data == "/home/somebody/logs"
    assert error(SPARKIFY_WAREHOUSE="duckdb:///~no-such-user/x.duckdb").startswith(
        "SPARKIFY_WAREHOUSE: *** begins with a ~ for which there is no home folder"
    )


@pytest.mark.parametrize("arn", ["role/reader", "arn:aws:s3:::bucket", "arn:aws:iam::1:role/a'; drop"])
def test_wrong_role(error: Error, arn: str) -> None:
    message = error(f"[IAM_ROLE]\nARN={arn}\n")
    assert message.startswith("[IAM_ROLE] ARN: ")
    assert message.endswith("(dwh.cfg, line 2)")


# Source


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/a//b/", "s3://bucket/a//b"),
        ("S3://bucket/a%b#c", "s3://bucket/a%b#c"),
        ("file:///data/with%20space/", "/data/with space"),
        ("file://localhost/data", "/data"),
        ("./data//logs/", "data/logs"),
        ("/data/logs", "/data/logs"),
        ("/data/[a]*?", "/data/[a]*?"),
        ("s3://bucket/p//logs/", "s3://bucket/p//logs"),
        ("s3://bucket//logs", "s3://bucket//logs"),
    ],
)
def test_locations_are_normalised(load: Load, text: str, location: str) -> None:
    settings = load(SPARKIFY_LOG_DATA=text, SPARKIFY_SONG_DATA=text, SPARKIFY_LOG_JSONPATH=text)
    assert settings.log_data == settings.song_data == settings.log_jsonpath == location


@pytest.mark.parametrize(
    "text", ["s3://", "s3:///prefix", "s3:/bucket", "https://host/x", "s3a://b/x", "file://data/x"]
)
def test_wrong_location(error: Error, text: str) -> None:
    for name in ("SPARKIFY_LOG_DATA", "SPARKIFY_LOG_JSONPATH", "SPARKIFY_SONG_DATA"):
        environ = {"SPARKIFY_LOG_DATA": "logs", "SPARKIFY_SONG_DATA": "songs"} | {name: text}
        message = error(**environ)
        assert message.startswith(f"{name}: '{text}' ")
        assert message.endswith("(environment variable)")


@pytest.mark.parametrize("text", ["s3://bucket/log_data/*/*/*.json", "s3://bucket/log_data/2018-11-0?-events.json"])
def test_a_pattern_is_no_location_in_s3(error: Error, text: str) -> None:
    for name in ("SPARKIFY_LOG_DATA", "SPARKIFY_LOG_JSONPATH", "SPARKIFY_SONG_DATA"):
        environ = {"SPARKIFY_LOG_DATA": "logs", "SPARKIFY_SONG_DATA": "songs"} | {name: text}
        assert error(**environ) == (
            f"{name}: '{text}' has a * or ?, and is no pattern: end it before that folder; everything below "
            "s3://bucket/prefix is listed (environment variable)"
        )


def test_location_with_credentials_is_not_shown(error: Error) -> None:
    assert "hunter2" not in error(SPARKIFY_LOG_DATA="s3://key:hunter2@bucket/x", SPARKIFY_SONG_DATA="songs")


def test_configured_source_is_not_simulated_and_has_no_jsonpath_by_default(load: Load) -> None:
    settings = load(SPARKIFY_LOG_DATA="logs", SPARKIFY_SONG_DATA="songs")
    assert not settings.simulates_source
    assert settings.log_jsonpath is None


def test_log_data_without_song_data(error: Error) -> None:
    assert error(SPARKIFY_LOG_DATA="logs") == (
        "SPARKIFY_SONG_DATA or [S3] SONG_DATA: missing, but SPARKIFY_LOG_DATA is given"
        " (environment variable or dwh.cfg)"
    )


def test_song_data_without_log_data(error: Error) -> None:
    assert error("[S3]\nLOG_DATA=\nSONG_DATA=songs\n") == (
        "SPARKIFY_LOG_DATA or [S3] LOG_DATA: missing, but [S3] SONG_DATA is given"
        " (environment variable or dwh.cfg, line 2)"
    )
    assert error(S3, SPARKIFY_LOG_DATA="") == (
        "SPARKIFY_LOG_DATA: missing, but [S3] SONG_DATA is given (environment variable)"
    )


# Days of the logs


@pytest.mark.parametrize(
    ("environ", "start", "end"),
    [
        ({"SPARKIFY_LOG_START": "2018-11-05"}, date(2018, 11, 5), None),
        ({"SPARKIFY_LOG_END": "2018-11-05"}, date(2018, 11, 1), date(2018, 11, 5)),
        ({"SPARKIFY_LOG_END": ""}, date(2018, 11, 1), None),
        ({"SPARKIFY_LOG_START": ""}, date(2018, 11, 1), date(2018, 12, 1)),
        (
            {"SPARKIFY_LOG_START": "2019-01-01", "SPARKIFY_LOG_END": "2019-01-02"},
            date(2019, 1, 1),
            date(2019, 1, 2),
        ),
    ],
)
def test_log_days(load: Load, environ: dict[str, str], start: date, end: date | None) -> None:
    settings = load(**environ)
    assert (settings.log_start, settings.log_end) == (start, end)


@pytest.mark.parametrize("name", ["SPARKIFY_LOG_START", "SPARKIFY_LOG_END"])
@pytest.mark.parametrize("text", ["2018-13-01", "20181101", "2018-W44-4", "today", "2018-11-01T00:00"])
def test_wrong_date(error: Error, name: str, text: str) -> None:
    assert error(**{name: text}) == f"{name}: '{text}' is not a date like 2018-11-01 (environment variable)"


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "9999-12-31"])
def test_first_day_that_no_log_has(error: Error, day: str) -> None:
    assert error(SPARKIFY_LOG_START=day) == (
        f"SPARKIFY_LOG_START: '{day}' is no day from 1970-01-01 to 9999-12-30: name the first day that has a log file"
        " (environment variable)"
    )


def test_end_is_not_after_start(error: Error) -> None:
    day = "2018-11-05"
    assert error(SPARKIFY_LOG_START=day, SPARKIFY_LOG_END=day) == (
        f"SPARKIFY_LOG_END: '{day}' is not after '{day}', the first day (environment variable)"
    )
    assert error(SPARKIFY_LOG_END="2018-11-01").startswith("SPARKIFY_LOG_END: ")


# Numbers


def test_numbers(load: Load) -> None:
    settings = load(SPARKIFY_MAX_LOAD_ERRORS="0", SPARKIFY_MIN_MATCH_RATE="0.25")
    assert (settings.max_load_errors, settings.min_match_rate) == (0, 0.25)
    assert load(SPARKIFY_MIN_MATCH_RATE="1").min_match_rate == 1


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "1_000", "9" * 5000])
def test_wrong_count(error: Error, text: str) -> None:
    assert error(SPARKIFY_MAX_LOAD_ERRORS=text) == (
        f"SPARKIFY_MAX_LOAD_ERRORS: '{text}' is not a whole number of 0 or more (environment variable)"
    )


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "inf", "x", "50%"])
def test_wrong_rate(error: Error, text: str) -> None:
    assert error(SPARKIFY_MIN_MATCH_RATE=text) == (
        f"SPARKIFY_MIN_MATCH_RATE: '{text}' is not a number from 0 to 1 (environment variable)"
    )


# Links to the code


def test_code_url(load: Load) -> None:
    url = "https://github.com/org/repo/tree/main"
    assert load(SPARKIFY_CODE_URL=url).code_url == url


@pytest.mark.parametrize("text", ["github.com/org/repo", "/src/repo", "https://user:hunter2@github.com/org/repo"])
def test_wrong_code_url(error: Error, text: str) -> None:
    message = error(SPARKIFY_CODE_URL=text)
    assert message.startswith("SPARKIFY_CODE_URL: ")
    assert "is not a URL like https://" in message
    assert "hunter2" not in message


# AWS


def test_aws_endpoint_and_region_and_which_name_wins(load: Load) -> None:
    settings = load(AWS_ENDPOINT_URL="http://localhost:8333", AWS_DEFAULT_REGION="eu-west-1")
    assert (settings.aws_endpoint_url, settings.aws_region) == ("http://localhost:8333", "eu-west-1")
    settings = load(
        AWS_ENDPOINT_URL="http://other",
        AWS_ENDPOINT_URL_S3="https://s3.example.com",
        AWS_DEFAULT_REGION="eu-west-1",
        AWS_REGION="us-west-2",
    )
    assert (settings.aws_endpoint_url, settings.aws_region) == ("https://s3.example.com", "us-west-2")


@pytest.mark.parametrize("text", ["localhost:8333", "http://", "http://user:hunter2@host"])
def test_wrong_endpoint(error: Error, text: str) -> None:
    message = error(AWS_ENDPOINT_URL=text)
    assert message.startswith("AWS_ENDPOINT_URL: ")
    assert "hunter2" not in message


def test_fallback_credentials(load: Load) -> None:
    settings = load("[AWS]\nACCESS_KEY=one\nSECRET_KEY='two'\n")
    assert (settings.dwh_access_key, settings.dwh_secret_key) == (Secret("one"), Secret("two"))


def test_fallback_credentials_by_the_original_s_names(load: Load, error: Error) -> None:
    settings = load("[AWS]\nKEY=one\nSECRET='two'\n")
    assert (settings.dwh_access_key, settings.dwh_secret_key) == (Secret("one"), Secret("two"))
    assert load("[AWS]\nKEY=\nSECRET=\n") == Settings()
    assert load("[AWS]\nKEY=one\nACCESS_KEY=two\nSECRET=three").dwh_access_key == Secret("two")
    assert error("[AWS]\nKEY=one\n") == "[AWS] SECRET_KEY: missing, but [AWS] KEY is given (dwh.cfg)"
    assert error("[AWS]\nKEY=<key>\n").startswith("[AWS] KEY: *** is a placeholder")


def test_fallback_credentials_are_both_or_neither(error: Error) -> None:
    assert error("[AWS]\nACCESS_KEY=one\n") == "[AWS] SECRET_KEY: missing, but [AWS] ACCESS_KEY is given (dwh.cfg)"
    assert error("[AWS]\nSECRET_KEY=one\n") == "[AWS] ACCESS_KEY: missing, but [AWS] SECRET_KEY is given (dwh.cfg)"


def test_fallback_credentials_are_not_read_where_the_environment_has_some(load: Load) -> None:
    settings = load("[AWS]\nACCESS_KEY=<key>\n", AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="y")
    assert settings.dwh_access_key is settings.dwh_secret_key is None


# Secrets


def test_secrets_are_shown_as_three_stars(load: Load) -> None:
    settings = load(CLUSTER + "[AWS]\nACCESS_KEY=hunter1\nSECRET_KEY=hunter2\n")
    assert str(settings.dwh_secret_key) == "***"
    assert "***" in repr(settings.dwh_secret_key)
    assert "awsuser:***@" in str(settings.warehouse)
    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "awsuser:***@cluster" in shown
        assert "hunter" not in shown
        assert "w0rd" not in shown
    assert repr(settings).count("'***'") == 2


@pytest.mark.parametrize("key", ["CLUSTER DB_PASSWORD", "AWS ACCESS_KEY", "AWS SECRET_KEY"])
def test_placeholder_of_a_secret_is_not_shown(error: Error, key: str) -> None:
    section, name = key.split()
    other = "ACCESS_KEY=x" if name == "SECRET_KEY" else ""
    assert error(f"[{section}]\n{name}=<hunter2>\n{other}\n") == (
        f"[{section}] {name}: *** is a placeholder, fill it in or delete the line (dwh.cfg, line 2)"
    )


# Several errors, the table and the example


def test_first_of_several_errors_is_always_the_same(error: Error) -> None:
    wrong = {"SPARKIFY_MIN_MATCH_RATE": "x", "SPARKIFY_LOG_START": "x", "SPARKIFY_WAREHOUSE": "x"}
    assert error(**wrong) == error(**dict(reversed(wrong.items())))
    assert error(**wrong).startswith("SPARKIFY_WAREHOUSE: ")


def test_table_has_one_row_for_each_key() -> None:
    head, rule, *rows = settings_table().splitlines()
    assert head == "| Environment variable | dwh.cfg | Meaning | Default |"
    assert rule == "| --- | --- | --- | --- |"
    assert len(rows) == len(KEYS)
    assert all(row.count("|") == 5 for row in rows)
    assert "| `SPARKIFY_SONG_DATA` | `[S3] SONG_DATA` | Location of the song files. |" in settings_table()


def filled_in(example: str) -> str:
    """The example after somebody has removed the # in front of each setting."""
    return re.sub(r"(?m)^#(?=[A-Z_]+=)", "", example)


def test_table_names_every_key_of_the_example() -> None:
    section, named = "", 0
    for line in filled_in(EXAMPLE.read_text()).splitlines():
        if line.startswith("["):
            section = line
        elif line and not line.startswith("#"):
            assert f"`{section} {line.partition('=')[0]}`" in settings_table()
            named += 1
    assert named == 14


def test_example_as_it_is_sets_nothing(load: Load) -> None:
    assert load(EXAMPLE.read_text()) == load()


def test_example_with_every_line_in_force_asks_for_its_first_placeholder(error: Error) -> None:
    message = error(filled_in(EXAMPLE.read_text()))
    assert message.startswith("[CLUSTER] HOST: '<cluster endpoint>' is a placeholder")


def test_example_with_its_placeholders_deleted(load: Load) -> None:
    settings = load(re.sub(r"(?m)^.*=<.*\n", "", filled_in(EXAMPLE.read_text())))
    assert settings.warehouse == Settings().warehouse
    assert settings.log_data == "s3://udacity-dend/log_data"
    assert settings.log_jsonpath == "s3://udacity-dend/log_json_path.json"
    assert settings.song_data == "s3://udacity-dend/song_data"
