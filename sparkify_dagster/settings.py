"""Every setting of the project: one frozen object, read from environment variables and `dwh.cfg`.

`KEYS` is the only place where a setting's names, parser, default and meaning are written down. `Settings.load` reads
through it and `settings_table` prints it, so the documentation cannot say something else than the loader does.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, NoReturn, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, PlainSerializer, SecretStr
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

T = TypeVar("T")

DRIVER_OF_BACKEND = {"duckdb": "duckdb", "postgresql": "postgresql+psycopg2", "redshift": "redshift+psycopg2"}
REDSHIFT_PORT = 5439
TRUE = ("1", "true", "yes", "on")


class SettingsError(ValueError):
    """A wrong or missing setting. Its text is one line: the key, what is wrong, and where it was read."""


class Secret(SecretStr):
    """A secret which is displayed as `***`, as SQLAlchemy displays the password in a URL."""

    def _display(self) -> str:
        return "***"


# A parser's ValueError completes the sentence "<value> ...", so it never has to repeat the value, which may be secret.


def parser_of(pattern: str, problem: str, convert: Callable[[str], T]) -> Callable[[str], T]:
    def parse(text: str) -> T:
        if re.fullmatch(pattern, text):
            with suppress(ValueError):
                return convert(text)
        raise ValueError(problem)

    return parse


# The patterns are narrower than int, float and fromisoformat, which also take 1_000, nan and 2018-W44-4.
parse_count = parser_of(r"[0-9]{1,18}", "is not a whole number of 0 or more", int)
parse_rate = parser_of(r"0|1|1\.0*|0?\.[0-9]+", "is not a number from 0 to 1", float)
parse_date = parser_of(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "is not a date like 2018-11-01", date.fromisoformat)
parse_role = parser_of(
    r"arn:aws[a-z-]*:iam::[0-9]+:role/[^\s'\"]+", "is not an ARN like arn:aws:iam::123456789012:role/name", str
)
parse_http_url = parser_of(
    r"https?://[^/@\s]+(/[^@\s]*)?", "is not a URL like https://host:port without user and password", str
)


parse_flag = parser_of(
    r"(?i)1|true|yes|on|0|false|no|off", "is neither true nor false", lambda text: text.lower() in TRUE
)


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


def parse_location(text: str) -> str:
    url = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]+):(/.*)", text)
    if url is None:
        return str(Path(text))
    scheme, rest = url[1].lower(), url[2]
    if scheme == "s3":
        if not re.match(r"//[A-Za-z0-9][A-Za-z0-9._-]*(/|$)", rest):
            raise ValueError("names no bucket: s3://bucket/prefix is expected")
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
    return parse_location(text)


def parse_warehouse(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("is not a SQLAlchemy URL like duckdb:///path/warehouse.duckdb") from None
    backend = url.get_backend_name()
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
    # A driver is always named, since SQLAlchemy's own choice for postgresql:// is not psycopg2 any more.
    return url.set(drivername=driver)


@dataclass(frozen=True)
class Key(Generic[T]):
    """One setting: where it is written, how its text is understood, and what it means."""

    meaning: str
    parse: Callable[[str], T]
    env: tuple[str, ...] = ()
    """The first that is not empty wins. One that is set, even to nothing, hides what dwh.cfg says."""
    cfg: tuple[str, str] | None = None
    default: T | None = None
    default_note: str = ""
    secret: bool = False

    @property
    def cfg_name(self) -> str:
        return f"[{self.cfg[0]}] {self.cfg[1]}" if self.cfg else ""


# fmt: off
CONFIG = Key("File to read instead of `dwh.cfg` in the working directory. Set but empty: no file is read.",
             Path, ("SPARKIFY_CONFIG",), default=Path("dwh.cfg"))
WAREHOUSE = Key("SQLAlchemy URL of the warehouse: duckdb, postgresql or redshift. It is used instead of the cluster "
                "in `dwh.cfg`.", parse_warehouse, ("SPARKIFY_WAREHOUSE",), secret=True,
                default=make_url("duckdb:///.sparkify/warehouse.duckdb"),
                default_note="the cluster in `dwh.cfg`, else `duckdb:///.sparkify/warehouse.duckdb`")
HOST = Key("Host of the Redshift cluster; its endpoint `host:port/database` will do.", parse_endpoint,
           cfg=("CLUSTER", "HOST"))
DB_NAME = Key("Database of the cluster; wins over the one in HOST.", str, cfg=("CLUSTER", "DB_NAME"))
DB_USER = Key("User of the database. Without one, the user that AWS gives to the IAM identity.", str,
              cfg=("CLUSTER", "DB_USER"))
DB_PASSWORD = Key("Password of DB_USER. Without one, temporary credentials are fetched for every connection.", Secret,
                  cfg=("CLUSTER", "DB_PASSWORD"), secret=True)
DB_PORT = Key("Port of the cluster; wins over the one in HOST.", parse_port, cfg=("CLUSTER", "DB_PORT"),
              default_note=f"`{REDSHIFT_PORT}`")
DB_REGION = Key("AWS region of the cluster.", str, cfg=("CLUSTER", "DB_REGION"))
CLUSTER_IDENTIFIER = Key("Name of the cluster, whose host is looked up where HOST is not given.", str,
                         cfg=("CLUSTER", "CLUSTER_IDENTIFIER"))
IAM_ROLE = Key("Role by which Redshift reads from S3, or a chain of them with commas and no blanks.", parse_role,
               cfg=("IAM_ROLE", "ARN"), default_note="the cluster's default role")
WAREHOUSE_SECRET = Key("Name or ARN of the secret in AWS Secrets Manager that holds user and password of the "
                       "warehouse, as the one that Redshift manages does.", str, ("SPARKIFY_WAREHOUSE_SECRET",))
STAGING = Key("Where manifests and copies lie while Redshift's COPY reads them: `s3://bucket/prefix`. Redshift only.",
              parse_s3_location, ("SPARKIFY_STAGING",))
TRUSTED_LOGS = Key("Whether Redshift is to read log files that nobody has inspected (true or false): for logs too "
                   "large to be read twice, that hold no event twice.", parse_flag, ("SPARKIFY_TRUSTED_LOGS",),
                   default=False)
STATEMENT_TIMEOUT = Key("Seconds after which Redshift gives up a statement, waiting included; 0 means never.",
                        parse_count, ("SPARKIFY_STATEMENT_TIMEOUT",), default=3600)
LOG_DATA = Key("Where the event logs lie: `s3://bucket/prefix`, `file:///path` or a local path. A simulated source is "
               "used where neither they nor the song files are given.",
               parse_location, ("SPARKIFY_LOG_DATA",), ("S3", "LOG_DATA"), ".sparkify/simulated/log_data")
LOG_JSONPATH = Key("Where the JSONPaths file of the event logs lies.",
                   parse_location, ("SPARKIFY_LOG_JSONPATH",), ("S3", "LOG_JSONPATH"),
                   ".sparkify/simulated/log_json_path.json",
                   "none; for the simulated source `.sparkify/simulated/log_json_path.json`")
SONG_DATA = Key("Where the song files lie.",
                parse_location, ("SPARKIFY_SONG_DATA",), ("S3", "SONG_DATA"), ".sparkify/simulated/song_data")
LOG_START = Key("First day of the event logs (ISO date).", parse_date, ("SPARKIFY_LOG_START",),
                default=date(2018, 11, 1))
LOG_END = Key("Day after the last day of the event logs (ISO date). Set but empty: the logs have no end.", parse_date,
              ("SPARKIFY_LOG_END",), None, date(2018, 12, 1), "`2018-12-01`; none where SPARKIFY_LOG_START is set")
MAX_LOAD_ERRORS = Key("Broken records that one load tolerates (count).", parse_count, ("SPARKIFY_MAX_LOAD_ERRORS",),
                      default=100)
MIN_MATCH_RATE = Key("Least share of the song plays that have to match a song (0 to 1).", parse_rate,
                     ("SPARKIFY_MIN_MATCH_RATE",), default=0.0)
AWS_ENDPOINT_URL = Key("Endpoint of an S3 which is not Amazon's; the first that is set wins.", parse_http_url,
                       ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
AWS_REGION = Key("AWS region; the first that is set wins.", str, ("AWS_REGION", "AWS_DEFAULT_REGION"))
ACCESS_KEY = Key("Access key for where AWS's own chain (environment, profile, role) finds none. Not read where "
                 "AWS_ACCESS_KEY_ID is set.", Secret, cfg=("AWS", "ACCESS_KEY"), secret=True)
SECRET_KEY = Key("Secret key that belongs to ACCESS_KEY.", Secret, cfg=("AWS", "SECRET_KEY"), secret=True)
# fmt: on

KEYS: tuple[Key[Any], ...] = (
    *(CONFIG, WAREHOUSE, HOST, DB_NAME, DB_USER, DB_PASSWORD, DB_PORT, DB_REGION, CLUSTER_IDENTIFIER, IAM_ROLE),
    *(WAREHOUSE_SECRET, STAGING, TRUSTED_LOGS, STATEMENT_TIMEOUT),
    *(LOG_DATA, LOG_JSONPATH, SONG_DATA, LOG_START, LOG_END, MAX_LOAD_ERRORS, MIN_MATCH_RATE),
    *(AWS_ENDPOINT_URL, AWS_REGION, ACCESS_KEY, SECRET_KEY),
)


def settings_table() -> str:
    """The README's table of settings, in Markdown."""
    rows = ["| Environment variable | dwh.cfg | Meaning | Default |", "| --- | --- | --- | --- |"]
    for key in KEYS:
        names = ", ".join(f"`{name}`" for name in key.env)
        cfg_name = f"`{key.cfg_name}`" if key.cfg else ""
        default = key.default_note or ("none" if key.default is None else f"`{key.default}`")
        rows.append(f"| {names} | {cfg_name} | {key.meaning} | {default} |")
    return "\n".join(rows) + "\n"


