"""What the analysts' queries cost on DuckDB: `make benchmark-queries` (some minutes for ten million plays).

A simulated month is loaded by `sparkify etl`, which answers the queries too. Then, in this process and on that
warehouse: what it takes to look through the star, to ask each query, and to bring all answers up to date when
nothing has changed, when a play has, and when only an artist has.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cost import SPARKIFY, Workplace, simulate
from sqlalchemy import text

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.query import Query, all_queries
from sparkify_dagster.schema.tables import STAR_TABLES
from sparkify_dagster.warehouse.duckdb import DuckDBWarehouse

# A hundred simulated users play 6,745 songs in a month.
PLAYS_A_USER = 67


def timed(what: str, work: Callable[[], object]) -> None:
    started = time.perf_counter()
    result = work()
    print(f"{what:<50}{time.perf_counter() - started:>9.2f} s   {result}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plays", type=int, default=10_000_000)
    parser.add_argument("--songs", type=int, default=15_000)
    parser.add_argument("--folder", type=Path, help="Where the simulated month is kept, to be used again.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        source = simulate(folder / "month", users=arguments.plays // PLAYS_A_USER, songs=arguments.songs)
        place = folder / "place"
        if not place.exists():
            workplace = Workplace(place, source)
            workplace.environment["SPARKIFY_EXPECTED_RESULTS"] = str(source / "expected")
            timed("sparkify etl, queries and their checks included", lambda: workplace.seconds(SPARKIFY, "etl"))
        ask_all(DuckDBWarehouse(path=str(place / ".sparkify" / "warehouse.duckdb")))


def ask_all(warehouse: DuckDBWarehouse) -> None:
    queries = list(all_queries().values())
    with warehouse.connect("a benchmark") as engine:

        def count(sql: str) -> int:
            with engine.begin() as connection:
                return int(connection.execute(text(sql)).scalar_one())

        def fingerprints() -> str:
            with engine.begin() as connection:
                for table in STAR_TABLES:
                    warehouse.fingerprint(connection, table)
            return f"{count('SELECT count(*) FROM songplays'):,} plays"

        def refresh_all() -> str:
            answered, failed = refresh.refresh(warehouse, engine, queries)
            assert not failed
            asked = [answer.query.name for answer in answered if answer.asked]
            return f"{len(asked)} of {len(answered)} asked: {', '.join(asked) or '-'}"

        def run(query: Query) -> str:
            with engine.begin() as connection:
                return f"{len(refresh.ask(warehouse, connection, query)):,} rows"

        def change(sql: str) -> Callable[[], str]:
            def work() -> str:
                with engine.begin() as connection:
                    connection.execute(text(sql))
                return refresh_all()

            return work

        timed("looking through the star", fingerprints)
        for query in queries:
            timed(f"  {query.name}", partial(run, query))
        timed("all answers, when nothing has changed", refresh_all)
        timed("all answers, when nothing has changed, again", refresh_all)
        for table, column, key in (("songplays", "level", "songplay_id"), ("artists", "location", "artist_id")):
            update = f"UPDATE {table} SET {column} = 'other' WHERE {key} = (SELECT MIN({key}) FROM {table})"
            timed(f"all answers, when a row of {table} has changed", change(update))


if __name__ == "__main__":
    main()
