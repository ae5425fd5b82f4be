"""Query files: the header, the checks of the SELECT, and the messages for invalid files."""

import re
from pathlib import Path

import pytest

from sparkify_dagster.analytics.query import Query, QueryError, all_queries, broken_queries, read_query
from sparkify_dagster.analytics.query_folders import query_folders
from sparkify_dagster.schema.tables import READ_TABLES, type_name

PLAYS_BY_LEVEL = """-- How many plays are there,
-- by level?
--
-- Asked by: Finance, every month.
-- Only plays with a level count.
--
-- Columns:
--   level  VARCHAR(64)   Level of the play
--   plays  BIGINT        Number of plays: by anybody
--   share  DECIMAL(7,4)  Their share
--
-- Chart: bar of plays by level
SELECT
    p.level,
    COUNT(*) AS plays,
    CAST(COUNT(*) AS DOUBLE PRECISION) / 2 AS share
FROM songplays AS p
WHERE p.start_time >= :first_day AND p.start_time < :end_day AND p.level IS NOT NULL
GROUP BY p.level
ORDER BY plays DESC, p.level ASC
"""


def read(folder: Path, sql: str, name: str = "plays_by_level.sql") -> Query:
    (folder / name).write_text(sql, "utf-8")
    return read_query(folder / name)


def test_a_header_documents_the_query_and_its_columns(tmp_path: Path) -> None:
    query = read(tmp_path, PLAYS_BY_LEVEL)
    assert query.name == "plays_by_level"
    assert query.title == "How many plays are there, by level?"
    assert query.asked_by == "Finance, every month."
    assert query.notes == "Only plays with a level count."
    assert query.table.fullname == "analytics.plays_by_level"
    assert [(column.name, type_name(column), column.comment) for column in query.table.columns] == [
        ("level", "VARCHAR(64)", "Level of the play"),
        ("plays", "BIGINT", "Number of plays: by anybody"),
        ("share", "DECIMAL(7,4)", "Their share"),
    ]
    assert query.chart is not None
    assert (query.chart.values, query.chart.by) == (("plays",), ("level",))


