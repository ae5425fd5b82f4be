"""Fixtures: one stand-in for Redshift per warehouse, on the PostgreSQL and S3 servers of the test process."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import pytest

from sparkify_dagster.warehouse.redshift.warehouse import RedshiftWarehouse
from sparkify_dagster_tests.redshift_stand_in.cluster import ROLE, S3Access
from sparkify_dagster_tests.redshift_stand_in.stand_in import RedshiftStandIn, prepare_back_end
from sparkify_dagster_tests.support.servers.postgres import PostgresServer
from sparkify_dagster_tests.support.servers.s3 import S3Server

STAGING_BUCKET = "redshift-staging"


@runtime_checkable
class NeedsLogin(Protocol):
    def login(self, monkeypatch: pytest.MonkeyPatch) -> None: ...


def log_in(new_warehouse: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for AWS, where warehouses of that kind need them."""
    if isinstance(new_warehouse, NeedsLogin):
        new_warehouse.login(monkeypatch)


class RedshiftServers:
    """Makes empty warehouses, each on a stand-in of its own; all stage in one bucket."""

    def __init__(self, postgres: PostgresServer, s3: S3Server, folder: Path) -> None:
        self.s3 = s3
        self._postgres = postgres
        self._folder = folder
        self._servers: dict[str, RedshiftStandIn] = {}
        s3.put(STAGING_BUCKET, {})
        self._template = postgres.new_template()
        prepare_back_end(postgres.address(self._template))
        self._template_with_tables: str | None = None

    def login(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Credentials and endpoint for this process, which writes to the staging bucket."""
        self.s3.login(monkeypatch)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", self.s3.url)

    def new_back_end(self) -> str:
        """The address of a database for a stand-in."""
        return self._postgres.new_database(self._template)

    def new_server(self, back_end: str | None = None) -> RedshiftStandIn:
        """A server on the back end, or on a new one without tables."""
        access = S3Access(self.s3.url, self.s3.access_key, self.s3.secret_key)
        folder = self._folder / secrets.token_hex(6)
        folder.mkdir()
        server = RedshiftStandIn(back_end or self.new_back_end(), access, folder)
        server.start()
        return server

    def __call__(self) -> RedshiftWarehouse:
        """An empty warehouse that has the tables."""
        if self._template_with_tables is None:
            # Copying the tables takes a tenth of the time that their creation does.
            template = self._postgres.new_template(self._template)
            server = self.new_server(self._postgres.address(template))
            with self._warehouse(server).connect("a test"):
                pass
            server.stop()
            self._template_with_tables = template
        return self._warehouse(self.new_server(self._postgres.new_database(self._template_with_tables)))

    def _warehouse(self, server: RedshiftStandIn) -> RedshiftWarehouse:
        address = server.url.render_as_string(hide_password=False)
        self._servers[address] = server
        staging = f"s3://{STAGING_BUCKET}/{secrets.token_hex(6)}"
        return RedshiftWarehouse(address=address, iam_role=ROLE, copy_staging=staging)

    def server_of(self, warehouse: RedshiftWarehouse) -> RedshiftStandIn:
        return self._servers[warehouse.address]

    def stop(self) -> None:
        for server in self._servers.values():
            server.stop()


@pytest.fixture(scope="session")
def redshift_servers(
    postgres: PostgresServer, s3: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedshiftServers]:
    servers = RedshiftServers(postgres, s3, tmp_path_factory.mktemp("redshift"))
    yield servers
    servers.stop()


@pytest.fixture(scope="session")
def redshift(redshift_servers: RedshiftServers) -> Iterator[RedshiftStandIn]:
    """A stand-in of this test process; it may read all of the S3 server."""
    stand_in = redshift_servers.new_server()
    yield stand_in
    stand_in.stop()
