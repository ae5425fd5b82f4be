"""Code shared by the warehouses that are servers: addresses without passwords, one-time DDL, a role for readers."""

import os
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, ClassVar, Final

import psycopg2.extensions
from sqlalchemy import URL, Connection, Engine, event, make_url, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from sparkify_dagster.config import current
from sparkify_dagster.runtime import statements
from sparkify_dagster.schema.column_types import ANALYTICS_SCHEMA, PRODUCT_SCHEMA, STAGING_SCHEMA
from sparkify_dagster.schema.tables import PRODUCT_TABLES, STAR_TABLES, songplays
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.database_errors import WarehouseError, first_line
from sparkify_dagster.warehouse.ddl import ForeignTablesError, commented_tables, create_tables, is_current
from sparkify_dagster.warehouse.server_sessions import KeptSessions, Session

# Firewalls silently cut idle connections, also while a long statement runs
# (https://docs.aws.amazon.com/redshift/latest/mgmt/connecting-firewall-guidance.html).
KEEPALIVES = {"keepalives": 1, "keepalives_idle": 60, "keepalives_interval": 30, "keepalives_count": 5}

# One connection, verified before it is reused, and reopened if it is broken: a session takes longer to begin than most
# transactions.
ONE_CONNECTION: Final[Mapping[str, Any]] = {"pool_size": 1, "max_overflow": 0, "pool_pre_ping": True}

# An undefined table, schema or column.
MISSING_RELATION_CODES = ("42P01", "3F000", "42703")
MISSING_RELATION_REMEDY = "`sparkify create-tables` creates what is missing and upgrades what an earlier version made"

# Of a connection, the purpose that other users of the database see.
_PURPOSE = "purpose"

_databases_with_tables: set[tuple[str, str | None]] = set()
_making_tables = Lock()
_kept_open: dict[Hashable, KeptSessions] = {}


