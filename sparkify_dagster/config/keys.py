"""The settings' keys: the one place that defines each setting's names, parser, default and meaning.

Settings.load reads through KEYS and settings_table prints them, so the documentation agrees with the loader.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import unquote

from pydantic import SecretStr
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from sparkify_dagster import batches
from sparkify_dagster.runtime.errors import SparkifyError

T = TypeVar("T")

DRIVER_OF_BACKEND = {"duckdb": "duckdb", "postgresql": "postgresql+psycopg2", "redshift": "redshift+psycopg2"}
REDSHIFT_PORT = 5439
# Dagster lists a partition for each day from the first one on, and needs another day after the last.
MIN_LOG_DAY, MAX_LOG_DAY = date(1970, 1, 1), date(9999, 12, 30)
TRUE = ("1", "true", "yes", "on")


class SettingsError(SparkifyError):
    """A wrong or missing setting. The message has the key, the problem, and where it was read."""


class Secret(SecretStr):
    """A secret that is displayed as `***`, as SQLAlchemy displays the password in a URL."""

    def _display(self) -> str:
        return "***"


# A parser's ValueError completes the sentence "<value> ...", so it never has to repeat the value, which may be secret.


def value_parser(pattern: str, problem: str, convert: Callable[[str], T]) -> Callable[[str], T]:
    def parse(text: str) -> T:
        if re.fullmatch(pattern, text):
            with suppress(ValueError):
                return convert(text)
        raise ValueError(problem)

    return parse


# The patterns are narrower than int, float and fromisoformat, which also take 1_000, nan and 2018-W44-4.
parse_count = value_parser(r"[0-9]{1,18}", "is not a whole number of 0 or more", int)
parse_rate = value_parser(r"0|1|1\.0*|0?\.[0-9]+", "is not a number from 0 to 1", float)
parse_date = value_parser(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "is not a date like 2018-11-01", date.fromisoformat)
parse_role = value_parser(
    r"arn:aws[a-z-]*:iam::[0-9]+:role/[^\s'\"]+", "is not an ARN like arn:aws:iam::123456789012:role/name", str
)
parse_http_url = value_parser(
    r"https?://[^/@\s]+(/[^@\s]*)?", "is not a URL like https://host:port without user and password", str
)


parse_flag = value_parser(
    r"(?i)1|true|yes|on|0|false|no|off", "is neither true nor false", lambda text: text.lower() in TRUE
)


def parse_webhook(text: str) -> Secret:
    if not re.fullmatch(r"https?://[^/\s]+(/\S*)?", text):
        raise ValueError("is not a URL like https://host/path")
    return Secret(text)


def parse_port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError("is not a port number")
    return int(text)


def parse_endpoint(text: str) -> tuple[str, int | None, str | None]:
    parts = re.fullmatch(r"([A-Za-z0-9._-]+)(?::([0-9]+))?(?:/([^/]*))?", text)
    if parts is None:
        raise ValueError("is not a host, nor an endpoint like host:5439/dev")
    host, port, database = parts.groups()
    return host, parse_port(port) if port else None, database or None


def parse_first_day(text: str) -> date:
    day = parse_date(text)
    if not MIN_LOG_DAY <= day <= MAX_LOG_DAY:
        raise ValueError(f"is no day from {MIN_LOG_DAY} to {MAX_LOG_DAY}: name the first day that has a log file")
    return day


def parse_location(text: str) -> str:
    url = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]+):(/.*)", text)
    if url is None:
        return str(expand_home(text))
    scheme, rest = url[1].lower(), url[2]
    if scheme == "s3":
        if not re.match(r"//[A-Za-z0-9][A-Za-z0-9._-]*(/|$)", rest):
            raise ValueError("names no bucket: s3://bucket/prefix is expected")
        if re.search(r"[*?]", rest):
            raise ValueError(
                "has a * or ?, and is no pattern: end it before that folder; everything below s3://bucket/prefix is "
                "listed"
            )
        return "s3:" + rest.rstrip("/")
    if scheme != "file":
        raise ValueError("is neither s3://bucket/prefix, nor file:///path, nor a local path")
    absolute = re.fullmatch(r"//(?:localhost)?(/.*)", rest)
    if absolute is None:
        raise ValueError("is not the URL of an absolute path like file:///data/logs")
    return str(Path(unquote(absolute[1])))


def parse_s3_location(text: str) -> str:
    if not text.startswith("s3://"):
        raise ValueError("is not s3://bucket/prefix")
    location = parse_location(text)
    if not {"", ".", ".."}.isdisjoint(location.split("/")[3:]):
        raise ValueError("has an empty folder, '.' or '..' in it, where nothing can be written")
    return location


def parse_report(text: str) -> str:
    """Parses the location of one file: a path, a file:// URL or s3://bucket/key."""
    location = parse_s3_location(text) if text.lower().startswith("s3:") else parse_location(text)
    if text.endswith("/") or (location.startswith("s3://") and location.count("/") < 3):
        raise ValueError("is not the name of a file such as report.html or s3://bucket/report.html")
    return location