def test_the_order_and_the_tables_are_read_from_the_select(tmp_path: Path) -> None:
    query = read(tmp_path, PLAYS_BY_LEVEL)
    assert query.order == (("plays", True), ("level", False))
    assert query.reads == {"songplays"}
    assert read(tmp_path, PLAYS_BY_LEVEL.partition("ORDER BY")[0]).order == ()


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("-- Asked by: Finance, every month.\n", "", "plays_by_level.sql: the header has no line '-- Asked by: "),
        (
            "-- How many plays are there,\n-- by level?\n",
            "",
            "has no line '-- <the question that the query answers>'",
        ),
        (
            "BIGINT  ",
            "bigint  ",
            "plays_by_level.sql, line 9: 'plays  bigint        Number of plays: by",
        ),
        (
            "BIGINT  ",
            "NUMBER  ",
            "of the types SMALLINT, INTEGER, BIGINT, DATE, TIMESTAMP, DECIMAL(p,s) or VARCHAR(n)",
        ),
        ("--   plays  BIGINT ", "--   level  BIGINT ", "line 9: the column level is named twice"),
        (
            "--   share  DECIMAL(7,4)  Their share\n",
            "",
            "the SELECT returns level, plays, share, but the header lists level, plays",
        ),
        ("plays by level", "plays by user", "Chart: unknown column user; the columns are level, plays, share"),
        ("bar of plays by level", "pie of plays by level", "plays_by_level.sql, line 12: Chart: pie of plays by"),
        (
            "FROM songplays",
            "FROM staging.staging_events",
            "the SELECT reads staging.staging_events AS p, but may only",
        ),
        (
            "FROM songplays",
            "FROM songplay",
            "SELECT reads songplay AS p, but may only read the star and the marts: artists, product.d",
        ),
        ("p.level ASC", "p.user_id ASC", "ORDER BY p.user_id: only columns of the result are allowed"),
        ("SELECT\n", "SELEKT\n", "plays_by_level.sql, line 14: "),
        ("GROUP BY p.level", "GROUP p.level", "plays_by_level.sql, line 19: Invalid expression"),
        ("SELECT\n", "INSERT INTO users SELECT\n", "plays_by_level.sql, line 13: "),
        ("    p.level,\n", "    level,\n", "line 13: level names no table of: SELECT level, COUNT(*) AS plays"),
        (
            "COUNT(*) AS plays",
            "COUNT(*)",
            "line 13: a column of the SELECT has no name: write it as",
        ),
        ("ORDER BY plays", "ORDER BY 'plays", "line 13: a quote or a comment is opened and not closed"),
        ("COUNT(*) AS", "(" * 3000 + "1" + ")" * 3000 + " AS", "line 13: its expressions are nested too deeply"),
        ("ASC\n", "ASC;\nSELECT 1\n", "line 13: it is not one SELECT"),
        (
            "p.level ASC",
            "p.level || '\\n' ASC",
            "line 20: a backslash begins an escape on Redshift alone: write CHR(92)",
        ),
        ("p.level ASC", "p.level || ' -- \\n' ASC", "line 20: a backslash begins an escape on Redshift alone"),
        ("p.level ASC", "p.level || '\n\\' ASC", "line 21: a backslash begins an escape on Redshift alone"),
        ("p.level ASC", "p.level \\ ASC", "line 20: a backslash begins an escape on Redshift alone"),
        (
            "p.level IS NOT NULL",
            "p.user IS NOT NULL",
            "plays_by_level.sql, line 18: p.user: songplays has no such column; it has songplay_id, start_time, ",
        ),
        (":first_day", ":frist_day", "line 18: unknown parameter :frist_day; available: :first_day and :end_day"),
        ("-- Chart", "-- By day: date\n-- Chart", "plays_by_level.sql: By day: date is not a column of type DATE"),
        ("-- Chart", "-- By day: plays\n-- Chart", "plays_by_level.sql: By day: plays is not a column of type DATE"),
        ("VARCHAR(64) ", "VARCHAR(0) ", "line 8: 'level  VARCHAR(0)   Level of the play' is not a valid column"),
        ("DECIMAL(7,4)", "DECIMAL(4,7)", "line 10: 'share  DECIMAL(4,7)  Their share' is not a valid column"),
    ],
)
def test_an_invalid_file_is_one_line_with_the_remedy(tmp_path: Path, right: str, wrong: str, message: str) -> None:
    assert right in PLAYS_BY_LEVEL
    with pytest.raises(QueryError) as caught:
        read(tmp_path, PLAYS_BY_LEVEL.replace(right, wrong))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


BY_DAY = """-- How many events are there per day?
--
-- Asked by: The tests.
--
-- Columns:
--   day    DATE    Day
--   total  BIGINT  Events
--
-- By day: day
SELECT
    a.day,
    SUM(a.events) AS total
FROM product.daily_activity AS a
GROUP BY a.day
ORDER BY a.day
"""


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("SUM(a.events)", "SUM(SUM(a.events)) OVER (ORDER BY a.day)", "a window function or a LIMIT depends on the"),
        ("ORDER BY a.day\n", "ORDER BY a.day\nLIMIT 3\n", "a window function or a LIMIT depends on the rows of other"),
        (
            "AS a\n",
            "AS a\nINNER JOIN users AS u ON a.user_id = u.user_id\n",
            "users: one row is made of several days; such a query may read daily_activity, events, songplays, time",
        ),
    ],
)
def test_a_query_by_day_depends_on_no_other_day(tmp_path: Path, right: str, wrong: str, message: str) -> None:
    assert read(tmp_path, BY_DAY, "events_per_day.sql").by_day == "day"
    assert right in BY_DAY
    with pytest.raises(QueryError, match=r"^events_per_day\.sql, line 10: By day: " + re.escape(message)):
        read(tmp_path, BY_DAY.replace(right, wrong), "events_per_day.sql")


def test_a_backslash_in_a_comment_or_before_a_colon_is_allowed(tmp_path: Path) -> None:
    commented = PLAYS_BY_LEVEL.replace("p.level ASC", "p.level ASC -- it's a \\ in '\n/* \\ */")
    assert read(tmp_path, commented.replace("p.level IS NOT NULL", "p.level <> ' \\:x'")).columns