def _field(key: Key[Any]) -> Any:
    return Field(key.default, description=key.meaning)


class Settings(BaseModel):
    """What the environment and `dwh.cfg` say, checked. Settings() is what holds where they say nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # URL is a named tuple, which pydantic would otherwise take apart and dump with its password.
    warehouse: Annotated[InstanceOf[URL], PlainSerializer(str)] = _field(WAREHOUSE)
    cluster_identifier: str | None = _field(CLUSTER_IDENTIFIER)
    cluster_region: str | None = _field(DB_REGION)
    iam_role_arn: str | None = _field(IAM_ROLE)
    warehouse_secret: str | None = _field(WAREHOUSE_SECRET)
    staging: str | None = _field(STAGING)
    trusted_logs: bool = _field(TRUSTED_LOGS)
    statement_timeout: int = _field(STATEMENT_TIMEOUT)
    log_data: str = _field(LOG_DATA)
    log_jsonpath: str | None = _field(LOG_JSONPATH)
    song_data: str = _field(SONG_DATA)
    log_start: date = _field(LOG_START)
    log_end: date | None = _field(LOG_END)
    max_load_errors: int = _field(MAX_LOAD_ERRORS)
    min_match_rate: float = _field(MIN_MATCH_RATE)
    aws_endpoint_url: str | None = _field(AWS_ENDPOINT_URL)
    aws_region: str | None = _field(AWS_REGION)
    dwh_access_key: Secret | None = _field(ACCESS_KEY)
    dwh_secret_key: Secret | None = _field(SECRET_KEY)

    @property
    def simulates_source(self) -> bool:
        return (self.log_data, self.song_data) == (LOG_DATA.default, SONG_DATA.default)

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, folder: Path | None = None) -> Settings:
        """The settings, or a SettingsError for the first wrong one. `folder` is where `dwh.cfg` is looked for."""
        reader = _Reader(environ, _find_config_file(environ, folder or Path()))
        fields = _read_warehouse(reader) | _read_source(reader) | _read_log_days(reader)
        fields |= {"max_load_errors": reader.read(MAX_LOAD_ERRORS), "min_match_rate": reader.read(MIN_MATCH_RATE)}
        fields |= {"aws_endpoint_url": reader.read(AWS_ENDPOINT_URL), "aws_region": reader.read(AWS_REGION)}
        return cls(**fields, **_read_fallback_credentials(reader))


@dataclass(frozen=True)
class _ConfigFile:
    """The values and line numbers of `dwh.cfg`, by section and key in small letters."""

    shown_path: str
    values: dict[tuple[str, str], str] = field(default_factory=dict)
    lines: dict[tuple[str, str], int] = field(default_factory=dict)


class _Found(NamedTuple):
    text: str
    name: str
    where: str


@dataclass(frozen=True)
class _Reader:
    """Gives each key's value, and knows where it came from."""

    environ: Mapping[str, str]
    file: _ConfigFile

    def in_environment(self, key: Key[Any]) -> bool:
        return any(name in self.environ for name in key.env)

    def find(self, key: Key[Any]) -> _Found | None:
        for name in key.env:
            if text := self.environ.get(name, "").strip():
                return _Found(text, name, "environment variable")
        if self.in_environment(key) or key.cfg is None:
            return None
        text = self.file.values.get(_place(*key.cfg), "")
        return _Found(text, key.cfg_name, self._place_in_file(key)) if text else None

    def read(self, key: Key[T]) -> T | None:
        found = self.find(key)
        if found is None:
            return key.default
        # With an '@' it may be user:password@host or s3://key:secret@bucket, whatever the key is meant for.
        shown = "***" if key.secret or "@" in found.text else repr(found.text)
        if found.name == key.cfg_name:
            # A password may well contain <a>, but a host or an ARN that does is still the example's.
            search = re.fullmatch if key.secret else re.search
            if search(r"<[^<>]+>", found.text):
                self.fail(key, f"{shown} is a placeholder, fill it in or delete the line")
            if "\n" in found.text:
                self.fail(key, "goes on in the next line, because that is indented")
        try:
            return key.parse(found.text)
        except ValueError as error:
            problem = f"{shown} {error}"
        self.fail(key, problem)

    def require(self, key: Key[T], needed_by: Key[Any]) -> T:
        value = self.read(key) if self.find(key) else None
        if value is None:
            needing = self.find(needed_by)
            self.fail(key, f"missing, but {needing.name if needing else needed_by.cfg_name} is given")
        return value

    def fail(self, key: Key[Any], problem: str) -> NoReturn:
        if found := self.find(key):
            name, where = found.name, found.where
        elif self.in_environment(key):
            name, where = key.env[0], "environment variable"
        else:
            name = " or ".join([*key.env[:1], key.cfg_name])
            where = " or ".join([*("environment variable" for _ in key.env[:1]), self._place_in_file(key)])
        raise SettingsError(f"{name}: {problem} ({where})")

    def _place_in_file(self, key: Key[Any]) -> str:
        line = self.file.lines.get(_place(*key.cfg)) if key.cfg else None
        return f"{self.file.shown_path}, line {line}" if line else self.file.shown_path


