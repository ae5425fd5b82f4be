"""The work by hand: one DuckDB script with explicit columns and bundled songs; nothing inspected, no error kept."""

import sys
from pathlib import Path

import duckdb

SQL = Path(__file__).parent.parent / "sparkify_dagster" / "sql"
EVENTS = """
    artist VARCHAR, auth VARCHAR, first_name VARCHAR, gender VARCHAR, item_in_session INTEGER, last_name VARCHAR,
    length DECIMAL(10, 5), level VARCHAR, location VARCHAR, method VARCHAR, page VARCHAR, registration TIMESTAMP,
    session_id BIGINT, song VARCHAR, status INTEGER, ts TIMESTAMP, user_agent VARCHAR, user_id BIGINT, log_date DATE,
    epoch_ms BIGINT, match_song VARCHAR, match_artist VARCHAR
"""
SONGS = """
    num_songs INTEGER, artist_id VARCHAR, artist_latitude DECIMAL(9, 6), artist_longitude DECIMAL(9, 6),
    artist_location VARCHAR, artist_name VARCHAR, song_id VARCHAR, title VARCHAR, duration DECIMAL(10, 5), year INTEGER,
    source_key VARCHAR, object_number INTEGER, match_title VARCHAR, match_artist VARCHAR
"""
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


def main(source: str, database: str, first_day: str, last_day: str) -> None:
    logs = sorted(map(str, Path(source, "log_data").rglob("*-events.json")))
    bundle = Path(database).with_suffix(".songs.json")
    bundle.write_bytes(b"\n".join(path.read_bytes() for path in Path(source, "song_data").rglob("*.json")))
    with duckdb.connect(database) as connection:
        run = connection.execute
        run("CREATE SCHEMA staging")
        run(f"CREATE TABLE staging.staging_events ({EVENTS})")
        run(f"CREATE TABLE staging.staging_songs ({SONGS})")
        run(
            """
            INSERT INTO staging.staging_events
            SELECT artist, auth, firstName, gender, itemInSession, lastName, length, level, location, method, page,
                epoch_ms(CAST(registration AS BIGINT)), sessionId, song, status, epoch_ms(ts), userAgent,
                CAST(NULLIF(userId, '') AS BIGINT), CAST(epoch_ms(ts) AS DATE), ts,
                rtrim(song, ' '), rtrim(artist, ' ')
            FROM read_json($1, columns = $2, format = 'newline_delimited')
            """.replace("$2", repr(LOG_COLUMNS)),
            [logs],
        )
        run(
            """
            INSERT INTO staging.staging_songs
            SELECT *, song_id, 1, rtrim(title, ' '), rtrim(artist_name, ' ')
            FROM read_json($1, columns = $2, format = 'newline_delimited')
            """.replace("$2", repr(SONG_COLUMNS)),
            [str(bundle)],
        )
        for view in ("current_songs", "song_matches"):
            run(f"CREATE VIEW staging.{view} AS {(SQL / 'staging' / f'{view}.sql').read_text()}")
        days = {":first_day": f"DATE '{first_day}'", ":last_day": f"DATE '{last_day}'", ":end_day": "DATE '9999-12-31'"}
        run("CREATE TEMP TABLE touched_users AS SELECT DISTINCT user_id FROM staging.staging_events")
        for table in ("user_days", "users", "songs", "artists", "songplays", "time"):
            select = (SQL / ("staging" if table == "user_days" else "star") / f"{table}.sql").read_text()
            for name, value in days.items():
                select = select.replace(name, value)
            run(f"CREATE TABLE {'staging.' if table == 'user_days' else ''}{table} AS {select}")


if __name__ == "__main__":
    main(*sys.argv[1:])
