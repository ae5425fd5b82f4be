"""The tags by which a run of the command line says what it loads, and into which warehouse: without any secret."""

from datetime import timedelta
from pathlib import Path

from sparkify_dagster.config.settings import Settings


def run_tags(settings: Settings) -> dict[str, str]:
    """Returns the same tags for processes that load the same source into the same warehouse."""
    tags = {
        "sparkify/warehouse": _warehouse(settings),
        "sparkify/log_data": _absolute(settings.log_data),
        "sparkify/log_jsonpath": _absolute(settings.log_jsonpath) if settings.log_jsonpath else "none",
        "sparkify/song_data": _absolute(settings.song_data),
        "sparkify/window": f"{settings.log_start} to "
        + (f"{settings.log_end - timedelta(days=1)}" if settings.log_end else "the last day that is over"),
    }
    return tags | ({"sparkify/s3_endpoint": settings.aws_endpoint_url} if settings.aws_endpoint_url else {})


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