def _read_warehouse(reader: _Reader) -> dict[str, Any]:
    warehouse = reader.read(WAREHOUSE)
    if not reader.in_environment(WAREHOUSE):
        warehouse = _read_cluster_url(reader) or warehouse
    elif warehouse is None or warehouse.get_backend_name() != "redshift":
        return {"warehouse": warehouse}
    elif not (warehouse.host or "host" in warehouse.query or reader.read(CLUSTER_IDENTIFIER)):
        reader.fail(WAREHOUSE, f"*** names no host, and {CLUSTER_IDENTIFIER.cfg_name} is not given either")
    return {
        "warehouse": warehouse,
        "cluster_region": reader.read(DB_REGION),
        "cluster_identifier": reader.read(CLUSTER_IDENTIFIER),
        "iam_role_arn": reader.read(IAM_ROLE),
        "warehouse_secret": reader.read(WAREHOUSE_SECRET),
        "staging": reader.read(STAGING),
        "trusted_logs": reader.read(TRUSTED_LOGS),
        "statement_timeout": reader.read(STATEMENT_TIMEOUT),
    }


def _read_cluster_url(reader: _Reader) -> URL | None:
    endpoint = reader.read(HOST)
    # All are read before anything is decided, so that a placeholder is reported even where it is not needed yet.
    database, port, identifier = reader.read(DB_NAME), reader.read(DB_PORT), reader.read(CLUSTER_IDENTIFIER)
    user, password = reader.read(DB_USER), reader.read(DB_PASSWORD)
    if endpoint is None and identifier is None:
        return None
    needed_by = HOST if endpoint else CLUSTER_IDENTIFIER
    host, endpoint_port, endpoint_database = endpoint or (None, None, None)
    return URL.create(
        DRIVER_OF_BACKEND["redshift"],
        database=database or endpoint_database or reader.require(DB_NAME, needed_by),
        username=reader.require(DB_USER, DB_PASSWORD) if password else user,
        password=password.get_secret_value() if password else None,
        host=host,
        # A host that is looked up brings its port along.
        port=port or endpoint_port or (REDSHIFT_PORT if host else None),
    )


