"""Facts about a cluster that no page of AWS's states, found out in a minute or two; each is one line of text.

Nothing stays behind: tables are temporary, or created in a transaction that is rolled back. No line holds a credential,
or the name of a user, a host, a database, a bucket or a role.
"""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg2
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from sparkify_dagster.config import aws, current
from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.warehouse.redshift.copy import CopyFolder, bucket_region, copy_folder
from sparkify_dagster.warehouse.redshift.login import Cluster, connection_parameters

# Seconds after which a rejected record is no longer waited for.
MAX_WAIT = 60
REPORTED_PARAMETERS = (
    *("server_version", "server_encoding", "client_encoding", "DateStyle", "TimeZone", "integer_datetimes"),
    *("standard_conforming_strings", "is_superuser", "max_varchar_size"),
)
VALUES = {
    "a key given twice": ('{"v": "first", "v": "last"}', "VARCHAR(20)"),
    "a surrogate pair": (r'{"v": "\ud83d\ude00"}', "VARCHAR(20)"),
    "U+FFFF": (r'{"v": "\uffff"}', "VARCHAR(20)"),
    "true as text": ('{"v": true}', "VARCHAR(20)"),
    "1541016707796.0 as BIGINT": ('{"v": 1541016707796.0}', "BIGINT"),
    "1.5 as INTEGER": ('{"v": 1.5}', "INTEGER"),
}


