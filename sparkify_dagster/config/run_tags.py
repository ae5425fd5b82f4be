"""The tags by which a run of the command line says what it loads, and into which warehouse: without any secret."""

from datetime import timedelta
from pathlib import Path
from typing import Final

from sparkify_dagster.config.settings import Settings

WAREHOUSE_TAG: Final = "sparkify/warehouse"


def run_tags(settings: Settings) -> dict[str, str]:
    """Returns the same tags for processes that load the same source into the same warehouse."""
    sources = (settings.log_data, settings.log_jsonpath, settings.song_data)
    endpoint = f" of {settings.aws_endpoint_url}" if settings.aws_endpoint_url else ""
    last_day = f"{settings.log_end - timedelta(days=1)}" if settings.log_end else "the last day that is over"
    return {
        WAREHOUSE_TAG: _warehouse(settings),
        # Few tags, since each takes a line of each run in the list of runs.
        "sparkify/sources": ", ".join(_absolute(source) for source in sources if source) + endpoint,
        "sparkify/window": f"{settings.log_start} to {last_day}",
    }


def _warehouse(settings: Settings) -> str:
    url = settings.warehouse
    if url.get_backend_name() == "duckdb":
        return f"duckdb:///{_absolute(url.database or '')}"
    host = url.host or url.query.get("host") or settings.cluster_identifier or "localhost"
    port = f":{url.port}" if url.port else ""
    schema = f", schema {settings.star_schema}" if settings.star_schema else ""
    return f"{url.get_backend_name()}://{host}{port}/{url.database or ''}{schema}"


def _absolute(location: str) -> str:
    return location if location.startswith("s3://") else str(Path(location).absolute())
