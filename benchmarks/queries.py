"""Cost of the analytics queries on DuckDB: `make benchmark-queries` (some minutes for ten million plays).

`sparkify etl` loads a simulated month and refreshes the queries. Then, in this process and on that warehouse, these are
timed: hashing every row of the star and the marts, running each query, and refreshing all of them when nothing
changed, when a play changed, and when only an artist changed.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from simulated import simulate
from sqlalchemy import Table, func, select, text, update
from workplace import SPARKIFY, Workplace

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.query import Query, all_queries
from sparkify_dagster.schema.tables import artists, key_columns, songplays
from sparkify_dagster.warehouse import table_versions
from sparkify_dagster.warehouse.duckdb import DuckDBWarehouse

# A hundred simulated users play 5,636 songs in a month.
PLAYS_PER_USER = 56


def timed(what: str, work: Callable[[], object]) -> None:
    started = time.perf_counter()
    result = work()
    print(f"{what:<50}{time.perf_counter() - started:>9.2f} s   {result}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plays", type=int, default=10_000_000)
    parser.add_argument("--songs", type=int, default=15_000)
    parser.add_argument("--folder", type=Path, help="Folder of the simulated month, kept for later runs.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        source = simulate(folder / "month", users=arguments.plays // PLAYS_PER_USER, songs=arguments.songs)
        place = folder / "place"
        if not place.exists():
            workplace = Workplace(place, source)
            workplace.environment["SPARKIFY_EXPECTED_RESULTS"] = str(source / "expected")
            timed("sparkify etl, queries and their checks included", lambda: workplace.seconds(SPARKIFY, "etl"))
        time_queries(DuckDBWarehouse(path=str(place / ".sparkify" / "warehouse.duckdb")))


def time_queries(warehouse: DuckDBWarehouse) -> None:
    queries = list(all_queries().values())
    with warehouse.connect("a benchmark") as engine:

        def count(sql: str) -> int:
            with engine.begin() as connection:
                return int(connection.execute(text(sql)).scalar_one())

        def audit() -> str:
            with engine.begin() as connection:
                changed = table_versions.changed_by_hand(connection)
            return f"{count('SELECT count(*) FROM songplays'):,} plays, changed by hand: {changed or '-'}"

        def refresh_all() -> str:
            results, failed = refresh.refresh(warehouse, engine, queries)
            assert not failed
            recomputed = [result.query.name for result in results if result.recomputed]
            return f"{len(recomputed)} of {len(results)} recomputed: {', '.join(recomputed) or '-'}"

        def run(query: Query) -> str:
            with engine.begin() as connection:
                return f"{len(refresh.run_query(warehouse, connection, query)):,} rows"

        def change(table: Table, column: str) -> Callable[[], str]:
            (key,) = key_columns(table)

            def work() -> str:
                with engine.begin() as connection:
                    first = table.c[key] == connection.scalar(select(func.min(table.c[key])))
                    with table_versions.rewriting(connection, table, first):
                        connection.execute(update(table).where(first).values({column: "other"}))
                return refresh_all()

            return work

        timed("hashing every row", audit)
        for query in queries:
            timed(f"  {query.name}", partial(run, query))
        timed("refresh, nothing changed", refresh_all)
        timed("refresh, nothing changed, again", refresh_all)
        for table, column in ((songplays, "level"), (artists, "location")):
            timed(f"refresh, a row of {table.name} changed", change(table, column))


if __name__ == "__main__":
    main()