def _read_source(reader: _Reader) -> dict[str, Any]:
    if reader.find(LOG_DATA) or reader.find(SONG_DATA):
        return {
            "log_data": reader.require(LOG_DATA, SONG_DATA),
            "log_jsonpath": reader.read(LOG_JSONPATH) if reader.find(LOG_JSONPATH) else None,
            "song_data": reader.require(SONG_DATA, LOG_DATA),
        }
    return {"log_jsonpath": reader.read(LOG_JSONPATH)}


def _read_log_days(reader: _Reader) -> dict[str, Any]:
    start, end = reader.read(LOG_START), reader.read(LOG_END)
    if not reader.find(LOG_END) and (reader.find(LOG_START) or reader.in_environment(LOG_END)):
        end = None
    if start and end and end <= start:
        reader.fail(LOG_END, f"'{end}' is not after '{start}', the first day")
    return {"log_start": start, "log_end": end}


def _read_fallback_credentials(reader: _Reader) -> dict[str, Any]:
    if "AWS_ACCESS_KEY_ID" in reader.environ or not (reader.find(ACCESS_KEY) or reader.find(SECRET_KEY)):
        return {}
    access_key = reader.require(ACCESS_KEY, SECRET_KEY)
    return {"dwh_access_key": access_key, "dwh_secret_key": reader.require(SECRET_KEY, ACCESS_KEY)}