def expand_home(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError("begins with a ~ for which there is no home folder: write the whole path") from None


def parse_warehouse(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("is not a SQLAlchemy URL like duckdb:///path/warehouse.duckdb") from None
    backend = url.get_backend_name()
    if backend == "postgres":
        raise ValueError("begins with postgres:// as some tools write it: write postgresql://")
    driver = DRIVER_OF_BACKEND.get(backend)
    if driver is None or url.drivername not in (backend, driver):
        raise ValueError(f"is not a URL of {', '.join(DRIVER_OF_BACKEND.values())}")
    if backend == "duckdb" and url.host:
        raise ValueError("has a host, but the URL of a DuckDB file has three slashes: duckdb:///path")
    # SQLAlchemy hides the password only, so a piece of it that is taken for something else would be printed.
    if backend != "duckdb" and "@" in f"{url.host}{url.database}":
        raise ValueError("has an '@' too many: in a password it is written %40, and '/' is written %2F")
    if any(re.search("password|secret|token", name, re.IGNORECASE) for name in url.query):
        raise ValueError("has a secret after its '?', where it would be printed: user:password@host is its place")
    if url.port is not None:
        parse_port(str(url.port))
    if backend == "duckdb" and url.database and url.database.startswith("~"):
        url = url.set(database=str(expand_home(url.database)))
    # A driver is always named, since SQLAlchemy's own choice for postgresql:// is not psycopg2 any more.
    return url.set(drivername=driver)


def parse_schema(text: str) -> str:
    if not re.fullmatch("[a-z_][a-z0-9_]*", text) or text in ("staging", "analytics"):
        raise ValueError("must be a name in lower case, without blanks, and neither staging nor analytics")
    return text


@dataclass(frozen=True)
class Key(Generic[T]):
    """One setting: its names, the parser of its text, its default and its meaning."""

    meaning: str
    parse: Callable[[str], T]
    env: tuple[str, ...] = ()
    """The first one that is not empty wins. One that is set, even to an empty text, overrides dwh.cfg."""
    cfg: tuple[str, str] | None = None
    default: T | None = None
    default_note: str = ""
    secret: bool = False
    cfg_alias: str = ""
    """Another name of the key in the same section, read if the first one has no value."""

    @property
    def cfg_name(self) -> str:
        return f"[{self.cfg[0]}] {self.cfg[1]}" if self.cfg else ""

    @property
    def cfg_names(self) -> tuple[tuple[str, str], ...]:
        """Returns the section and key of each of its names in dwh.cfg, in order of precedence."""
        if self.cfg is None:
            return ()
        return (self.cfg, (self.cfg[0], self.cfg_alias)) if self.cfg_alias else (self.cfg,)


# fmt: off
CONFIG = Key("File to read instead of `dwh.cfg` in the working directory. Set but empty: no file is read.",
             Path, ("SPARKIFY_CONFIG",), default=Path("dwh.cfg"))
WAREHOUSE = Key("SQLAlchemy URL of the warehouse: duckdb, postgresql or redshift. Overrides the cluster in `dwh.cfg`.",
                parse_warehouse, ("SPARKIFY_WAREHOUSE",), secret=True,
                default=make_url("duckdb:///.sparkify/warehouse.duckdb"),
                default_note="the cluster in `dwh.cfg`, else `duckdb:///.sparkify/warehouse.duckdb`")
STAR_SCHEMA = Key("Schema of the star's tables on PostgreSQL and Redshift. It is created if it is missing.",
                  parse_schema, ("SPARKIFY_STAR_SCHEMA",), default_note="the user's default schema, usually `public`")
HOST = Key("Host of the Redshift cluster, or its endpoint `host:port/database`.", parse_endpoint,
           cfg=("CLUSTER", "HOST"))
DB_NAME = Key("Database of the cluster. Overrides the one in HOST.", str, cfg=("CLUSTER", "DB_NAME"))
DB_USER = Key("Database user. Without one, the user that AWS assigns to the IAM identity.", str,
              cfg=("CLUSTER", "DB_USER"))
DB_PASSWORD = Key("Password of DB_USER. Without one, temporary credentials are fetched for every connection.", Secret,
                  cfg=("CLUSTER", "DB_PASSWORD"), secret=True)
DB_PORT = Key("Port of the cluster. Overrides the one in HOST.", parse_port, cfg=("CLUSTER", "DB_PORT"),
              default_note=f"`{REDSHIFT_PORT}`")
DB_REGION = Key("AWS region of the cluster.", str, cfg=("CLUSTER", "DB_REGION"))
CLUSTER_IDENTIFIER = Key("Name of the cluster. AWS provides the host if HOST is not set.", str,
                         cfg=("CLUSTER", "CLUSTER_IDENTIFIER"))
WORKGROUP = Key("Workgroup of Redshift Serverless, for temporary credentials where HOST does not name it: a managed "
                "VPC endpoint, or a name of your own.", str, cfg=("CLUSTER", "WORKGROUP"),
                default_note="the first part of a workgroup's own HOST")
IAM_ROLE = Key("Role by which Redshift reads from S3, or a comma-separated chain of roles, no spaces.", parse_role,
               cfg=("IAM_ROLE", "ARN"), default_note="the cluster's default role")
WAREHOUSE_SECRET = Key("Name or ARN of the AWS Secrets Manager secret with user and password of the warehouse, in the "
                       "form of those that Redshift manages.", str, ("SPARKIFY_WAREHOUSE_SECRET",))
COPY_STAGING = Key("Location for the temporary manifests and files that Redshift's COPY reads: `s3://bucket/prefix`. "
                   "Redshift only.", parse_s3_location, ("SPARKIFY_COPY_STAGING",))
COPY_FIRST = Key("Let Redshift's COPY read log files first, and inspect only days of which it is not certain (true or "
                 "false): for logs too large to be read twice.", parse_flag, ("SPARKIFY_COPY_FIRST",), default=False)
STATEMENT_TIMEOUT = Key("Statement timeout of Redshift in seconds, without the time spent waiting for other loads; 0 "
                        "means none.", parse_count, ("SPARKIFY_STATEMENT_TIMEOUT",), default=3600)
LOG_DATA = Key("Location of the event logs: `s3://bucket/prefix`, `file:///path` or a local path. If neither it nor "
               "the location of the song files is set, a source is simulated.",
               parse_location, ("SPARKIFY_LOG_DATA",), ("S3", "LOG_DATA"), ".sparkify/simulated/log_data")
LOG_JSONPATH = Key("Location of the JSONPaths file of the event logs.",
                   parse_location, ("SPARKIFY_LOG_JSONPATH",), ("S3", "LOG_JSONPATH"),
                   ".sparkify/simulated/log_json_path.json",
                   "none; for the simulated source `.sparkify/simulated/log_json_path.json`")
SONG_DATA = Key("Location of the song files.",
                parse_location, ("SPARKIFY_SONG_DATA",), ("S3", "SONG_DATA"), ".sparkify/simulated/song_data")
EXPECTED = Key("Location of expected query results, one `NAME.csv` per query; each query then has a check. "
               "`s3://bucket/prefix`, `file:///path` or a local path.",
               parse_location, ("SPARKIFY_EXPECTED_RESULTS",), default=".sparkify/simulated/expected",
               default_note="none; for the simulated month `.sparkify/simulated/expected`")
REPORT = Key("File of the report, which the asset `report` writes after the queries: `s3://bucket/key`, `file:///path` "
             "or a local path. Set but empty: there is no such asset.",
             parse_report, ("SPARKIFY_REPORT_FILE",), default=".sparkify/report.html")
LOG_START = Key("First day of the event logs (ISO date).", parse_first_day, ("SPARKIFY_LOG_START",),
                default=date(2018, 11, 1))
LOG_END = Key("Day after the last day of the event logs (ISO date). Set but empty: the logs have no end.", parse_date,
              ("SPARKIFY_LOG_END",), None, date(2018, 12, 1), "`2018-12-01`; none if SPARKIFY_LOG_START is set")
MAX_LOAD_ERRORS = Key("Maximum number of rejected records per load.", parse_count, ("SPARKIFY_MAX_LOAD_ERRORS",),
                      default=100)
MAX_INFLATED_BYTES = Key("Maximum size of a compressed file after decompression, in bytes. A larger file is rejected.",
                         parse_count, ("SPARKIFY_MAX_INFLATED_BYTES",), default=batches.MAX_INFLATED_BYTES)
MIN_MATCH_RATE = Key("Minimum share of plays that must match a song (0 to 1).", parse_rate,
                     ("SPARKIFY_MIN_MATCH_RATE",), default=0.0)
ALERT_WEBHOOK = Key("Incoming webhook of Slack, or of a service with the same format, to which the sensor "
                    "`failure_alerts` posts `{\"text\": ...}`. Without one it only logs.", parse_webhook,
                    ("SPARKIFY_ALERT_WEBHOOK",), secret=True)
UI_URL = Key("URL of the Dagster UI, for the links in alerts.", parse_http_url, ("SPARKIFY_UI_URL",),
             default="http://127.0.0.1:3000")
CODE_URL = Key("URL of the repository, for the UI's links from an asset to its code: "
               "`https://github.com/org/repo/tree/main`. Without one they point to the files on this machine.",
               parse_http_url, ("SPARKIFY_CODE_URL",))
AWS_ENDPOINT_URL = Key("Endpoint of an S3 service other than Amazon's. The first variable that is set wins.",
                       parse_http_url, ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
AWS_REGION = Key("AWS region. The first variable that is set wins.", str, ("AWS_REGION", "AWS_DEFAULT_REGION"))
ACCESS_KEY = Key("Access key, used if AWS's own chain (environment, profile, role) has none. Ignored if "
                 "AWS_ACCESS_KEY_ID is set.", Secret, cfg=("AWS", "ACCESS_KEY"), cfg_alias="KEY", secret=True)
SECRET_KEY = Key("Secret key of ACCESS_KEY.", Secret, cfg=("AWS", "SECRET_KEY"), cfg_alias="SECRET", secret=True)
# fmt: on

KEYS: tuple[Key[Any], ...] = (
    *(CONFIG, WAREHOUSE, STAR_SCHEMA),
    *(HOST, DB_NAME, DB_USER, DB_PASSWORD, DB_PORT, DB_REGION, CLUSTER_IDENTIFIER, WORKGROUP, IAM_ROLE),
    *(WAREHOUSE_SECRET, COPY_STAGING, COPY_FIRST, STATEMENT_TIMEOUT),
    *(
        LOG_DATA,
        LOG_JSONPATH,
        SONG_DATA,
        LOG_START,
        LOG_END,
        MAX_LOAD_ERRORS,
        MAX_INFLATED_BYTES,
        MIN_MATCH_RATE,
        EXPECTED,
        REPORT,
    ),
    *(CODE_URL, UI_URL, ALERT_WEBHOOK),
    *(AWS_ENDPOINT_URL, AWS_REGION, ACCESS_KEY, SECRET_KEY),
)

# Variables that infrastructure/dagster.yaml, and the tests on a real cluster, read.
OTHER_VARIABLES = frozenset(
    f"SPARKIFY_{name}"
    for name in ("COMPUTE_LOGS_BUCKET", "HISTORY", "REDSHIFT_ROLE", "REDSHIFT_STAGING", "REDSHIFT_URL")
)


def settings_table() -> str:
    """Returns the table of settings in the documentation, as Markdown."""
    rows = ["| Environment variable | dwh.cfg | Meaning | Default |", "| --- | --- | --- | --- |"]
    for key in KEYS:
        names = ", ".join(f"`{name}`" for name in key.env)
        cfg_name = ", ".join(f"`[{section}] {option}`" for section, option in key.cfg_names)
        default = key.default_note or ("none" if key.default is None else f"`{key.default}`")
        rows.append(f"| {names} | {cfg_name} | {key.meaning} | {default} |")
    return "\n".join(rows) + "\n"
