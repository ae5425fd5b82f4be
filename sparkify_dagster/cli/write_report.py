"""`sparkify report`: writes the report with the checks' latest results, which are in the run history."""

from datetime import date

from sparkify_dagster.cli.etl import persisted_instance
from sparkify_dagster.definitions import CHECK_SPECS
from sparkify_dagster.report.assemble import report_page
from sparkify_dagster.report.check_states import check_states
from sparkify_dagster.report.location import ReportLocation
from sparkify_dagster.warehouse.base import Warehouse


def write(warehouse: Warehouse, location: str, first_day: date | None, last_day: date | None) -> int:
    """Writes the report and returns its size in bytes. Raises SparkifyError."""
    with persisted_instance() as instance:
        states = check_states(instance, CHECK_SPECS)
    page = report_page(warehouse, "sparkify report", states, first_day, last_day)
    ReportLocation(location=location).write(page)
    return len(page.encode())
