"""Whether the queries' answers are as expected, where somebody has written down what is expected."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial

import dagster as dg
from sqlalchemy import Connection, func, select

from sparkify_dagster.analytics.comparison import TOLERANCE, compare
from sparkify_dagster.analytics.expected import ExpectedError, ExpectedResults, Values
from sparkify_dagster.analytics.query import Query, all_queries
from sparkify_dagster.analytics.refresh import stored_result
from sparkify_dagster.checks.check_results import Metadata
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.partitions import is_in_window
from sparkify_dagster.presentation.rows import SHOWN_ROWS, rows_metadata
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.schema.tables import ANALYTICS_SCHEMA, loaded_objects, rejected_loads
from sparkify_dagster.sources.source import Source
from sparkify_dagster.warehouse import load_log
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.ddl import columns_in

MATCHES_EXPECTED = "matches_expected"
# The metadata that says what of the source the warehouse lacks, where an answer differs and that may be why.
NOT_LOADED = "not_loaded"
NOT_ASKED = "it has not been asked yet: materialize it"


@dg.multi_asset_check(
    name="check_queries",
    specs=[
        dg.AssetCheckSpec(
            MATCHES_EXPECTED,
            asset=name,
            description=f"The answer, over all days, is the expected one of SPARKIFY_EXPECTED_RESULTS. {TOLERANCE}",
        )
        for name in all_queries()
    ],
    can_subset=True,
)
def check_queries(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    source: Source,
    expected: ExpectedResults,
) -> Iterator[dg.AssetCheckResult]:
    to_compare: dict[str, Sequence[Values]] = {}
    with as_dagster_failures():
        for key in sorted(context.selected_asset_check_keys):
            query = all_queries()[key.asset_key.path[-1]]
            try:
                rows = expected.of(query)
            except ExpectedError as error:
                yield _result(query, str(error))
                continue
            if rows is None:
                nowhere = f"nothing is expected: there is no {query.name}.csv in {expected.location}"
                yield _result(query, nowhere, severity=dg.AssetCheckSeverity.WARN)
            else:
                to_compare[query.name] = rows

        def look(connection: Connection) -> list[dg.AssetCheckResult]:
            # Listing the source takes its time, and is needed only where an answer differs.
            not_loaded = cache(partial(_not_loaded, connection, source))
            asked = columns_in(connection, ANALYTICS_SCHEMA)
            return [
                _compare(connection, all_queries()[name], rows, not_loaded)
                if name in asked
                else _result(all_queries()[name], NOT_ASKED, severity=dg.AssetCheckSeverity.WARN)
                for name, rows in to_compare.items()
            ]

        yield from warehouse.run(f"checks of run {context.run.run_id}", look)


def _compare(
    connection: Connection, query: Query, expected: Sequence[Values], not_loaded: Callable[[], Sequence[str]]
) -> dg.AssetCheckResult:
    comparison = compare(query, expected, stored_result(connection, query))
    metadata: Metadata = {"expected_rows": comparison.expected, "rows": comparison.found}
    if comparison.differences:
        metadata["first_differences"] = rows_metadata(comparison.side_by_side(SHOWN_ROWS, show_personal=False))
    # What is expected is expected of the whole source.
    missing = [] if comparison.matches_expected else not_loaded()
    cause = ", ".join(missing)
    if cause:
        metadata[NOT_LOADED] = cause
    return _result(
        query,
        f"{comparison}{_because_of(cause)}",
        passed=comparison.matches_expected,
        severity=dg.AssetCheckSeverity.WARN if missing else dg.AssetCheckSeverity.ERROR,
        metadata=metadata,
    )


def how_it_compares(check: dg.AssetCheckEvaluation) -> str:
    """Returns the check's description without what is not loaded, which is the same for all answers."""
    cause = check.metadata.get(NOT_LOADED)
    return (check.description or "").removesuffix(_because_of(str(cause.value)) if cause else "")


def _because_of(cause: str) -> str:
    return f"; not loaded: {cause}" if cause else ""


def _result(
    query: Query,
    description: str,
    *,
    passed: bool = False,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    metadata: Metadata | None = None,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=query.name,
        check_name=MATCHES_EXPECTED,
        passed=passed,
        severity=severity,
        metadata=metadata,
        description=description,
    )


def _not_loaded(connection: Connection, source: Source) -> Sequence[str]:
    """Returns what of the source the warehouse does not hold, in words: days, song files and rejected records."""
    days = {day for day in source.list_log_files().by_day if is_in_window(day)}
    rejected_days = set(connection.scalars(select(rejected_loads.c.log_date)))
    missing_days = days - set(load_log.staged_days(connection)) - rejected_days
    missing_songs = {file.key for file in source.list_song_files().files} - load_log.staged_song_files(
        connection
    ).keys()
    errors = connection.scalar(select(func.sum(loaded_objects.c.errors))) or 0
    return [
        *([f"{len(missing_days):,} of {pluralize(len(days), 'day')}"] if missing_days else []),
        *([pluralize(len(missing_songs), "song file")] if missing_songs else []),
        *([f"{pluralize(len(rejected_days & days), 'rejected day')}"] if rejected_days & days else []),
        *(["the rejected songs"] if None in rejected_days else []),
        *([pluralize(int(errors), "rejected record")] if errors else []),
    ]