def _find_config_file(environ: Mapping[str, str], folder: Path) -> _ConfigFile:
    reader = _Reader(environ, _ConfigFile(str(CONFIG.default)))
    path, named = folder / (reader.read(CONFIG) or ""), reader.find(CONFIG)
    if named is None and (reader.in_environment(CONFIG) or not path.exists()):
        return reader.file
    shown_path = named.text if named else reader.file.shown_path
    try:
        # utf-8-sig, because Windows' editors begin a file with a byte order mark.
        return _parse_config_file(shown_path, path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        reader.fail(CONFIG, f"'{shown_path}' does not exist")
    except OSError as error:
        raise SettingsError(f"{shown_path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{shown_path}: is not UTF-8 text") from None


def _parse_config_file(shown_path: str, text: str) -> _ConfigFile:
    parser = configparser.RawConfigParser(default_section="")
    try:
        # In capitals, so that [s3] is [S3], and both in one file are a section that is there twice.
        parser.read_string(re.sub(r"(?m)^\s*\[.+\]", lambda header: header[0].upper(), text))
    except (configparser.DuplicateOptionError, configparser.DuplicateSectionError) as error:
        raise SettingsError(f"{shown_path}, line {error.lineno}: a section or key is there twice") from None
    except configparser.ParsingError as error:
        # configparser's own text repeats the line, which may hold a secret.
        line = getattr(error, "lineno", None) or error.errors[0][0]
        raise SettingsError(f"{shown_path}, line {line}: is neither [SECTION] nor KEY = value") from None
    file = _ConfigFile(shown_path)
    for section in parser.sections():
        for option, value in parser.items(section):
            file.values[_place(section, option)] = re.sub(r"""^(['"])(.*)\1$""", r"\2", value, flags=re.DOTALL)
    section = ""
    for number, line_text in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[(.+)\]", line_text):
            section = header[1]
        elif option_text := re.match(r"\s*([^=:#;\s][^=:]*)[=:]", line_text):
            file.lines.setdefault(_place(section, option_text[1]), number)
    return file


def _place(section: str, option: str) -> tuple[str, str]:
    return section.strip().lower(), option.strip().lower()
