"""A source that looks empty removes nothing: an unmounted disk or a mistyped prefix is not the end of the data.

A user can override the error; a sensor never does.
"""

from sparkify_dagster.days import Window
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.sources.object_store import SourceError
from sparkify_dagster.sources.source import Listing

LOG_FILE_NAMES = "log files are named YYYY-MM-DD-events.json or YYYY-MM-DD-events.json.gz"
SONG_FILE_NAMES = "the names of song files end in .json or .json.gz"


def require_log_files(listing: Listing, window: Window, *, holds_days: bool, allow_empty: bool) -> None:
    """Raises SourceError if the log looks empty and the user has not said that it is.

    It looks empty if the warehouse holds days of the window but the window has no log file, and if there are objects
    but no log file among them.
    """
    in_window = sum(len(files) for day, files in listing.by_day.items() if day in window)
    is_empty = (holds_days and not in_window) or (listing.unrecognized and not listing.files)
    if not is_empty or allow_empty:
        return
    outside = pluralize(len(listing.files), "log file") + " outside the window" if listing.files else "no log file"
    raise SourceError(
        f"{listing.location}: looks empty: {outside}{_others(listing)}; {LOG_FILE_NAMES}, and the window of days is "
        f"{window}; nothing was changed. {_remedy('SPARKIFY_LOG_DATA', 'logs')}"
    )


def require_song_files(listing: Listing, *, holds_songs: bool, allow_empty: bool) -> None:
    """Raises SourceError if the song data looks empty and the user has not said that it is.

    It looks empty if there is no song file although the warehouse holds songs or there are other objects.
    """
    if listing.files or allow_empty or not (holds_songs or listing.unrecognized):
        return
    raise SourceError(
        f"{listing.location}: looks empty: no song file{_others(listing)}; {SONG_FILE_NAMES}; nothing was changed. "
        f"{_remedy('SPARKIFY_SONG_DATA', 'songs')}"
    )


def _others(listing: Listing) -> str:
    """Describes the objects that are not files of the source, with some of their names."""
    if not listing.ignored:
        return ", and nothing else"
    names = f" ({', '.join(map(repr, listing.examples))})" if listing.examples else ""
    return f", and {pluralize(listing.ignored, 'other object')}{names}"


def _remedy(setting: str, source: str) -> str:
    return (
        f"Correct {setting} or mount the disk; if the source is empty on purpose, run `sparkify etl --allow-empty "
        f"{source}` (in the run's config: allow_empty: true)"
    )
