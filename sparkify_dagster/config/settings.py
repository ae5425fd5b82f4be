"""All settings as one frozen object, read from environment variables and `dwh.cfg`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, PlainSerializer
from sqlalchemy.engine import URL

from sparkify_dagster.config.aws import AwsAccess
from sparkify_dagster.config.dwh_cfg import ConfigFile, parse_config_file, place
from sparkify_dagster.config.keys import (
    ACCESS_KEY,
    ALERT_WEBHOOK,
    AWS_ENDPOINT_URL,
    AWS_REGION,
    CLUSTER_IDENTIFIER,
    CODE_URL,
    CONFIG,
    COPY_FIRST,
    COPY_STAGING,
    DB_NAME,
    DB_PASSWORD,
    DB_PORT,
    DB_REGION,
    DB_USER,
    DRIVER_OF_BACKEND,
    EXPECTED,
    HOST,
    IAM_ROLE,
    LOG_DATA,
    LOG_END,
    LOG_JSONPATH,
    LOG_START,
    MAX_INFLATED_BYTES,
    MAX_LOAD_ERRORS,
    MIN_MATCH_RATE,
    REDSHIFT_PORT,
    REPORT,
    SECRET_KEY,
    SONG_DATA,
    STAR_SCHEMA,
    STATEMENT_TIMEOUT,
    UI_URL,
    WAREHOUSE,
    WAREHOUSE_SECRET,
    WORKGROUP,
    Key,
    Secret,
    SettingsError,
)
from sparkify_dagster.config.unknown_keys import unknown_options, unknown_variables

T = TypeVar("T")


def _field(key: Key[Any]) -> Any:
    return Field(key.default, description=key.meaning)


class Settings(BaseModel):
    """The validated settings. Settings() has the defaults, for an empty environment without `dwh.cfg`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # URL is a named tuple, which pydantic would take apart and dump with its password.
    warehouse: Annotated[InstanceOf[URL], PlainSerializer(str)] = _field(WAREHOUSE)
    star_schema: str | None = _field(STAR_SCHEMA)
    cluster_identifier: str | None = _field(CLUSTER_IDENTIFIER)
    workgroup: str | None = _field(WORKGROUP)
    cluster_region: str | None = _field(DB_REGION)
    iam_role_arn: str | None = _field(IAM_ROLE)
    warehouse_secret: str | None = _field(WAREHOUSE_SECRET)
    copy_staging: str | None = _field(COPY_STAGING)
    copy_first: bool = _field(COPY_FIRST)
    statement_timeout: int = _field(STATEMENT_TIMEOUT)
    log_data: str = _field(LOG_DATA)
    log_jsonpath: str | None = _field(LOG_JSONPATH)
    song_data: str = _field(SONG_DATA)
    log_start: date = _field(LOG_START)
    log_end: date | None = _field(LOG_END)
    max_load_errors: int = _field(MAX_LOAD_ERRORS)
    max_inflated_bytes: int = _field(MAX_INFLATED_BYTES)
    min_match_rate: float = _field(MIN_MATCH_RATE)
    expected: str | None = _field(EXPECTED)
    report: str | None = _field(REPORT)
    alert_webhook: Secret | None = _field(ALERT_WEBHOOK)
    ui_url: str = _field(UI_URL)
    code_url: str | None = _field(CODE_URL)
    aws_endpoint_url: str | None = _field(AWS_ENDPOINT_URL)
    aws_region: str | None = _field(AWS_REGION)
    dwh_access_key: Secret | None = _field(ACCESS_KEY)
    dwh_secret_key: Secret | None = _field(SECRET_KEY)

    @property
    def simulates_source(self) -> bool:
        return (self.log_data, self.song_data) == (LOG_DATA.default, SONG_DATA.default)

    def aws_access(self) -> AwsAccess:
        """Returns the access to AWS; its endpoint is that of S3."""
        access_key, secret_key = self.dwh_access_key, self.dwh_secret_key
        return AwsAccess(
            endpoint_url=self.aws_endpoint_url,
            region=self.aws_region,
            fallback_access_key=access_key.get_secret_value() if access_key else None,
            fallback_secret_key=secret_key.get_secret_value() if secret_key else None,
        )

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, folder: Path | None = None) -> Settings:
        """Reads the settings, with `dwh.cfg` in `folder`. Raises SettingsError for the first wrong one."""
        unknown_variables(environ)
        reader = _Reader(environ, _find_config_file(environ, folder or Path()))
        unknown_options(reader.file)
        fields = _read_warehouse(reader) | _read_source(reader) | _read_log_days(reader) | _read_expected(reader)
        fields |= {"star_schema": reader.read(STAR_SCHEMA)}
        fields |= {"max_load_errors": reader.read(MAX_LOAD_ERRORS), "min_match_rate": reader.read(MIN_MATCH_RATE)}
        fields |= {"max_inflated_bytes": reader.read(MAX_INFLATED_BYTES)}
        fields |= {"alert_webhook": reader.read(ALERT_WEBHOOK), "ui_url": reader.read(UI_URL)}
        fields |= {"report": reader.read(REPORT) if reader.find(REPORT) or not reader.in_environment(REPORT) else None}
        fields |= {"code_url": reader.read(CODE_URL)}
        fields |= {"aws_endpoint_url": reader.read(AWS_ENDPOINT_URL), "aws_region": reader.read(AWS_REGION)}
        return cls(**fields, **_read_fallback_credentials(reader))

    @staticmethod
    def ignored(environ: Mapping[str, str] = os.environ, folder: Path | None = None) -> str:
        """Returns one line that names the unknown variables, sections and keys; empty if there are none.

        Raises SettingsError, as load does, for an unknown name that resembles a known one.
        """
        variables = unknown_variables(environ)
        names = [f"{', '.join(variables)} (environment)"] if variables else []
        file = _find_config_file(environ, folder or Path())
        names += [f"{name} ({file.place_of(line)})" for name, line in unknown_options(file)]
        return f"ignored, since no setting has this name: {', '.join(names)}" if names else ""


