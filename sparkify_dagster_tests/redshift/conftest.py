from collections.abc import Iterator

import pytest

from sparkify_dagster_tests.postgres_server import PostgresServer
from sparkify_dagster_tests.redshift.stand_in import RedshiftStandIn, S3Access
from sparkify_dagster_tests.s3_server import S3Server


@pytest.fixture(scope="session")
def redshift(
    postgres: PostgresServer, s3: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedshiftStandIn]:
    """A stand-in for Redshift of this test process; it may read all of the S3 server."""
    stand_in = RedshiftStandIn(
        postgres.new_database(),
        S3Access(s3.url, s3.access_key, s3.secret_key),
        tmp_path_factory.mktemp("redshift"),
    )
    stand_in.start()
    try:
        yield stand_in
    finally:
        stand_in.stop()
