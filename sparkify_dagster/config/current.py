"""Settings that are read when they are needed instead of passed along.

Secrets are: Dagster would show them in the configuration of a resource. So are the few values that Dagster's decorators
need at import time. All other settings go from definitions.py, or the command line, into resources.
"""

from sqlalchemy import URL

from sparkify_dagster.config.aws import AwsAccess
from sparkify_dagster.config.keys import Secret
from sparkify_dagster.config.settings import Settings
from sparkify_dagster.days import Window


def aws_access() -> AwsAccess:
    return Settings.load().aws_access()


def warehouse_url() -> URL:
    """Returns the URL of the warehouse with its password, if it has one."""
    return Settings.load().warehouse


def alert_webhook() -> Secret | None:
    return Settings.load().alert_webhook


def ui_url() -> str:
    return Settings.load().ui_url


def report_location() -> str | None:
    return Settings.load().report


def log_window() -> Window:
    settings = Settings.load()
    return Window(settings.log_start, settings.log_end)


def source_locations() -> tuple[str, str | None, str]:
    """Returns the locations of the logs, of the JSONPaths file and of the songs."""
    settings = Settings.load()
    return settings.log_data, settings.log_jsonpath, settings.song_data
