"""The contract's tests on a real cluster, for whoever has one:

SPARKIFY_REDSHIFT_URL=redshift+psycopg2://user:password@host:5439/an_empty_database \\
SPARKIFY_REDSHIFT_STAGING=s3://bucket/prefix SPARKIFY_REDSHIFT_ROLE=arn:aws:iam::… \\
    pytest -n 0 -k cluster sparkify_dagster_tests/contract

Run as a program, with the same variables, this module prints what cluster_facts.py finds out about the cluster.

Each test drops sparkify's tables in that database. AWS credentials come from the environment. Tests whose source is the
tests' own S3 server are not for a cluster, which cannot reach it: leave them out with `and not s3`.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from sparkify_dagster.warehouse.ddl import create_tables, drop_tables
from sparkify_dagster.warehouse.redshift.warehouse import RedshiftWarehouse
from sparkify_dagster_tests.redshift_stand_in.cluster_facts import Prober


@dataclass(frozen=True)
class RealCluster:
    address: str
    staging: str
    role: str | None
    aws: Mapping[str, str]

    def login(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in self.aws.items():
            monkeypatch.setenv(name, value)

    def __call__(self) -> RedshiftWarehouse:
        """The warehouse, emptied."""
        staging = f"{self.staging}/{secrets.token_hex(6)}"
        warehouse = RedshiftWarehouse(address=self.address, iam_role=self.role, copy_staging=staging)
        with pytest.MonkeyPatch.context() as monkeypatch:
            self.login(monkeypatch)
            with warehouse.connect("a test") as engine, engine.begin() as connection:
                drop_tables(connection)
                create_tables(connection)
        return warehouse


def _from_environment(environment: Mapping[str, str]) -> RealCluster | None:
    address = environment.get("SPARKIFY_REDSHIFT_URL")
    if not address:
        return None
    return RealCluster(
        address,
        environment["SPARKIFY_REDSHIFT_STAGING"].rstrip("/"),
        environment.get("SPARKIFY_REDSHIFT_ROLE"),
        {name: value for name, value in environment.items() if name.startswith("AWS_")},
    )


# Read when the tests are collected, before their settings are taken from the environment.
CLUSTER = _from_environment(os.environ)


def main() -> None:
    """Prints the facts about the cluster."""
    if CLUSTER is None:
        raise SystemExit("set SPARKIFY_REDSHIFT_URL and SPARKIFY_REDSHIFT_STAGING, as the documentation says")
    secret = os.environ.get("SPARKIFY_WAREHOUSE_SECRET")
    for line in Prober(CLUSTER.address, CLUSTER.staging, CLUSTER.role, secret).lines():
        print(line, flush=True)


if __name__ == "__main__":
    main()
