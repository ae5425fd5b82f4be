"""Collects what the report shows, in one transaction, and renders it."""

from collections.abc import Sequence
from datetime import date
from importlib.metadata import version

from sqlalchemy import Connection, func, select

from sparkify_dagster.analytics.query import broken_queries
from sparkify_dagster.report.check_states import CheckState
from sparkify_dagster.report.dictionary import dictionary
from sparkify_dagster.report.figures import first_and_last_play, headline_figures
from sparkify_dagster.report.page import Report, render
from sparkify_dagster.report.period import Period, report_days
from sparkify_dagster.report.results import shown_results
from sparkify_dagster.schema.tables import loaded_objects
from sparkify_dagster.warehouse.base import Warehouse


def report_page(
    warehouse: Warehouse,
    purpose: str,
    checks: Sequence[CheckState],
    first_day: date | None = None,
    last_day: date | None = None,
) -> str:
    """Returns the report for some days, or for all data, as HTML. Raises WarehouseError.

    `purpose` is the name of the session in the warehouse.
    """

    def collect(connection: Connection) -> Report:
        plays = first_and_last_play(connection)
        days = report_days(Period(plays[0].date(), plays[1].date()), first_day, last_day) if plays else None
        return Report(
            days=days,
            figures=headline_figures(connection, days.data, days.headline) if days else None,
            results=shown_results(warehouse, connection, days.queries if days else None),
            broken=list(broken_queries().values()),
            checks=checks,
            tables=dictionary(),
            loaded_at=connection.scalar(select(func.max(loaded_objects.c.loaded_at))),
            last_play=plays[1] if plays else None,
            warehouse=warehouse.kind,
            version=version("sparkify-dagster"),
        )

    return render(warehouse.read(purpose, collect))