@dataclass(frozen=True)
class Prober:
    """Connects as the tests on a cluster do. `secret` is that of an admin, in AWS Secrets Manager."""

    address: str
    staging: str
    role: str | None
    secret: str | None = None
    wait: float = MAX_WAIT
    _name: str = field(default_factory=lambda: f"sparkify_fact_{secrets.token_hex(4)}")

    def lines(self) -> Iterator[str]:
        """Yields each fact as an item of a numbered list in Markdown, also where it cannot be found out."""
        engine = self._engine()
        facts: Sequence[tuple[str, Callable[[Engine], str]]] = (
            ("Isolation level", _isolation_level),
            ("SVV_TABLE_INFO as this user", _table_info),
            ("A declared key with two equal values", _declared_key),
            ("COPY of odd values", self._odd_values),
            ("A rejected record", self._rejected_record),
            ("SYS_LOAD_DETAIL in the transaction of its COPY", self._load_detail),
            ("CAST(2.0/3 AS NUMERIC(5, 4))", _numeric_casts),
            ("A statement_timeout of a second", _statement_timeout),
            ("Login by the admin's secret", self._login_by_secret),
            ("LOCK by another user", self._lock),
            ("Literals and parameters", _literals),
            ("GRANT by a user without the grant option", self._grant),
            ("Blanks at the end of a text", _trailing_blanks),
        )
        for number, (subject, find_out) in enumerate(facts, start=1):
            yield f"{number}. {subject}: {self._without_names(_said(partial(find_out, engine)))}"

    def _engine(self, secret: str | None = None) -> Engine:
        url = make_url(self.address)
        if secret is not None:
            url = url._replace(username=None, password=None)
        engine = create_engine(url, poolclass=NullPool, connect_args={"gssencmode": "disable"})

        @event.listens_for(engine, "do_connect")
        def log_in(dialect: Any, record: Any, arguments: Any, parameters: dict[str, Any]) -> Any:
            found = connection_parameters(Cluster(url, secret=secret), current.aws_access())
            return dialect.connect(**parameters | found)

        return engine

    def _without_names(self, fact: str) -> str:
        url = make_url(self.address)
        hidden: Mapping[str, str | None] = {
            "(user)": url.username,
            "(password)": str(url.password) if url.password else None,
            "(host)": url.host,
            "(database)": url.database,
            "(bucket)": aws.split_s3_url(self.staging)[0],
            "(role)": self.role,
            "(secret)": self.secret,
            "(other user)": self._name,
        }
        for shown, name in hidden.items():
            if name:
                fact = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", shown, fact)
        # Of AWS accounts.
        return re.sub(r"\b\d{12}\b", "(account)", fact)

    @contextmanager
    def _folder(self) -> Iterator[CopyFolder]:
        access = current.aws_access()
        region = bucket_region(aws.split_s3_url(self.staging)[0], access)
        with copy_folder(self.staging, region, access) as folder:
            yield folder

    def _copy(self, connection: Connection, folder: CopyFolder, line: str) -> None:
        manifest = folder.put_manifest("manifest", [folder.put("data.json", line.encode())])
        role = "default" if self.role is None else f"'{self.role}'"
        region = f" REGION '{folder.region}'" if folder.region else ""
        connection.exec_driver_sql(f"COPY fact FROM '{manifest}' IAM_ROLE {role} FORMAT JSON 'auto' MANIFEST{region}")

    def _odd_values(self, engine: Engine) -> str:
        def value(line: str, type_: str) -> str:
            with self._folder() as folder, engine.connect() as connection:
                connection.execute(text(f"CREATE TEMP TABLE fact (v {type_})"))
                self._copy(connection, folder, line)
                return ascii(connection.scalar(text("SELECT f.v FROM fact AS f")))

        return "; ".join(f"{name}: {_said(partial(value, line, type_))}" for name, (line, type_) in VALUES.items())

    def _rejected_record(self, engine: Engine) -> str:
        found = text("SELECT COUNT(*) FROM sys_load_error_detail AS e WHERE e.session_id = :session")
        with self._folder() as folder, engine.connect() as connection:
            session = connection.scalar(text("SELECT PG_BACKEND_PID()"))
            connection.execute(text("CREATE TEMP TABLE fact (v INTEGER)"))
            try:
                self._copy(connection, folder, '{"v": "x"}')
            except DBAPIError as error:
                said = _error(error)
            else:
                return "was not rejected"
            connection.rollback()
            began = time.monotonic()
            while not connection.scalar(found, {"session": session}):
                connection.rollback()
                if time.monotonic() - began > self.wait:
                    return f"{said}; it is in no SYS_LOAD_ERROR_DETAIL after {self.wait:.0f} s"
                time.sleep(0.2)
            return f"{said}; in SYS_LOAD_ERROR_DETAIL {time.monotonic() - began:.1f} s after the rollback"

    def _load_detail(self, engine: Engine) -> str:
        with self._folder() as folder, engine.connect() as connection:
            connection.execute(text("CREATE TEMP TABLE fact (v INTEGER)"))
            self._copy(connection, folder, '{"v": 1}\n{"v": 2}\n')
            rows = connection.execute(
                text(
                    "SELECT d.lines_scanned, TRIM(d.file_etag) FROM sys_load_detail AS d"
                    " WHERE d.query_id = PG_LAST_COPY_ID()"
                )
            ).all()
        return f"of one object of two lines it has {[(lines, ascii(etag)) for lines, etag in rows]}"

    def _login_by_secret(self, engine: Engine) -> str:
        if self.secret is None:
            return "not tried, since SPARKIFY_WAREHOUSE_SECRET is not set"
        with self._engine(self.secret).connect() as connection:
            connection.execute(text("SELECT 1"))
        return f"by psycopg2, libpq {psycopg2.__libpq_version__}"

    def _lock(self, engine: Engine) -> str:
        return "; ".join(
            f"with {privileges}: " + _said(partial(self._as_another_user, engine, privileges, "LOCK {table}"))
            for privileges in ("SELECT", "INSERT, DELETE", "UPDATE")
        )

    def _grant(self, engine: Engine) -> str:
        return self._as_another_user(engine, "SELECT", "GRANT SELECT ON {table} TO {user}")

    def _as_another_user(self, engine: Engine, privileges: str, statement: str) -> str:
        """Runs a statement as a user with some privileges on a table. Only a superuser can find this out."""
        table = user = self._name
        with engine.connect() as connection:
            for sql in (
                f"CREATE TABLE {table} (k INTEGER)",
                f"CREATE USER {user} PASSWORD DISABLE",
                f"GRANT {privileges} ON {table} TO {user}",
                f"SET SESSION AUTHORIZATION {user}",
                statement.format(table=table, user=user),
            ):
                connection.exec_driver_sql(sql)
            connection.rollback()
        return "is taken"


