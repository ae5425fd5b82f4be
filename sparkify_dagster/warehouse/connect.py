"""Chooses the warehouse that the settings name."""

from sparkify_dagster.config.keys import SettingsError
from sparkify_dagster.config.settings import Settings
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.server import without_password


def create_warehouse(settings: Settings) -> Warehouse:
    """Returns the warehouse of SPARKIFY_WAREHOUSE. Raises SettingsError for an unsupported kind of URL."""
    url = settings.warehouse
    if url.get_backend_name() == "duckdb":
        from sparkify_dagster.warehouse.duckdb import DuckDBWarehouse

        if url.database in (None, "", ":memory:"):
            raise SettingsError(
                "SPARKIFY_WAREHOUSE: DuckDB needs a file that outlives the run: duckdb:///path/to/file.duckdb"
            )
        return DuckDBWarehouse(path=url.database)
    if url.get_backend_name() == "postgresql":
        from sparkify_dagster.warehouse.postgres import PostgresWarehouse

        # The UI shows a resource's fields, so the password is read when it is needed.
        return PostgresWarehouse(address=without_password(url).render_as_string(), star_schema=settings.star_schema)
    from sparkify_dagster.warehouse.redshift.warehouse import RedshiftWarehouse

    return RedshiftWarehouse(
        address=without_password(url).render_as_string(),
        star_schema=settings.star_schema,
        cluster_identifier=settings.cluster_identifier,
        workgroup=settings.workgroup,
        region=settings.cluster_region,
        secret=settings.warehouse_secret,
        iam_role=settings.iam_role_arn,
        copy_staging=settings.copy_staging,
        statement_timeout_seconds=settings.statement_timeout,
        copy_first=settings.copy_first,
    )
