"""The cluster that all sessions of the stand-in share: its accounts and roles, what it received, what is to fail."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import psycopg2
from botocore.config import Config
from sqlalchemy import URL, make_url

from sparkify_dagster_tests.redshift_stand_in.certificate import make_server_certificate

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# r_CREATE_USER: a password that is given as sha256|... is asked for by a code that libpq does not know.
PLAIN_PASSWORD, SHA_256 = 3, 13
ROLE = "arn:aws:iam::123456789012:role/redshift-load"


@dataclass(frozen=True)
class Failure:
    """A fault to inject into the next statement whose text contains the pattern."""

    pattern: str
    sqlstate: str = ""
    message: str = ""
    cuts: bool = False
    after: bool = False
    refused_connections: int = 0
    """The number of connections that are refused from then on."""


@dataclass
class Transaction:
    """A transaction as a client sees it, from its first statement, which is BEGIN, to the reply to its last one."""

    began: float
    ended: float = 0.0
    statements: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.ended - self.began


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


def execute(back_end: URL, sql: str, parameters: tuple[object, ...] | list[object] = ()) -> None:
    connection = psycopg2.connect(
        host=back_end.host, port=back_end.port, user=back_end.username, dbname=back_end.database
    )
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
    finally:
        connection.close()


class Cluster:
    """The state of a cluster.

    The back end is a SQLAlchemy address of a prepared PostgreSQL database, which a superuser reaches without password.
    """

    def __init__(self, back_end: str, s3: S3Access, folder: Path) -> None:
        self.user = "awsuser"
        self.password = "Stand-in 1"
        # Of ordinary users, whom CREATE USER makes.
        self.passwords: dict[str, str] = {}
        self.database = "dev"
        self.back_end = make_url(back_end)
        self.s3 = s3
        self.roles = {ROLE}
        self.default_role: str | None = ROLE
        # Whether SYS_LOAD_DETAIL shows what a COPY has read: no page says how soon it does.
        self.lists_loaded_files = True
        # Every SQL text that came, in order, also those that were refused.
        self.statements: list[str] = []
        # The transactions that came to their end.
        self.transactions: list[Transaction] = []
        # Whether COPY takes 1541016707796.0 for a TIMESTAMP with epochmillisecs, which no page says.
        self.epoch_fractions = True
        # What a user, or a cluster, may have otherwise.
        self.authentication = PLAIN_PASSWORD
        self.timezone = "UTC"
        # Whether a backslash in a plain string escapes, and whether standard_conforming_strings is reported as on.
        self.has_escapes = True
        self.claims_conforming_strings = False
        self.isolation_level = "SERIALIZABLE"
        self.connections_to_refuse = 0
        # The processes of sessions whose present statement somebody cancels.
        self.canceled: set[int] = set()
        self.ca_file, self.tls = make_server_certificate(folder)
        self._lock = threading.Lock()
        self._failures: list[Failure] = []
        # Called with each statement; it may choose one to fail.
        self.fault: Callable[[str], Failure | None] | None = None
        self._last_query_id = 1000

    def fail_next(self, pattern: str, sqlstate: str = "XX000", message: str = "failed on purpose") -> None:
        """The next statement that contains the pattern raises this error instead of being run."""
        with self._lock:
            self._failures.append(Failure(pattern, sqlstate, message))

    def cut_next(self, pattern: str, after: bool = False) -> None:
        """The next statement that contains the pattern loses its connection, before or after it was run."""
        with self._lock:
            self._failures.append(Failure(pattern, cuts=True, after=after))

    @property
    def failures_to_come(self) -> list[str]:
        """The patterns of failures that no statement has met."""
        with self._lock:
            return [failure.pattern for failure in self._failures]

    def forget(self) -> None:
        """For a next test: no statement was seen and nothing is to fail."""
        with self._lock:
            self.statements.clear()
            self.transactions.clear()
            self._failures.clear()
            self.fault = None

    def received(self, sql: str) -> Failure | None:
        """For sessions: records a statement, and returns what is to happen to it."""
        with self._lock:
            self.statements.append(sql)
            for failure in self._failures:
                if failure.pattern in sql:
                    self._failures.remove(failure)
                    return failure
            chosen = self.fault(sql) if self.fault else None
            if chosen:
                self.connections_to_refuse += chosen.refused_connections
            return chosen

    def next_query_id(self) -> int:
        with self._lock:
            self._last_query_id += 1
            return self._last_query_id

    def s3_client(self, region: str | None) -> "S3Client":
        return _s3_client(self.s3, region or "us-west-2")

    def execute_in_back_end(self, sql: str, parameters: tuple[object, ...] | list[object] = ()) -> None:
        """Outside of every session, and committed at once."""
        execute(self.back_end, sql, parameters)