class _Found(NamedTuple):
    text: str
    name: str
    where: str
    place: tuple[str, str] | None = None
    """In dwh.cfg; None for an environment variable."""


@dataclass(frozen=True)
class _Reader:
    """Reads the value of a key, and where it came from."""

    environ: Mapping[str, str]
    file: ConfigFile

    def in_environment(self, key: Key[Any]) -> bool:
        return any(name in self.environ for name in key.env)

    def find(self, key: Key[Any]) -> _Found | None:
        for name in key.env:
            if text := self.environ.get(name, "").strip():
                return _Found(text, name, "environment variable")
        if self.in_environment(key):
            return None
        for section, option in key.cfg_names:
            at = place(section, option)
            if text := self.file.values.get(at, ""):
                return _Found(text, f"[{section}] {option}", self.file.place_of(self.file.lines.get(at)), at)
        return None

    def read(self, key: Key[T]) -> T | None:
        found = self.find(key)
        if found is None:
            return key.default
        # With an '@' it may be user:password@host or s3://key:secret@bucket, whatever the key is for.
        shown = "***" if key.secret or "@" in found.text else repr(found.text)
        if found.place:
            # A password may contain <a>, but a host or an ARN with it is still the example's placeholder.
            search = re.fullmatch if key.secret else re.search
            if search(r"<[^<>]+>", found.text):
                self.fail(key, f"{shown} is a placeholder, fill it in or delete the line")
            if "\n" in found.text:
                self.fail(key, "goes on in the next line, because that is indented")
            # A password may begin with these characters, and may hold them.
            comment = r"\s[#;]|^[#;](\s|$)" if key.secret else r"(^|\s)[#;]"
            if found.place not in self.file.quoted and re.search(comment, found.text):
                self.fail(
                    key,
                    f"{shown} has a comment behind it: write the comment on a line of its own, "
                    f"or the value in quotes if the # or ; belongs to it",
                )
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
        return self.file.place_of(self.file.lines.get(place(*key.cfg)) if key.cfg else None)


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
        "workgroup": reader.read(WORKGROUP),
        "iam_role_arn": reader.read(IAM_ROLE),
        "warehouse_secret": reader.read(WAREHOUSE_SECRET),
        "copy_staging": reader.read(COPY_STAGING),
        "copy_first": reader.read(COPY_FIRST),
        "statement_timeout": reader.read(STATEMENT_TIMEOUT),
    }


def _read_cluster_url(reader: _Reader) -> URL | None:
    endpoint = reader.read(HOST)
    # All are read before anything is decided, so that a placeholder is reported even if it is not needed.
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
        # AWS returns the port together with the host.
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


def _read_expected(reader: _Reader) -> dict[str, Any]:
    # The expected results of the simulated month do not apply to another source, or to other days.
    is_simulated_month = not any(reader.find(key) for key in (LOG_DATA, SONG_DATA, LOG_START, LOG_END))
    by_default = is_simulated_month and not reader.in_environment(EXPECTED)
    return {"expected": reader.read(EXPECTED) if reader.find(EXPECTED) or by_default else None}


def _read_fallback_credentials(reader: _Reader) -> dict[str, Any]:
    if "AWS_ACCESS_KEY_ID" in reader.environ or not (reader.find(ACCESS_KEY) or reader.find(SECRET_KEY)):
        return {}
    access_key = reader.require(ACCESS_KEY, SECRET_KEY)
    return {"dwh_access_key": access_key, "dwh_secret_key": reader.require(SECRET_KEY, ACCESS_KEY)}


def _find_config_file(environ: Mapping[str, str], folder: Path) -> ConfigFile:
    reader = _Reader(environ, ConfigFile(str(CONFIG.default)))
    path, named = folder / (reader.read(CONFIG) or ""), reader.find(CONFIG)
    if named is None and (reader.in_environment(CONFIG) or not path.exists()):
        return reader.file
    shown_path = named.text if named else reader.file.shown_path
    try:
        # utf-8-sig, because Windows' editors begin a file with a byte order mark.
        return parse_config_file(shown_path, path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        reader.fail(CONFIG, f"'{shown_path}' does not exist")
    except OSError as error:
        raise SettingsError(f"{shown_path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{shown_path}: is not UTF-8 text") from None
