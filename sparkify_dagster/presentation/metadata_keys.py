"""Names and values of asset metadata that other modules, and people's scripts, compare."""

from enum import StrEnum
from typing import Final

# Of a load of one day or of the songs
LOAD_STATUS: Final = "load_status"
REJECTION_REASON: Final = "rejection_reason"
REJECTED_LOADS: Final = "rejected_loads"
REJECTED_BEFORE: Final = "rejected_before"
REMOVED_FILES: Final = "removed_files"
EMPTIED_FILES: Final = "emptied_files"
DAYS_TO_REMATCH: Final = "days_to_rematch"
DAYS_TO_SHOW_REJECTED: Final = "days_to_show_rejected"

# The check that shows rejected loads
NO_REJECTED_LOADS: Final = "no_rejected_loads"

# Of a listing of the source
FILES: Final = "files"
FILES_OUTSIDE_WINDOW: Final = "files_outside_window"
UNRECOGNIZED_FILES: Final = "unrecognized_files"
UNRECOGNIZED_EXAMPLES: Final = "unrecognized_examples"

# Of an analytics table
REFRESH: Final = "refresh"
PREVIEW: Final = "preview"
AT_A_GLANCE: Final = "at_a_glance"

# Of the report
REPORT_LOCATION: Final = "location"

# Dagster's tags of a materialization, which it does not export.
CODE_VERSION_TAG: Final = "dagster/code_version"
DATA_VERSION_TAG: Final = "dagster/data_version"


class LoadStatus(StrEnum):
    """Outcomes of a load. A rejected load leaves the rows of the load before in place."""

    LOADED = "loaded"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


class RefreshStatus(StrEnum):
    """Outcomes of refreshing an analytics table."""

    RECOMPUTED = "recomputed"
    UP_TO_DATE = "up_to_date"
