"""Amazon Redshift, provisioned and Serverless: COPY reads canonical objects in place, and copies of all others.

COPY fills a landing table, and one INSERT casts its rows into staging (landing.py).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2.extensions
from sqlalchemy import Connection, Engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from sparkify_dagster.config import aws, current
from sparkify_dagster.schema.column_types import STAGING_SCHEMA
from sparkify_dagster.schema.tables import metadata, pending_rematch
from sparkify_dagster.warehouse.base import Inputs
from sparkify_dagster.warehouse.database_errors import WarehouseError, first_line, with_remedy
from sparkify_dagster.warehouse.ddl import columns_in
from sparkify_dagster.warehouse.redshift.copy import bucket_region, copy_folder, required
from sparkify_dagster.warehouse.redshift.engine import new_engine, set_query_group
from sparkify_dagster.warehouse.redshift.inputs import CopyInputs
from sparkify_dagster.warehouse.redshift.login import Cluster
from sparkify_dagster.warehouse.redshift.remedies import is_conflict, remedy_for
from sparkify_dagster.warehouse.server import (
    MISSING_RELATION_CODES,
    MISSING_RELATION_REMEDY,
    ServerWarehouse,
    quoted_name,
)
from sparkify_dagster.warehouse.server_sessions import Session

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
        return error.connection_invalidated or is_conflict(error)

    def remedy(self, error: DBAPIError) -> str | None:
        return remedy_for(error)

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
        cluster = Cluster(self._url_with_password(), self.cluster_identifier, self.region, self.secret, self.workgroup)

        def use_star_schema(connection: psycopg2.extensions.connection) -> None:
            self._use_star_schema(connection, create=not read_only)

        return new_engine(cluster, purpose, self.statement_timeout_seconds, use_star_schema, **options)

    def _set_purpose(
        self, connection: psycopg2.extensions.connection, record: ConnectionPoolEntry, purpose: str
    ) -> None:
        set_query_group(connection, record, purpose)

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