class ServerWarehouse(Warehouse, ABC):
    """A database at an address, a SQLAlchemy URL without its password, since the UI shows it."""

    ROLES: ClassVar[str]
    """The catalog's table of roles and its column of their names."""
    GRANTEE: ClassVar[str] = "{role}"
    """The form of a role's name in GRANT."""
    ROLE_REMEDY: ClassVar[str] = "an administrator has to run CREATE ROLE {role}"

    address: str
    star_schema: str | None = None
    """The schema of the star's tables; without one, the user's default schema."""

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Lets the connections of a block, which come one after the other, share a login."""
        if self._login in _kept_open:
            yield
            return
        sessions = _kept_open[self._login] = KeptSessions()
        try:
            yield
        finally:
            del _kept_open[self._login]
            sessions.close()

    @contextmanager
    def _session(self, purpose: str, *, read_only: bool) -> Iterator[Engine]:
        """Yields a new engine, or one that is kept open. After an exception its session is not used again."""
        kept = _kept_open.get(self._login)
        session = kept.take(read_only=read_only) if kept else None
        if session is None:
            session = self._new_session(purpose, read_only=read_only)
        session.purpose = purpose
        try:
            yield session.engine
        except BaseException:
            session.engine.dispose()
            raise
        if kept:
            kept.give_back(session, read_only=read_only)
        else:
            session.engine.dispose()

    def _new_session(self, purpose: str, *, read_only: bool) -> Session:
        session = Session(self._new_engine(purpose, read_only=read_only), purpose)

        @event.listens_for(session.engine, "connect")
        def set_purpose(connection: psycopg2.extensions.connection, record: ConnectionPoolEntry) -> None:
            record.info[_PURPOSE] = purpose

        @event.listens_for(session.engine, "checkout")
        def change_purpose(
            connection: psycopg2.extensions.connection, record: ConnectionPoolEntry, proxy: PoolProxiedConnection
        ) -> None:
            if record.info[_PURPOSE] != session.purpose:
                self._set_purpose(connection, record, session.purpose)
                record.info[_PURPOSE] = session.purpose

        return session

    @abstractmethod
    def _new_engine(self, purpose: str, *, read_only: bool) -> Engine:
        """Returns an engine of one connection, which shows the purpose."""

    @abstractmethod
    def _set_purpose(
        self, connection: psycopg2.extensions.connection, record: ConnectionPoolEntry, purpose: str
    ) -> None:
        """Shows another purpose of the connection, which is in no transaction."""

    @property
    def _login(self) -> Hashable:
        # What is forked has no part in a session.
        return os.getpid(), type(self), self.model_dump_json()

    def grant_reading(self, connection: Connection, role: str) -> None:
        self._grant(connection, role, "SELECT", {ANALYTICS_SCHEMA: "USAGE"})

    def grant_loading(self, connection: Connection, role: str) -> None:
        # A table of a new query is created by whoever refreshes it first.
        schemas = {STAGING_SCHEMA: "USAGE", ANALYTICS_SCHEMA: "USAGE, CREATE"}
        self._grant(connection, role, "SELECT, INSERT, UPDATE, DELETE", schemas)

    def _grant(self, connection: Connection, role: str, on_tables: str, on_schemas: Mapping[str, str]) -> None:
        """Grants a role privileges on the star, the marts, and the present and future tables of other schemas."""
        quoted = quoted_name(role)
        grantee = self.GRANTEE.format(role=quoted)
        star = str(connection.scalar(text("SELECT current_schema()")))
        # These schemas may have tables of others.
        own = {star: STAR_TABLES, PRODUCT_SCHEMA: PRODUCT_TABLES}
        statements = []
        for schema, privileges in {**dict.fromkeys(own, "USAGE"), **on_schemas}.items():
            if self._may_grant_on(connection, schema):
                statements.append(f"GRANT {privileges} ON SCHEMA {quoted_name(schema)} TO {grantee}")
            names = [table.fullname for table in own[schema]] if schema in own else None
            if tables := self._tables_to_grant(connection, schema, names):
                statements.append(f"GRANT {on_tables} ON {tables} TO {grantee}")
        statements += [
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT {on_tables} ON TABLES TO {grantee}"
            for schema in on_schemas
        ]
        self._create_role(connection, role, quoted)
        try:
            for statement in statements:
                connection.execute(text(statement))
        except ProgrammingError as error:
            raise WarehouseError(f"{self.database}: {first_line(error)}; grant as the tables' owner") from None

    def _may_grant_on(self, connection: Connection, schema: str) -> bool:
        """Returns False for a schema of another user, if a GRANT would fail there."""
        return True

    def _tables_to_grant(self, connection: Connection, schema: str, names: Sequence[str] | None) -> str:
        """Returns the tables of a schema as GRANT names them, all of them or some."""
        return f"ALL TABLES IN SCHEMA {quoted_name(schema)}" if names is None else ", ".join(names)

    def _create_role(self, connection: Connection, role: str, quoted: str) -> None:
        table, name = self.ROLES.split(".")
        known = text(f"SELECT count(*) FROM {table} WHERE {name} = :role")  # noqa: S608 (names of our own)
        if connection.scalar(known, {"role": role}):
            return
        try:
            connection.execute(text(f"CREATE ROLE {quoted}"))
        except ProgrammingError as error:
            raise WarehouseError(
                f"{self.database}: {first_line(error)}; {self.ROLE_REMEDY.format(role=role)}"
            ) from None

    def _url_with_password(self) -> URL:
        url = make_url(self.address)
        configured = current.warehouse_url()
        return configured if url.password is None and without_password(configured) == url else url

    def _prepare_tables(self, engine: Engine, *, read_only: bool) -> None:
        """Creates or upgrades the tables for a writer, and requires them for a reader. Raises WarehouseError."""
        if read_only:
            self._require_tables(engine)
        else:
            self._create_tables_once(engine)

    def _create_tables_once(self, engine: Engine) -> None:
        # Threads that create the views concurrently, while one of them already reads from them, wait for each other.
        with _making_tables:
            if self._has_tables:
                return
            try:
                if not self.run_in_transaction(engine, is_current):
                    self.run_in_transaction(engine, self._create_tables)
            except ForeignTablesError as error:
                raise WarehouseError(f"{self.database}: {error}") from None
            _databases_with_tables.add(self._key)

    def _create_tables(self, connection: Connection) -> None:
        create_tables(connection)

    def _require_tables(self, engine: Engine) -> None:
        """Raises WarehouseError where sparkify has made no tables, so that a reader reads nobody else's.

        By their comments, which every user may see, and which the tables of somebody else do not have.
        """
        if self._has_tables:
            return
        if songplays.name not in self.run_in_transaction(engine, commented_tables):
            raise WarehouseError(f"{self.database} has no tables of sparkify: `sparkify create-tables` creates them")

    @property
    def _has_tables(self) -> bool:
        """Returns whether this process has made the tables, or found them current."""
        return self._key in _databases_with_tables

    @property
    def _key(self) -> tuple[str, str | None]:
        return self.address, self.star_schema

    def _use_star_schema(self, connection: psycopg2.extensions.connection, *, create: bool) -> None:
        """Makes the star's schema the session's default, for a new connection."""
        if self.star_schema is None:
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM pg_catalog.pg_namespace WHERE nspname = %s", (self.star_schema,))
            if create and cursor.fetchall() == [(0,)]:
                cursor.execute(f'CREATE SCHEMA "{self.star_schema}"')
            cursor.execute(f'SET search_path TO "{self.star_schema}"')
        connection.commit()


def register_statements(connection: psycopg2.extensions.connection, record: object) -> None:
    """Lets an interrupt cancel the statements of a new connection."""
    statements.register(connection, psycopg2.extensions.connection.cancel)


def quoted_name(name: str) -> str:
    """Returns a name for text(), of which a colon would start a parameter. The dialect's own would double a %."""
    doubled = name.replace('"', '""').replace(":", "\\:")
    return f'"{doubled}"'


def without_password(url: URL) -> URL:
    """Returns the URL without its password, which URL.set(password=None) would keep."""
    return url._replace(password=None)
