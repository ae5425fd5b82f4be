"""Amazon Redshift, provisioned and Serverless: COPY reads canonical objects in place, and copies of all others.

COPY fills a landing table, and one INSERT casts its rows into staging (landing.py).
"""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
import psycopg2.extensions
from sqlalchemy import (
    Connection,
    Dialect,
    Engine,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from sparkify_dagster.config import aws, current
from sparkify_dagster.schema.column_types import STAGING_SCHEMA
from sparkify_dagster.schema.tables import metadata, pending_rematch
from sparkify_dagster.warehouse.base import Inputs
from sparkify_dagster.warehouse.database_errors import WarehouseError, first_line, with_remedy
from sparkify_dagster.warehouse.ddl import columns_in
from sparkify_dagster.warehouse.redshift.copy import bucket_region, copy_folder, required
from sparkify_dagster.warehouse.redshift.inputs import CopyInputs
from sparkify_dagster.warehouse.redshift.login import Cluster, connection_parameters
from sparkify_dagster.warehouse.server import (
    KEEPALIVES,
    MISSING_RELATION_CODES,
    MISSING_RELATION_REMEDY,
    ONE_CONNECTION,
    ServerWarehouse,
    quoted_name,
    register_statements,
)
from sparkify_dagster.warehouse.server_sessions import Session

log = logging.getLogger(__name__)

# A paused Serverless workgroup needs some seconds to respond.
_CONNECT_TIMEOUT_SECONDS = 30
# A cluster that is resumed, patched or started refuses connections for a while
# (https://docs.aws.amazon.com/redshift/latest/mgmt/serverless-usage-considerations.html).
MAX_CONNECT_SECONDS = 120.0
MAX_CONNECT_PAUSE_SECONDS = 16.0
_UNREACHABLE = re.compile(
    r"Connection refused|Connection reset|closed the connection unexpectedly|EOF detected|timeout expired"
    r"|could not receive data|the database system is (starting up|shutting down)|cluster is (paused|resuming)",
    re.IGNORECASE,
)
_QUERY_CANCELED = "57014"
_INSUFFICIENT_PRIVILEGE = "42501"
_PRIVILEGES_REMEDY = (
    "docs/how-to/redshift.md lists the privileges that a user needs; only the user who created the tables may change "
    "or drop them"
)
_HALVES_BACKSLASHES = "halves_backslashes"
_QUERY_GROUP_CHARACTERS = 30
# Conflicts of concurrent transactions (errors 1023 and 1018, see c_serial_isolation-serializable-isolation-
# troubleshooting in https://docs.aws.amazon.com/redshift/latest/dg/), or a changed table definition.
_CONFLICT_CODES = (
    "40001",
    # Deadlock.
    "40P01",
    # A schema, table or catalog entry already exists: another process is creating the same tables.
    *("42P06", "42P07", "23505"),
)
_CONFLICT = re.compile(
    r"serializable isolation violation|relation does not exist.*1018|1018.*relation does not exist"
    r"|concurrent transaction|tuple concurrently updated|could not open relation with OID",
    re.IGNORECASE | re.DOTALL,
)

_OWN_SCHEMA = """
SELECT COUNT(*)
FROM pg_catalog.pg_namespace AS n
INNER JOIN pg_catalog.pg_user AS u ON n.nspowner = u.usesysid OR u.usesuper
WHERE n.nspname = :schema AND u.usename = CURRENT_USER
"""
_OWN_TABLES = """
SELECT c.relname
FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
INNER JOIN pg_catalog.pg_user AS u ON c.relowner = u.usesysid OR u.usesuper
WHERE n.nspname = :schema AND c.relkind IN ('r', 'v') AND u.usename = CURRENT_USER
ORDER BY c.relname
"""


class RedshiftWarehouse(ServerWarehouse):
    """A database of a cluster or of a Serverless workgroup. A lock on one small table serialises the writers.

    The address is a SQLAlchemy URL without a password, and without a host if `cluster_identifier` is set. The password
    comes from dwh.cfg, from a secret, or as temporary credentials from AWS. `copy_staging` is an s3:// location.
    """

    ROLES = "svv_roles.role_name"
    GRANTEE = "ROLE {role}"
    # SVV_ROLES shows an ordinary user only the roles that this user has.
    ROLE_REMEDY = (
        "an administrator has to run CREATE ROLE {role}, unless it exists, and GRANT ROLE {role} to this user, who "
        "does not see it otherwise"
    )

    cluster_identifier: str | None = None
    workgroup: str | None = None
    region: str | None = None
    secret: str | None = None
    iam_role: str | None = None
    copy_staging: str | None = None
    statement_timeout_seconds: int = 3600
    copy_first: bool = False

    @property
    def kind(self) -> str:
        return "redshift"

    @property
    def database(self) -> str:
        url = make_url(self.address)
        return f"redshift://{url.host or url.query.get('host') or self.cluster_identifier}/{url.database or ''}"

    @contextmanager
    def connect(self, purpose: str, *, read_only: bool = False) -> Iterator[Engine]:
        with self._session(purpose, read_only=read_only) as engine:
            try:
                self._prepare_tables(engine, read_only=read_only)
                yield engine
            except DBAPIError as error:
                is_missing = read_only and getattr(error.orig, "pgcode", None) in MISSING_RELATION_CODES
                remedy = MISSING_RELATION_REMEDY if is_missing else self.remedy(error)
                raise WarehouseError(with_remedy(f"{self.database}: {first_line(error)}", remedy)) from None

    def is_transient(self, error: DBAPIError) -> bool:
        return error.connection_invalidated or _is_conflict(error)

    def remedy(self, error: DBAPIError) -> str | None:
        code = getattr(error.orig, "pgcode", None)
        if code == _QUERY_CANCELED:
            return "raise SPARKIFY_STATEMENT_TIMEOUT"
        if code == _INSUFFICIENT_PRIVILEGE:
            return _PRIVILEGES_REMEDY
        if _is_conflict(error):
            return "other sessions change the same tables at the same time: let them end, and start again"
        return _connection_remedy(error) if isinstance(error, OperationalError) else None

    def reads_in_place(self, location: str) -> bool:
        """Returns whether the location is in S3 and in the region of the COPY staging location, as COPY requires."""
        region = self._staging_region()
        if not location.startswith("s3://"):
            return False
        try:
            return region == bucket_region(aws.split_s3_url(location)[0], current.aws_access())
        except WarehouseError:
            # If it cannot be read at all, the inspection reports that.
            return False

    def copies_first(self, location: str) -> bool:
        return self.copy_first and self.reads_in_place(location)

    @contextmanager
    def inputs(self) -> Iterator[Inputs]:
        with copy_folder(required(self.copy_staging), self._staging_region(), current.aws_access()) as folder:
            yield CopyInputs(self, folder, self.iam_role)

    def maintain(self, engine: Engine) -> Sequence[str]:
        """Refreshes the statistics and runs VACUUM, which skips a table that is sorted.

        Redshift does both on its own, but only when it is idle. It lets a table's owner do so, but shows how much of a
        table is unsorted to superusers alone.
        """
        done = list(super().maintain(engine))
        # VACUUM runs outside of a transaction, and one at a time.
        vacuuming = self._new_engine("maintenance", read_only=False, isolation_level="AUTOCOMMIT")
        try:
            with vacuuming.connect() as connection:
                for table in metadata.sorted_tables:
                    connection.exec_driver_sql(f"VACUUM {table.fullname}")
                    done.append(f"VACUUM {table.fullname}")
        finally:
            vacuuming.dispose()
        return done

    def _may_grant_on(self, connection: Connection, schema: str) -> bool:
        return bool(connection.scalar(text(_OWN_SCHEMA), {"schema": schema}))

    def _tables_to_grant(self, connection: Connection, schema: str, names: Sequence[str] | None) -> str:
        # Those of another loader are that one's to grant.
        own = connection.scalars(text(_OWN_TABLES), {"schema": schema})
        return ", ".join(f"{quoted_name(schema)}.{quoted_name(name)}" for name in own if names is None or name in names)

    def _create_tables(self, connection: Connection) -> None:
        if pending_rematch.name in columns_in(connection, STAGING_SCHEMA):
            self._wait_for_other_writers(connection)
        super()._create_tables(connection)

    def _new_session(self, purpose: str, *, read_only: bool) -> Session:
        session = super()._new_session(purpose, read_only=read_only)

        def wait_for_other_writers(connection: Connection) -> None:
            # Whoever makes the tables cannot lock one yet.
            if self._has_tables:
                self._wait_for_other_writers(connection)

        if not read_only:
            event.listen(session.engine, "begin", wait_for_other_writers)
        return session

    def _new_engine(self, purpose: str, *, read_only: bool, **options: Any) -> Engine:
        url = self._url_with_password()
        engine = create_engine(
            url,
            **ONE_CONNECTION,
            hide_parameters=True,
            **options,
            connect_args={
                **KEEPALIVES,
                "connect_timeout": _CONNECT_TIMEOUT_SECONDS,
                "application_name": f"sparkify: {purpose}",
                # Redshift closes the connection of a client that asks for Kerberos.
                "gssencmode": "disable",
            },
        )
        cluster = Cluster(url, self.cluster_identifier, self.region, self.secret, self.workgroup)

        @event.listens_for(engine, "do_connect")
        def log_in(dialect: Dialect, record: Any, arguments: Any, parameters: dict[str, Any]) -> Any:
            def once() -> Any:
                return dialect.connect(**parameters | connection_parameters(cluster, current.aws_access()))

            return Retrying(
                retry=retry_if_exception(_is_unreachable),
                stop=stop_after_delay(MAX_CONNECT_SECONDS),
                wait=wait_random_exponential(multiplier=1, max=MAX_CONNECT_PAUSE_SECONDS),
                before_sleep=_log_unreachable,
                reraise=True,
            )(once)

        event.listen(engine, "connect", register_statements)

        # Before SQLAlchemy asks for the default schema.
        @event.listens_for(engine, "connect", insert=True)
        def set_up_session(connection: Any, record: Any) -> None:
            with connection.cursor() as cursor, suppress(psycopg2.ProgrammingError):
                # Without it a cast to NUMERIC cuts digits off; the other warehouses round.
                cursor.execute("SET enable_numeric_rounding TO on")
            connection.commit()
            record.info[_HALVES_BACKSLASHES] = _halves_backslashes(connection)
            self._set_purpose(connection, record, purpose)
            with connection.cursor() as cursor:
                cursor.execute("SET statement_timeout TO %s", (self.statement_timeout_seconds * 1000,))
                # A user may have another one; the times of system views are in UTC, and so is GETDATE() then.
                cursor.execute("SET timezone TO 'UTC'")
            connection.commit()
            self._use_star_schema(connection, create=not read_only)

        @event.listens_for(engine, "before_cursor_execute", retval=True)
        def keep_backslashes(
            connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
        ) -> tuple[str, Any]:
            return statement, _doubled(parameters) if connection.info[_HALVES_BACKSLASHES] else parameters

        return engine

    def _set_purpose(
        self, connection: psycopg2.extensions.connection, record: ConnectionPoolEntry, purpose: str
    ) -> None:
        query_group = (purpose[:_QUERY_GROUP_CHARACTERS],)
        with connection.cursor() as cursor:
            halves = record.info[_HALVES_BACKSLASHES]
            cursor.execute("SET query_group TO %s", _doubled(query_group) if halves else query_group)
        connection.commit()

    def _wait_for_other_writers(self, connection: Connection) -> None:
        """Takes the writers' lock in the first statement, since the snapshot is taken by the next one.

        Two concurrent runs on the same user or day would make each other fail, or miss each other's rows
        (https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html). To wait takes as long as the other
        one's load, which is no time of this transaction's own.
        """
        connection.exec_driver_sql("SET statement_timeout TO 0")
        connection.exec_driver_sql(f"LOCK {pending_rematch.fullname}")
        connection.exec_driver_sql(f"SET statement_timeout TO {self.statement_timeout_seconds * 1000}")

    def _staging_region(self) -> str | None:
        bucket, _ = aws.split_s3_url(required(self.copy_staging))
        try:
            return bucket_region(bucket, current.aws_access())
        except WarehouseError as error:
            raise WarehouseError(f"SPARKIFY_COPY_STAGING: {error}") from error


def _halves_backslashes(connection: psycopg2.extensions.connection) -> bool:
    r"""Returns whether a backslash in a bound text would reach Redshift as the start of an escape.

    Redshift reads '\\' as one backslash. The driver doubles each, unless the server says that it need not
    (standard_conforming_strings), which no page of AWS's excludes: then \' in a log line would end the literal.
    """
    bound = "\\\\"
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", (bound,))
        ((arrived,),) = cursor.fetchall()
    connection.rollback()
    if arrived not in (bound, "\\"):
        raise WarehouseError("a text with backslashes does not reach the database as it is; nothing was loaded")
    return bool(arrived != bound)


def _doubled(value: Any) -> Any:
    """Returns the parameters of a statement with each backslash twice."""
    match value:
        case str():
            return value.replace("\\", "\\\\")
        case list() | tuple():
            return type(value)(map(_doubled, value))
        case dict():
            return {name: _doubled(part) for name, part in value.items()}
    return value


def _is_unreachable(error: BaseException) -> bool:
    """Returns whether a connection was refused as by a server that is not up yet, and not for what it was given."""
    return (
        isinstance(error, psycopg2.OperationalError)
        and error.pgcode is None
        and _UNREACHABLE.search(str(error)) is not None
    )


def _log_unreachable(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("%s; connecting again in %.1f s", first_line(error) if error else "", state.upcoming_sleep)


def _is_conflict(error: DBAPIError) -> bool:
    """Returns whether a transaction failed because of a concurrent one alone."""
    return getattr(error.orig, "pgcode", None) in _CONFLICT_CODES or _CONFLICT.search(str(error.orig)) is not None


def _connection_remedy(error: OperationalError) -> str:
    said = first_line(error)
    if "authentication method 13" in said:
        return (
            "the password is stored as SHA-256, which this driver cannot send: leave DB_PASSWORD out, and AWS gives "
            "temporary credentials; or store it as MD5, with ALTER USER ... PASSWORD and the password as plain text"
        )
    if error.connection_invalidated:
        return "the connection was cut, and what was not committed is undone: start again when the cluster is up"
    if "certificate" in said or "SSL" in said:
        return "TLS is verified in full: connect by the host's own name, or give sslrootcert in SPARKIFY_WAREHOUSE"
    if "authentication" in said:
        return "check user and password: [CLUSTER] DB_USER and DB_PASSWORD, or SPARKIFY_WAREHOUSE"
    if "database" in said and "does not exist" in said:
        return "check [CLUSTER] DB_NAME, or SPARKIFY_WAREHOUSE"
    return "check host and port, that the cluster runs, and that its security group lets this machine in"
