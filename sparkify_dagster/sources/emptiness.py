"""A source that looks empty empties nothing: an unmounted disk or a mistyped prefix is not the end of the data.

The error is lifted by a user who says that it is meant; a sensor never does.
"""

from collections.abc import Callable
from datetime import date

from sparkify_dagster.formatting import pluralize
from sparkify_dagster.sources.object_store import SourceError
from sparkify_dagster.sources.source import Listing

LOG_FILE_NAMES = "log files are named YYYY-MM-DD-events.json or YYYY-MM-DD-events.json.gz"
SONG_FILE_NAMES = "the names of song files end in .json or .json.gz"


def require_log_files(
    listing: Listing, is_in_window: Callable[[date], bool], window: str, *, holds_days: bool, allow_empty: bool
) -> None:
    """Raises SourceError where the log looks empty and the user has not said that it is.

    It looks empty where the warehouse holds days of the window and no log file is one of its days', and where there are
    objects and no log file among them. `window` names its days, such as "2018-11-01 to 2018-11-30".
    """
    in_window = sum(len(files) for day, files in listing.by_day.items() if is_in_window(day))
    is_empty = (holds_days and not in_window) or (listing.unrecognized and not listing.files)
    if not is_empty or allow_empty:
        return
    outside = pluralize(len(listing.files), "log file") + " outside the window" if listing.files else "no log file"
    raise SourceError(
        f"{listing.location}: looks empty: {outside}{_others(listing)}; {LOG_FILE_NAMES}, and the window of days is "
        f"{window}; nothing was changed. {_remedy('SPARKIFY_LOG_DATA', 'logs')}"
    )


def require_song_files(listing: Listing, *, holds_songs: bool, allow_empty: bool) -> None:
    """Raises SourceError where the song data looks empty and the user has not said that it is.

    It looks empty where there is no song file, but the warehouse holds songs or there are other objects.
    """
    if listing.files or allow_empty or not (holds_songs or listing.unrecognized):
        return
    raise SourceError(
        f"{listing.location}: looks empty: no song file{_others(listing)}; {SONG_FILE_NAMES}; nothing was changed. "
        f"{_remedy('SPARKIFY_SONG_DATA', 'songs')}"
    )


def _others(listing: Listing) -> str:
    """The objects that are none of the source's files, with the names of some."""
    if not listing.ignored:
        return ", and nothing else"
    names = f" ({', '.join(map(repr, listing.examples))})" if listing.examples else ""
    return f", and {pluralize(listing.ignored, 'other object')}{names}"


def _remedy(setting: str, source: str) -> str:
    return (
        f"Correct {setting} or mount the disk; if it is meant, run `sparkify etl --allow-empty {source}` (in the run's "
        "config: allow_empty: true)"
    )
