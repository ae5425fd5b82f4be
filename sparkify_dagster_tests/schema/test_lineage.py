"""The origins that lineage reads from the SQL, against what the SQL is known to mean."""

import subprocess
import sys

import pytest
from sqlalchemy import Table

from sparkify_dagster.schema import lineage
from sparkify_dagster.schema.lineage import ColumnOrigin, SqlFileError, column_origins, source_tables
from sparkify_dagster.schema.product_tables import PRODUCT_TABLES, level_days, session_days
from sparkify_dagster.schema.sql_files import select_sql
from sparkify_dagster.schema.tables import STAR_TABLES, is_personal, metadata, staging_events, user_days

BUILT = (*STAR_TABLES, *PRODUCT_TABLES, user_days, level_days, session_days)
COUNTS = ("COUNT(*)", "SUM(events)", "COALESCE(songs, 0)")
BUILT_NAMES = tuple(table.name for table in BUILT)


@pytest.mark.parametrize("table", BUILT, ids=BUILT_NAMES)
def test_a_select_has_the_columns_of_its_table_in_order(table: Table) -> None:
    assert list(column_origins(table.name)) == [column.name for column in table.columns]


@pytest.mark.parametrize("table", BUILT_NAMES)
def test_every_column_comes_from_existing_columns_of_assets(table: str) -> None:
    columns = {(source.name, column.name) for source in metadata.tables.values() for column in source.columns}
    for name, origin in column_origins(table).items():
        # A count of rows comes from no column.
        assert origin.sources or origin.expression in COUNTS, f"{table}.{name} has no origin"
        assert set(origin.sources) <= columns
        assert {source for source, _ in origin.sources} <= source_tables(table)


@pytest.mark.parametrize("table", BUILT, ids=BUILT_NAMES)
def test_just_the_columns_that_come_from_personal_ones_are_personal(table: Table) -> None:
    personal = {(staging_events.name, column.name) for column in staging_events.columns if is_personal(column)}
    made_of_them = {name for name, origin in column_origins(table.name).items() if personal & set(origin.sources)}
    assert {column.name for column in table.columns if is_personal(column)} == made_of_them


def test_names_location_and_browser_of_a_listener_are_personal() -> None:
    found = {f"{table.name}.{column.name}" for table in BUILT for column in table.columns if is_personal(column)}
    assert found == {
        *("songplays.location", "songplays.user_agent"),
        *("users.first_name", "users.last_name"),
        *("user_days.first_name", "user_days.last_name"),
    }


def test_no_column_of_the_marts_comes_from_a_name_a_place_or_a_browser() -> None:
    personal = {column.name for column in staging_events.columns if is_personal(column)}
    assert personal == {"first_name", "last_name", "location", "user_agent"}
    read = {
        f"{table}.{column}"
        for mart in PRODUCT_TABLES
        for origin in column_origins(mart.name).values()
        for table, column in origin.sources
    }
    assert {source.partition(".")[0] for source in read} == {"staging_events"}
    assert not personal & {source.partition(".")[2] for source in read}


@pytest.mark.parametrize(
    ("table", "sources"),
    [
        ("songplays", {"staging_events", "staging_songs"}),
        ("users", {"staging_events"}),
        ("songs", {"staging_songs"}),
        ("artists", {"staging_songs"}),
        ("time", {"songplays"}),
        ("user_days", {"staging_events"}),
        ("user_levels", {"staging_events"}),
        ("sessions", {"staging_events"}),
    ],
)
def test_source_tables_look_through_views_and_user_days(table: str, sources: set[str]) -> None:
    assert source_tables(table) == sources


@pytest.mark.parametrize("column", ["song_id", "artist_id"])
def test_a_matched_song_says_what_it_was_matched_on(column: str) -> None:
    assert column_origins("songplays")[column] == ColumnOrigin(
        sources=(("staging_songs", column),), joined_on=("match_title", "match_artist", "duration")
    )


@pytest.mark.parametrize(
    ("table", "column", "source"),
    [
        ("songplays", "start_time", ("staging_events", "ts")),
        ("songplays", "user_agent", ("staging_events", "user_agent")),
        ("users", "level", ("staging_events", "level")),
        ("songs", "title", ("staging_songs", "title")),
        ("artists", "name", ("staging_songs", "match_artist")),
        ("artists", "longitude", ("staging_songs", "artist_longitude")),
        ("time", "start_time", ("songplays", "start_time")),
    ],
)
def test_a_copied_column_has_one_source_and_no_join(table: str, column: str, source: tuple[str, str]) -> None:
    # artists joins itself by artist_id, which matches nothing with anything.
    assert column_origins(table)[column] == ColumnOrigin(sources=(source,))


@pytest.mark.parametrize(
    ("table", "column", "sources", "expression"),
    [
        ("time", "hour", (("songplays", "start_time"),), "EXTRACT(HOUR FROM start_time)"),
        ("songs", "year", (("staging_songs", "year"),), "NULLIF(year, 0)"),
        (
            "songplays",
            "songplay_id",
            tuple(("staging_events", name) for name in ("user_id", "session_id", "item_in_session", "epoch_ms")),
            "MD5(…)",
        ),
    ],
)
def test_a_computed_column_says_how(
    table: str, column: str, sources: tuple[tuple[str, str], ...], expression: str
) -> None:
    assert column_origins(table)[column] == ColumnOrigin(sources=sources, expression=expression)


@pytest.mark.parametrize(
    ("table", "right", "wrong", "message"),
    [
        (
            "songplays",
            "e.match_artist AS",
            "e.match_artisst AS",
            "songplays.sql, line 17: e.match_artisst: staging_events has no such column; it has artist, auth, ",
        ),
        (
            "songplays",
            "e.length = m.duration",
            "e.length = m.durration",
            "songplays.sql, line 24: m.durration: song_matches has no such column; it has ",
        ),
        ("users", "u.recency", "u.recent", "users.sql, line 24: u.recent: u has no such column; it has user_id, "),
        ("users", "d.user_id,", "d.user_idd,", "users.sql, line 11: d.user_idd: user_days has no such column"),
        ("songplays", "e.match_song AS", "x.match_song AS", "songplays.sql: x names no table of: SELECT MD5("),
        ("time", "SELECT", "SELEKT", "time.sql, line "),
        (
            "song_matches",
            "m.song_id,",
            "m.song,",
            "song_matches.sql, line 6: m.song: m has no such column; it has match_title",
        ),
    ],
)
@pytest.mark.usefixtures("nothing_parsed")
def test_a_mistake_in_our_sql_is_one_line_that_names_the_file(
    monkeypatch: pytest.MonkeyPatch, table: str, right: str, wrong: str, message: str
) -> None:
    assert right in select_sql(table)
    edited = select_sql(table).replace(right, wrong)
    monkeypatch.setattr(lineage, "select_sql", lambda name: edited if name == table else select_sql(name))
    # Otherwise the origins would be those of the SQL before the edit.
    column_origins.cache_clear()
    builds = "songplays" if table == "song_matches" else table
    with pytest.raises(SqlFileError) as caught:
        column_origins.__wrapped__(builds)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_importing_lineage_does_not_import_sqlglot() -> None:
    code = "import sys, sparkify_dagster.schema.lineage; sys.exit('sqlglot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
