"""The work by hand: one DuckDB script with explicit columns and bundled songs; nothing inspected, no error kept.

It builds the star, or with a fifth argument `everything` the marts and the queries' results as well.
"""

import sys
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import duckdb

SQL = Path(__file__).parent.parent / "sparkify_dagster" / "sql"
LOG_COLUMNS = {
    "artist": "VARCHAR", "auth": "VARCHAR", "firstName": "VARCHAR", "gender": "VARCHAR", "itemInSession": "INTEGER",
    "lastName": "VARCHAR", "length": "DECIMAL(10, 5)", "level": "VARCHAR", "location": "VARCHAR", "method": "VARCHAR",
    "page": "VARCHAR", "registration": "DOUBLE", "sessionId": "BIGINT", "song": "VARCHAR", "status": "INTEGER",
    "ts": "BIGINT", "userAgent": "VARCHAR", "userId": "VARCHAR",
}  # fmt: skip
SONG_COLUMNS = {
    "num_songs": "INTEGER", "artist_id": "VARCHAR", "artist_latitude": "DECIMAL(9, 6)",
    "artist_longitude": "DECIMAL(9, 6)", "artist_location": "VARCHAR", "artist_name": "VARCHAR", "song_id": "VARCHAR",
    "title": "VARCHAR", "duration": "DECIMAL(10, 5)", "year": "INTEGER",
}  # fmt: skip


TOUCHED_USERS = "SELECT DISTINCT user_id FROM staging.staging_events WHERE user_id IS NOT NULL"
TOUCHED_SESSIONS = "SELECT DISTINCT session_id FROM staging.staging_events WHERE session_id IS NOT NULL"
VIEWS = ("staging/current_songs", "staging/song_matches")
# In an order in which each can be built.
STAR = ("staging/user_days", "star/users", "star/songs", "star/artists", "star/songplays", "star/time")
MARTS = (
    "staging/level_days",
    "staging/session_days",
    "product/events",
    "product/user_levels",
    "product/sessions",
    "product/daily_activity",
)
QUERIES = tuple(sorted(f"analytics/{path.stem}" for path in (SQL / "analytics").glob("*.sql")))
# The star has no schema of its own.
SCHEMA_OF_FOLDER = {"staging": "staging", "star": "main", "product": "product", "analytics": "analytics"}


def repaired(text: str) -> str:
    """Returns an expression that undoes the double encoding of a text; most texts are ASCII, which is seen at once."""
    once = _decoded(text)
    return f"CASE WHEN strlen({text}) = length({text}) THEN {text} ELSE coalesce({_decoded(once)}, {once}, {text}) END"


def _decoded(text: str) -> str:
    """Returns an expression that decodes as UTF-8 what was read as Latin-1: NULL if it was not."""
    # A control character has one digit, and occurs in no title.
    byte = "CASE WHEN unicode(c) < 256 THEN hex(unicode(c)) ELSE 'none' END"
    return f"TRY(decode(unhex(array_to_string(list_transform(string_split({text}, ''), lambda c: {byte}), ''))))"


def read_events(files: object) -> str:
    """Returns a SELECT of what staging has of the log files, a pattern or a list."""
    return f"""
        SELECT
            artist, auth, firstName AS first_name, gender, itemInSession AS item_in_session, lastName AS last_name,
            length, level, location, method, page, epoch_ms(CAST(registration AS BIGINT)) AS registration,
            sessionId AS session_id, song, status, epoch_ms(ts) AS ts, userAgent AS user_agent,
            CAST(NULLIF(userId, '') AS BIGINT) AS user_id, CAST(epoch_ms(ts) AS DATE) AS log_date, ts AS epoch_ms,
            rtrim({repaired("song")}, ' ') AS match_song, rtrim({repaired("artist")}, ' ') AS match_artist
        FROM read_json({files!r}, columns = {LOG_COLUMNS}, format = 'newline_delimited') AS log
    """


def read_songs(files: object) -> str:
    """Returns a SELECT of what staging has of the song files, a pattern or a list."""
    return f"""
        SELECT
            *, song_id AS source_key, 1 AS object_number, rtrim(title, ' ') AS match_title,
            rtrim(artist_name, ' ') AS match_artist
        FROM read_json({files!r}, columns = {SONG_COLUMNS}, format = 'newline_delimited') AS song
    """


def table_name(file: str) -> str:
    """Returns the table or view that a file of the folder sql/ builds, with its schema."""
    folder, _, name = file.partition("/")
    return f"{SCHEMA_OF_FOLDER[folder]}.{name}"


def select(file: str, first_day: date, last_day: date) -> str:
    """Returns the SELECT of a file of the folder sql/, verbatim but for its parameters."""
    values = {
        ":first_day": f"DATE '{first_day}'",
        ":last_day": f"DATE '{last_day}'",
        ":end_day": f"DATE '{last_day + timedelta(days=1)}'",
    }
    sql = (SQL / f"{file}.sql").read_text("utf-8")
    for parameter, value in values.items():
        sql = sql.replace(parameter, value)
    return sql


def main(source: str, database: str, first_day: str, last_day: str, what: str = "star") -> None:
    days = date.fromisoformat(first_day), date.fromisoformat(last_day)
    logs = sorted(map(str, Path(source, "log_data").rglob("*-events.json")))
    bundle = Path(database).with_suffix(".songs.json")
    bundle.write_bytes(b"\n".join(path.read_bytes() for path in Path(source, "song_data").rglob("*.json")))
    with duckdb.connect(database) as connection:
        run = connection.execute

        def build(files: Iterable[str], kind: str = "TABLE") -> None:
            for file in files:
                run(f"CREATE {kind} {table_name(file)} AS {select(file, *days)}")

        run("SET preserve_insertion_order = false")
        for schema in ("staging", "product", "analytics"):
            run(f"CREATE SCHEMA {schema}")
        run(f"CREATE TABLE staging.staging_events AS {read_events(logs)}")
        run(f"CREATE TABLE staging.staging_songs AS {read_songs(str(bundle))}")
        run(f"CREATE TEMP TABLE touched_users AS {TOUCHED_USERS}")
        build(VIEWS, "VIEW")
        build(STAR)
        if what == "everything":
            run(f"CREATE TEMP TABLE touched_sessions AS {TOUCHED_SESSIONS}")
            build((*MARTS, *QUERIES))


if __name__ == "__main__":
    main(*sys.argv[1:])
