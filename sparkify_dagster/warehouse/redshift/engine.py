"""Redshift's engine: a connection fetches credentials, waits for a cluster that starts and sets up its session."""

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg2
import psycopg2.extensions
from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from sparkify_dagster.config import current
from sparkify_dagster.warehouse.database_errors import WarehouseError, first_line
from sparkify_dagster.warehouse.redshift.login import Cluster, connection_parameters
from sparkify_dagster.warehouse.server import KEEPALIVES, ONE_CONNECTION, register_statements

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
_HALVES_BACKSLASHES = "halves_backslashes"
_QUERY_GROUP_CHARACTERS = 30


def new_engine(
    cluster: Cluster,
    purpose: str,
    statement_timeout_seconds: int,
    use_star_schema: Callable[[psycopg2.extensions.connection], None],
    **options: Any,
) -> Engine:
    """Returns an engine of one connection, whose application_name and query_group show the purpose.

    A connection raises WarehouseError where AWS gives no credentials, and psycopg2.OperationalError where the cluster
    refuses it or is not up in time.
    """
    engine = create_engine(
        cluster.url,
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
    def set_up_session(connection: psycopg2.extensions.connection, record: ConnectionPoolEntry) -> None:
        with connection.cursor() as cursor, suppress(psycopg2.ProgrammingError):
            # Without it a cast to NUMERIC cuts digits off; the other warehouses round.
            cursor.execute("SET enable_numeric_rounding TO on")
        connection.commit()
        record.info[_HALVES_BACKSLASHES] = _halves_backslashes(connection)
        set_query_group(connection, record, purpose)
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout TO %s", (statement_timeout_seconds * 1000,))
            # A user may have another one; the times of system views are in UTC, and so is GETDATE() then.
            cursor.execute("SET timezone TO 'UTC'")
        connection.commit()
        use_star_schema(connection)

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def keep_backslashes(
        connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> tuple[str, Any]:
        return statement, _doubled(parameters) if connection.info[_HALVES_BACKSLASHES] else parameters

    return engine


def set_query_group(connection: psycopg2.extensions.connection, record: ConnectionPoolEntry, purpose: str) -> None:
    """Shows in the system views what the session's next statements are for."""
    query_group = (purpose[:_QUERY_GROUP_CHARACTERS],)
    with connection.cursor() as cursor:
        halves = record.info[_HALVES_BACKSLASHES]
        cursor.execute("SET query_group TO %s", _doubled(query_group) if halves else query_group)
    connection.commit()


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
