"""A stand-in for Amazon Redshift: a man in the middle of the wire protocol, before a real PostgreSQL.

It refuses what Redshift refuses, rewrites Redshift's DDL, and does COPY from S3 on its own. It encodes what AWS's pages
say, not what a cluster was seen to do; refusal.UNVERIFIED lists what no page says. psycopg2 speaks the simple query
protocol only, and so does the stand-in.
"""

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path

from sqlalchemy import URL, make_url

from sparkify_dagster_tests.redshift_stand_in.catalog import system_schema
from sparkify_dagster_tests.redshift_stand_in.cluster import Cluster, S3Access, execute
from sparkify_dagster_tests.redshift_stand_in.session import Session
from sparkify_dagster_tests.redshift_stand_in.wire import Closed


def prepare_back_end(address: str) -> None:
    """Makes an empty PostgreSQL database, or one that is to be copied, a stand-in's back end."""
    back_end = make_url(address)
    execute(
        back_end,
        "DO $$ BEGIN IF (SELECT datcollate FROM pg_database WHERE datname = current_database())"
        " NOT IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8') THEN"
        " RAISE 'Redshift orders text by bytes: the back end''s database needs the C collation'; END IF; END $$",
    )
    execute(back_end, system_schema())


class RedshiftStandIn(Cluster):
    """Listens on loopback from start() to stop(); every session has one of its own in the back end.

    It lives in the test's process, so psycopg2's connection.cancel(), which keeps the GIL while it waits for an answer,
    would wait for ever there.
    """

    host = "127.0.0.1"
    port = 0

    def __init__(self, back_end: str, s3: S3Access, folder: Path) -> None:
        super().__init__(back_end, s3, folder)
        self._sessions: set[Session] = set()
        self._listener: socket.socket | None = None

    @property
    def url(self) -> URL:
        """For create_engine, with TLS verified; the host may be localhost as well."""
        return self.url_of(self.user, self.password)

    def url_of(self, user: str, password: str) -> URL:
        return URL.create(
            "redshift+psycopg2",
            username=user,
            password=password,
            host=self.host,
            port=self.port,
            database=self.database,
            query={"sslmode": "verify-full", "sslrootcert": str(self.ca_file)},
        )

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

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if self.connections_to_refuse:
                self.connections_to_refuse -= 1
                connection.close()
                continue
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
