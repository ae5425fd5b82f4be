"""Steps that have yet to see rows that a load has written: the checks of a table, queries by day, and the report.

The transaction that writes rows notes them, and each step removes what it has seen. So a run that was killed between
the two, or a check that failed, leaves a trace. Functions work inside the caller's transaction.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from sparkify_dagster.schema.tables import BUILT_BY_DAY, PRODUCT_TABLES, STAR_TABLES, pending_steps

QUERIES_BY_DAY: Final = "queries_by_day"
REPORT: Final = "report"
_FOLLOWING_STEPS: Final[Mapping[str, Sequence[str]]] = {
    "staging_events": ("check_staging_events",),
    "staging_songs": ("check_staging_songs",),
    **{str(table.name): ("check_dimensions", REPORT) for table in STAR_TABLES},
    "songplays": ("check_songplays", "check_dimensions", REPORT),
    **{str(table.name): ("check_product", REPORT) for table in PRODUCT_TABLES},
}
# The steps that follow when the table of a query changes; its comparison has bookkeeping of its own.
_AFTER_A_QUERY: Final = (REPORT,)


@dataclass(frozen=True)
class PendingStep:
    """A step that has yet to see a table's new rows, of some days (both included) or of the whole table."""

    step: str
    table: str
    days: tuple[date, date] | None
    token: str

    @property
    def is_check(self) -> bool:
        return self.step not in (QUERIES_BY_DAY, REPORT)


def following_steps(table: str) -> Sequence[str]:
    """Returns the steps that follow when a table of staging, the star or the marts, or of a query, changes."""
    steps = _FOLLOWING_STEPS.get(table, _AFTER_A_QUERY)
    return (*steps, QUERIES_BY_DAY) if table in BUILT_BY_DAY else steps


def note(connection: Connection, tables: Sequence[str], days: tuple[date, date] | None = None) -> None:
    """Notes that the tables have new rows, of the days or without days."""
    first_day, last_day = days or (None, None)
    rows = [
        {
            "step": step,
            "table_name": table,
            "first_day": first_day,
            "last_day": last_day,
            "token": secrets.token_hex(8),
        }
        for table in tables
        for step in following_steps(table)
    ]
    if rows:
        connection.execute(insert(pending_steps).values(rows))


def read(connection: Connection, step: str | None = None) -> Sequence[PendingStep]:
    """Returns what a step, or any, has yet to see."""
    columns = pending_steps.c
    pending = select(columns.step, columns.table_name, columns.first_day, columns.last_day, columns.token)
    if step is not None:
        pending = pending.where(columns.step == step)
    return [
        PendingStep(name, table, (first_day, last_day) if first_day and last_day else None, token)
        for name, table, first_day, last_day, token in connection.execute(pending)
    ]


def remove(connection: Connection, seen: Sequence[PendingStep]) -> None:
    """Removes what a step has seen; rows that were written since stay."""
    connection.execute(delete(pending_steps).where(pending_steps.c.token.in_([pending.token for pending in seen])))
