"""Column metadata of the tables: schema, lineage and diagram."""

import base64
import re
from xml.etree import ElementTree

import pytest
from dagster import AssetKey, TableColumn, TableColumnDep
from sqlalchemy import Table

from sparkify_dagster.presentation.columns import column_lineage, column_schema, lineage_diagram
from sparkify_dagster.schema import tables

SHOWN = (tables.staging_events, tables.staging_songs, *tables.STAR_TABLES)
IDS = tuple(table.name for table in SHOWN)
SVG = "{http://www.w3.org/2000/svg}"


def shown_column(table: Table, name: str) -> TableColumn:
    return next(column for column in column_schema(table).columns if column.name == name)


def diagram(table: Table) -> ElementTree.Element:
    """Returns the parsed SVG of the Markdown."""
    markdown = lineage_diagram(table).value
    image = re.fullmatch(r"!\[Column lineage of (\w+)\]\(data:image/svg\+xml;base64,([\w+/=]+)\)", markdown or "")
    assert image is not None
    assert image[1] == table.name
    return ElementTree.fromstring(base64.b64decode(image[2]))


def texts(table: Table) -> list[str]:
    return [text.text or "" for text in diagram(table).iter(f"{SVG}text")]


@pytest.mark.parametrize("table", SHOWN, ids=IDS)
def test_schema_has_every_column_with_its_comment_and_source(table: Table) -> None:
    schema = column_schema(table)
    assert [column.name for column in schema.columns] == [column.name for column in table.columns]
    for shown, column in zip(schema.columns, table.columns, strict=True):
        assert column.comment
        assert shown.description is not None
        assert shown.description.startswith(f"{column.comment} ← ")
        assert shown.constraints.nullable == column.nullable


def test_personal_columns_are_tagged() -> None:
    tagged = [column.name for column in column_schema(tables.staging_events).columns if column.tags]
    assert tagged == ["first_name", "last_name", "location", "user_agent"]
    assert not any(column.tags for column in column_schema(tables.artists).columns)


@pytest.mark.parametrize(
    ("table", "name", "description"),
    [
        (
            tables.songplays,
            "song_id",
            "Song; NULL if no song matches ← staging_songs.song_id, joined on title, artist_name, duration",
        ),
        (
            tables.songplays,
            "songplay_id",
            "MD5 of the event's identity, the same after every reload"
            " ← staging_events.user_id, session_id, item_in_session, epoch_ms, as MD5(…)",
        ),
        (tables.time, "hour", "0 to 23 ← songplays.start_time, as EXTRACT(HOUR FROM start_time)"),
        (tables.staging_events, "first_name", "User's first name ← log_data.firstName"),
        (
            tables.staging_events,
            "log_date",
            "UTC date of the event and of its log file: the partition ← name of the log_data file",
        ),
        (
            tables.staging_events,
            "match_song",
            "song with its encoding repaired, without trailing blanks ← log_data.song",
        ),
        (tables.staging_songs, "title", "Title of the song ← song_data.title"),
    ],
)
def test_description_ends_with_the_source(table: Table, name: str, description: str) -> None:
    assert shown_column(table, name).description == description


@pytest.mark.parametrize(
    ("table", "name", "type_name"),
    [
        (tables.songplays, "song_id", "VARCHAR(64)"),
        (tables.songplays, "start_time", "TIMESTAMP"),
        (tables.songs, "duration", "DECIMAL(10,5)"),
        (tables.artists, "latitude", "DECIMAL(9,6)"),
        (tables.time, "hour", "SMALLINT"),
    ],
)
def test_types_match_the_ddl(table: Table, name: str, type_name: str) -> None:
    assert shown_column(table, name).type == type_name


def test_only_a_key_of_one_column_is_unique() -> None:
    unique = {
        (table.name, column.name)
        for table in SHOWN
        for column in column_schema(table).columns
        if column.constraints.unique
    }
    assert unique == {
        ("songplays", "songplay_id"),
        ("users", "user_id"),
        ("songs", "song_id"),
        ("artists", "artist_id"),
        ("time", "start_time"),
    }


def test_lineage_names_assets() -> None:
    songplays = column_lineage(tables.songplays).deps_by_column
    assert songplays["song_id"] == [TableColumnDep(AssetKey("staging_songs"), "song_id")]
    assert songplays["start_time"] == [TableColumnDep(AssetKey("staging_events"), "ts")]
    events = column_lineage(tables.staging_events).deps_by_column
    assert events["user_id"] == [TableColumnDep(AssetKey("log_data"), "userId")]
    assert events["epoch_ms"] == [TableColumnDep(AssetKey("log_data"), "ts")]
    assert events["log_date"] == []


@pytest.mark.parametrize("table", SHOWN, ids=IDS)
def test_diagram_has_every_column_and_one_line_per_source(table: Table) -> None:
    lineage = column_lineage(table).deps_by_column
    assert set(texts(table)) >= {table.name, *lineage} | {
        text for deps in lineage.values() for dep in deps for text in (dep.asset_key.to_user_string(), dep.column_name)
    }
    lines = [path for path in diagram(table).iter(f"{SVG}path") if path.get("class") == "line"]
    assert len(lines) == sum(len(deps) for deps in lineage.values())


def test_diagram_names_the_columns_that_songs_are_joined_on() -> None:
    assert texts(tables.songplays).count("joined on title, artist_name, duration") == 1
    dashed = [path for path in diagram(tables.songplays).iter(f"{SVG}path") if path.get("stroke-dasharray")]
    assert len(dashed) == len(["song_id", "artist_id"])


def test_diagram_is_deterministic() -> None:
    assert lineage_diagram(tables.songplays) == lineage_diagram(tables.songplays)