def _said(find_out: Callable[[], str]) -> str:
    try:
        return find_out()
    except DBAPIError as error:
        return _error(error)
    except SparkifyError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _error(error: DBAPIError) -> str:
    said = " ".join(str(error.orig).split())
    return f"{type(error.orig).__name__} {getattr(error.orig, 'pgcode', None)}: {said}"


def _isolation_level(engine: Engine) -> str:
    with engine.connect() as connection:
        shown = connection.scalar(text("show transaction isolation level"))
        return f"{shown!r}; the driver takes it for {_said(connection.get_isolation_level)}"


def _table_info(engine: Engine) -> str:
    with engine.connect() as connection:
        return f"{connection.scalar(text('SELECT COUNT(*) FROM svv_table_info'))} tables"


def _declared_key(engine: Engine) -> str:
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE fact (k INTEGER, PRIMARY KEY (k))"))
        connection.execute(text("INSERT INTO fact (k) VALUES (1), (1)"))
        counted = connection.scalar(text("SELECT COUNT(DISTINCT k) FROM fact"))
        rows = connection.execute(text("SELECT DISTINCT k FROM fact")).all()
    return f"COUNT(DISTINCT) is {counted}, SELECT DISTINCT has {len(rows)} rows"


def _numeric_casts(engine: Engine) -> str:
    casts = text("SELECT CAST(2.0 / 3 AS NUMERIC(5, 4)), CAST(CAST(2 AS DOUBLE PRECISION) / 3 AS NUMERIC(5, 4))")
    with engine.connect() as connection:
        first = connection.execute(casts).one()
        connection.execute(text("SET enable_numeric_rounding TO on"))
        rounded = connection.execute(casts).one()
    return f"{first[0]}, of a DOUBLE {first[1]}; with enable_numeric_rounding {rounded[0]} and {rounded[1]}"


def _statement_timeout(engine: Engine) -> str:
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE fact (k INTEGER)"))
        connection.execute(text("INSERT INTO fact (k) VALUES (1), (2), (3), (4), (5), (6), (7), (8)"))
        for _ in range(2):
            connection.execute(text("INSERT INTO fact (k) SELECT a.k + b.k FROM fact AS a CROSS JOIN fact AS b"))
        connection.execute(text("SET statement_timeout TO 1000"))
        connection.execute(text("SELECT SUM(a.k + b.k + c.k) FROM fact AS a CROSS JOIN fact AS b CROSS JOIN fact AS c"))
    return "ended nothing"


def _literals(engine: Engine) -> str:
    with engine.connect() as connection:
        length = connection.exec_driver_sql(r"SELECT LEN('\\')").scalar()
        driver: Any = connection.connection.driver_connection
        parameters = {name: driver.info.parameter_status(name) for name in REPORTED_PARAMETERS}
    return rf"LEN('\\') is {length}; reported are {json.dumps(parameters)}"


def _trailing_blanks(engine: Engine) -> str:
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE fact (v VARCHAR(9))"))
        connection.execute(text("INSERT INTO fact (v) VALUES ('a'), ('a ')"))
        groups = connection.execute(text("SELECT f.v, COUNT(*) FROM fact AS f GROUP BY f.v")).all()
        equal = connection.scalar(text("SELECT COUNT(*) FROM fact AS f WHERE f.v = 'a'"))
    return f"groups of 'a' and 'a ': {len(groups)}; equal to 'a': {equal}"