LISTENERS = """-- Who listens, where and by what?
--
-- Asked by: The tests.
--
-- Columns:
--   user_id   BIGINT         Listener
--   name      VARCHAR(1024)  Full name
--   initial   VARCHAR(1024)  First letter
--   area      VARCHAR(1024)  Area
--   areas     BIGINT         How many areas
--   level     VARCHAR(64)    Level
--   artist    VARCHAR(1024)  Where an artist comes from
--
-- Groups people: area
WITH listeners AS (
    SELECT
        u.user_id,
        u.FIRST_NAME || ' ' || u.last_name AS name
    FROM users AS u
)
SELECT
    l.user_id,
    l.name,
    LEFT(l.name, 1) AS initial,
    MAX(p.location) AS area,
    COUNT(DISTINCT p.location) AS areas,
    MAX(p.level) AS level,
    MAX(a.location) AS artist
FROM songplays AS p
INNER JOIN listeners AS l ON p.user_id = l.user_id
INNER JOIN artists AS a ON p.artist_id = a.artist_id
GROUP BY l.user_id, l.name
"""


def test_texts_derived_from_personal_columns_are_personal_unless_they_group_people(tmp_path: Path) -> None:
    assert read(tmp_path, LISTENERS, "listeners.sql").personal_columns == ("name", "initial")
    undeclared = LISTENERS.replace("-- Groups people: area\n", "")
    assert read(tmp_path, undeclared, "listeners.sql").personal_columns == ("name", "initial", "area")
    several = LISTENERS.replace("people: area", "people: initial,  area")
    assert read(tmp_path, several, "listeners.sql").personal_columns == ("name",)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("areaa", "unknown column areaa; the columns are user_id, name, initial, area, areas, level, artist"),
        ("", "unknown column ; "),
        ("level", "level is not a text derived from a listener's name, location or browser; it is shown anyway, so"),
        ("areas", "areas is not a text derived from"),
        ("artist", "artist is not a text derived from"),
    ],
)
def test_an_invalid_declaration_of_groups_people_is_one_line(tmp_path: Path, columns: str, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        read(tmp_path, LISTENERS.replace("people: area", f"people: {columns}"), "listeners.sql")
    assert str(caught.value).startswith(f"listeners.sql: Groups people: {message}")
    assert "\n" not in str(caught.value)


def test_the_projects_queries_show_people_only_by_id() -> None:
    shown = {name: query.personal_columns for name, query in all_queries().items()}
    assert shown["most_active_users"] == shown["level_changes"] == ("first_name", "last_name")
    assert shown["plays_by_area"] == ()


def test_an_unreadable_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "latin.sql").write_bytes("-- Müssen alle?".encode("latin-1"))
    with pytest.raises(QueryError, match=r"^latin.sql: not valid UTF-8: save the file as UTF-8$"):
        read_query(tmp_path / "latin.sql")
    (tmp_path / "folder.sql").mkdir()
    with pytest.raises(QueryError, match=r"^folder.sql: cannot be read: Is a directory$"):
        read_query(tmp_path / "folder.sql")


def test_the_projects_query_files_are_valid() -> None:
    assert broken_queries() == {}
    assert len(all_queries()) == sum(len(list(folder.path.glob("*.sql"))) for folder in query_folders())


@pytest.mark.parametrize("name", ["Top songs.sql", "songplays.sql", "staging_events.sql", f"{'a' * 64}.sql"])
def test_an_invalid_or_taken_name_is_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(QueryError, match=f"{name}: invalid name: use lower case"):
        read(tmp_path, PLAYS_BY_LEVEL, name)


@pytest.mark.parametrize("query", all_queries().values(), ids=list(all_queries()))
def test_the_projects_queries_are_documented_and_read_only_the_star(query: Query) -> None:
    assert query.title.endswith("?")
    assert query.asked_by.endswith(".")
    assert query.reads <= {table.name for table in READ_TABLES}
    assert all(column.comment for column in query.table.columns)
    # Both are needed to run a query for some days.
    assert ":first_day" in query.select
    assert ":end_day" in query.select
