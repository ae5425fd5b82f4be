"""Previews: the first rows of a table for its asset's page, without personal columns."""

from collections.abc import Mapping
from datetime import date

import dagster as dg
from sqlalchemy import ColumnElement, Connection, Table, select, true

from sparkify_dagster.presentation.rows import rows_metadata
from sparkify_dagster.schema import tables
from sparkify_dagster.schema.product_tables import daily_activity, events, sessions, user_levels
from sparkify_dagster.warehouse import transforms

PREVIEW_ROWS = 5
# The UI wraps longer texts, which makes a row as high as the page.
PREVIEW_CHARACTERS = 32

# A useful and deterministic order: latest first, or by key.
_ORDER: dict[Table, tuple[ColumnElement[object], ...]] = {
    tables.staging_events: (
        tables.staging_events.c.ts.desc(),
        tables.staging_events.c.session_id,
        tables.staging_events.c.item_in_session,
        tables.staging_events.c.user_id,
    ),
    tables.staging_songs: (
        tables.staging_songs.c.song_id,
        tables.staging_songs.c.source_key,
        tables.staging_songs.c.object_number,
    ),
    tables.songplays: (tables.songplays.c.start_time.desc(), tables.songplays.c.songplay_id),
    tables.time: (tables.time.c.start_time.desc(),),
    tables.users: (tables.users.c.user_id,),
    tables.songs: (tables.songs.c.song_id,),
    tables.artists: (tables.artists.c.artist_id,),
    events: (events.c.ts.desc(), events.c.event_id),
    user_levels: (user_levels.c.valid_from.desc(), user_levels.c.user_id, user_levels.c.version.desc()),
    sessions: (sessions.c.started_at.desc(), sessions.c.session_id, sessions.c.user_id),
    daily_activity: (daily_activity.c.day.desc(), daily_activity.c.user_id),
}


def preview(connection: Connection, table: Table, day: date | None = None) -> Mapping[str, dg.TableMetadataValue]:
    """Returns the table's first rows, of the given day only: sorting all days is slow. Empty if there is no row."""
    shown = [column for column in table.columns if "form_of" not in column.info and not tables.is_personal(column)]
    rows = connection.execute(
        select(*shown).where(_of_day(table, day)).order_by(*_ORDER[table]).limit(PREVIEW_ROWS)
    ).all()
    return {"preview": rows_metadata([dict(row._mapping) for row in rows], PREVIEW_CHARACTERS)} if rows else {}


def _of_day(table: Table, day: date | None) -> ColumnElement[bool]:
    if day is None:
        return true()
    if table is tables.users:
        seen = tables.user_days.c
        return table.c.user_id.in_(select(seen.user_id).where(seen.log_date == day))
    return transforms.in_days(table, day, day)
