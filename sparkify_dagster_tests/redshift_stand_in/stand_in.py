"""A stand-in for Amazon Redshift: a man in the middle of the wire protocol, before a real PostgreSQL.

It refuses what Redshift refuses, rewrites Redshift's DDL, and does COPY from S3 on its own. It encodes what AWS's pages
say, not what a cluster was seen to do; refusal.UNVERIFIED lists what no page says. psycopg2 speaks the simple query
protocol only, and so does the stand-in.
"""

import socket
import ssl
import threading
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import psycopg2
from botocore.config import Config
from sqlalchemy import URL, make_url

from sparkify_dagster_tests.redshift_stand_in.catalog import system_schema
from sparkify_dagster_tests.redshift_stand_in.certificate import make_server_certificate
from sparkify_dagster_tests.redshift_stand_in.session import Session
from sparkify_dagster_tests.redshift_stand_in.wire import Closed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROLE = "arn:aws:iam::123456789012:role/redshift-load"


@dataclass(frozen=True)
class Failure:
    """What is to happen to the next statement whose text contains the pattern."""

    pattern: str
    sqlstate: str = ""
    message: str = ""
    cuts: bool = False
    after: bool = False


@dataclass(frozen=True)
class S3Access:
    endpoint: str
    access_key: str
    secret_key: str


# To make a client takes some milliseconds for each COPY, and any number of threads may use one.
@cache
def _s3_client(access: S3Access, region: str) -> "S3Client":
    return boto3.client(
        "s3",
        endpoint_url=access.endpoint,
        region_name=region,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        config=Config(retries={"total_max_attempts": 2}, connect_timeout=5, read_timeout=30),
    )


def prepare_back_end(address: str) -> None:
    """Makes an empty PostgreSQL database, or one that is to be copied, a stand-in's back end."""
    back_end = make_url(address)
    _execute(
        back_end,
        "DO $$ BEGIN IF (SELECT datcollate FROM pg_database WHERE datname = current_database())"
        " NOT IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8') THEN"
        " RAISE 'Redshift orders text by bytes: the back end''s database needs the C collation'; END IF; END $$",
    )
    _execute(back_end, system_schema())


def _execute(back_end: URL, sql: str, parameters: tuple[object, ...] | list[object] = ()) -> None:
    connection = psycopg2.connect(
        host=back_end.host, port=back_end.port, user=back_end.username, dbname=back_end.database
    )
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
    finally:
        connection.close()


class RedshiftStandIn:
    """Listens on loopback from start() to stop(); every session has one of its own in the back end.

    It lives in the test's process, so psycopg2's connection.cancel(), which keeps the GIL while it waits for an answer,
    would wait for ever there.

    The back end is a SQLAlchemy address of a prepared PostgreSQL database which a superuser reaches without a password.
    """

    def __init__(
        self,
        back_end: str,
        s3: S3Access,
        folder: Path,
        *,
        user: str = "awsuser",
        password: str = "Stand-in 1",
        database: str = "dev",
        roles: Collection[str] = (ROLE,),
        default_role: str | None = ROLE,
    ) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.user = user
        self.password = password
        self.database = database
        self.back_end = make_url(back_end)
        self.s3 = s3
        self.roles = set(roles)
        self.default_role = default_role
        # Every SQL text that came, in order, also those that were refused.
        self.statements: list[str] = []
        # Whether COPY takes 1541016707796.0 for a TIMESTAMP with epochmillisecs, which no page says.
        self.epoch_fractions = True
        self.ca_file, self.tls = make_server_certificate(folder)
        self._lock = threading.Lock()
        self._failures: list[Failure] = []
        self._last_query_id = 1000
        self._sessions: set[Session] = set()
        self._listener: socket.socket | None = None

    @property
    def url(self) -> URL:
        """For create_engine, with TLS verified; the host may be localhost as well."""
        return URL.create(
            "redshift+psycopg2",
            username=self.user,
            password=self.password,
            host=self.host,
            port=self.port,
            database=self.database,
            query={"sslmode": "verify-full", "sslrootcert": str(self.ca_file)},
        )

    def fail_next(self, pattern: str, sqlstate: str = "XX000", message: str = "failed on purpose") -> None:
        """The next statement that contains the pattern raises this error instead of being run."""
        with self._lock:
            self._failures.append(Failure(pattern, sqlstate, message))

    def cut_next(self, pattern: str, after: bool = False) -> None:
        """The next statement that contains the pattern loses its connection, before or after it was run."""
        with self._lock:
            self._failures.append(Failure(pattern, cuts=True, after=after))

    def forget(self) -> None:
        """For a next test: no statement was seen and nothing is to fail."""
        with self._lock:
            self.statements.clear()
            self._failures.clear()

    def start(self) -> None:
        listener = socket.create_server((self.host, 0))
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="redshift-stand-in", daemon=True).start()

    def stop(self) -> None:
        if self._listener is not None:
            # Closing alone does not wake the thread that accepts.
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.close()

    def received(self, sql: str) -> Failure | None:
        """For sessions: notes a statement, and tells what is to happen to it."""
        with self._lock:
            self.statements.append(sql)
            for failure in self._failures:
                if failure.pattern in sql:
                    self._failures.remove(failure)
                    return failure
        return None

    def next_query_id(self) -> int:
        with self._lock:
            self._last_query_id += 1
            return self._last_query_id

    def s3_client(self, region: str | None) -> "S3Client":
        return _s3_client(self.s3, region or "us-west-2")

    def execute_in_back_end(self, sql: str, parameters: tuple[object, ...] | list[object] = ()) -> None:
        """Outside of every session, and committed at once."""
        _execute(self.back_end, sql, parameters)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), name="redshift-session", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(self, connection)
        with self._lock:
            self._sessions.add(session)
        try:
            session.run()
        except (Closed, ssl.SSLError):
            pass
        finally:
            session.close()
            with self._lock:
                self._sessions.discard(session)
