"""Compares each analytics table with its expected result, if expected results are configured."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial

import dagster as dg
from sqlalchemy import Connection, func, select

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.comparison import MATCHES_EXPECTED, TOLERANCE, compare
from sparkify_dagster.analytics.expected import ExpectedResults, ExpectedResultsError, Values
from sparkify_dagster.analytics.query import Query, all_queries
from sparkify_dagster.analytics.refresh import stored_result
from sparkify_dagster.checks.check_results import Metadata, is_settled
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.partitions import is_in_window
from sparkify_dagster.presentation.rows import SHOWN_ROWS, rows_metadata
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.schema.column_types import ANALYTICS_SCHEMA
from sparkify_dagster.schema.tables import loaded_objects, rejected_loads
from sparkify_dagster.sources.object_store import SourceError
from sparkify_dagster.sources.source import Source
from sparkify_dagster.warehouse import staging_tables
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.ddl import columns_in

# Metadata of a check that fails while parts of the source are not loaded, which may be the cause.
NOT_LOADED = "not_loaded"
NOT_MATERIALIZED = "not materialized yet: materialize it"


@dg.multi_asset_check(
    name="check_queries",
    specs=[
        dg.AssetCheckSpec(
            MATCHES_EXPECTED,
            asset=name,
            description="The result over all days matches the expected result in SPARKIFY_EXPECTED_RESULTS. "
            f"{TOLERANCE} Warns while parts of the source are not loaded.",
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
    purpose = f"checks of run {context.run.run_id}"
    to_compare: dict[str, Sequence[Values]] = {}
    with as_dagster_failures():
        # Before the files are read: one that changes in between is compared again.
        digest = _digest(expected)
        settled: set[str] = set()
        for key in sorted(context.selected_asset_check_keys):
            query = all_queries()[key.asset_key.path[-1]]
            try:
                rows = expected.read(query)
            except ExpectedResultsError as error:
                yield _result(query, str(error))
                continue
            if rows is None:
                description = f"no expected result: {query.name}.csv not found in {expected.location}"
                yield _result(query, description, severity=dg.AssetCheckSeverity.WARN)
                settled.add(query.name)
            else:
                to_compare[query.name] = rows

        def compare_all(connection: Connection) -> tuple[Mapping[str, dg.AssetCheckResult], Mapping[str, str]]:
            # Listing the source is slow, and needed only if a result differs.
            not_loaded = cache(partial(_not_loaded, connection, source))
            materialized = columns_in(connection, ANALYTICS_SCHEMA)
            results = {
                name: _compare(connection, all_queries()[name], rows, not_loaded)
                if name in materialized
                else _result(all_queries()[name], NOT_MATERIALIZED, severity=dg.AssetCheckSeverity.WARN)
                for name, rows in to_compare.items()
            }
            return results, refresh.result_versions(connection)

        results, versions = warehouse.read(purpose, compare_all)
        settled |= {name for name, result in results.items() if is_settled(result)}
        compared = [versions[name] for name in sorted(settled & versions.keys())]
        if digest is not None and compared:
            warehouse.run(purpose, lambda connection: refresh.note_compared(connection, compared, digest))
    yield from results.values()


def _digest(expected: ExpectedResults) -> str | None:
    """Returns the digest of the files; None if they cannot be listed, so that each run compares with them."""
    try:
        return expected.digest()
    except SourceError:
        return None


def _compare(
    connection: Connection, query: Query, expected: Sequence[Values], not_loaded: Callable[[], Sequence[str]]
) -> dg.AssetCheckResult:
    comparison = compare(query, expected, stored_result(connection, query))
    metadata: Metadata = {"expected_rows": comparison.expected_rows, "rows": comparison.found_rows}
    if comparison.differences:
        metadata["first_differences"] = rows_metadata(comparison.side_by_side(SHOWN_ROWS, show_personal=False))
    # Expected results are those of the whole source.
    cause = "" if comparison.matches_expected else ", ".join(not_loaded())
    if cause:
        metadata[NOT_LOADED] = cause
    return _result(
        query,
        f"{comparison}{_suffix(cause)}",
        passed=comparison.matches_expected,
        severity=dg.AssetCheckSeverity.WARN if cause else dg.AssetCheckSeverity.ERROR,
        metadata=metadata,
    )


def comparison_text(check: dg.AssetCheckEvaluation) -> str:
    """Returns the check's description without the parts that are not loaded, which are the same for all queries."""
    cause = check.metadata.get(NOT_LOADED)
    return (check.description or "").removesuffix(_suffix(str(cause.value)) if cause else "")


def _suffix(cause: str) -> str:
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
    """Describes the parts of the source that are not in the star: missing, rejected, or songs still to be matched."""
    days = {day for day in source.list_log_files().by_day if is_in_window(day)}
    rejected_days = set(connection.scalars(select(rejected_loads.c.log_date)))
    missing_days = days - set(staging_tables.staged_days(connection)) - rejected_days
    missing_songs = {file.key for file in source.list_song_files().files} - staging_tables.staged_song_files(
        connection
    ).keys()
    errors = connection.scalar(select(func.sum(loaded_objects.c.errors))) or 0
    parts = []
    if missing_days:
        parts.append(f"{len(missing_days):,} of {pluralize(len(days), 'day')}")
    if missing_songs:
        parts.append(pluralize(len(missing_songs), "song file"))
    if rejected_days & days:
        parts.append(pluralize(len(rejected_days & days), "rejected day"))
    if None in rejected_days:
        parts.append("the rejected songs")
    if errors:
        parts.append(pluralize(int(errors), "rejected record"))
    if pending := staging_tables.pending_days(connection):
        parts.append(f"the changed songs of {pluralize(len(pending), 'day')}")
    return parts
