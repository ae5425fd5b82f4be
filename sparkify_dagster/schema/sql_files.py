"""Finds the SQL: a file with one SELECT per table or view, in the folder sql/, named after what it builds."""

from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[1] / "sql"
QUERIES: Final = FOLDER / "analytics"
# In the order in which they can be created.
VIEWS: Final = ("current_songs", "song_matches")


@cache
def select_sql(table: str) -> str:
    """Returns the SELECT that builds a table of the star or a mart, a view, or a table that is derived from staging."""
    path = sql_path(table)
    if path is None:
        raise LookupError(f"no file in {FOLDER} builds {table}")
    return path.read_text("utf-8")


def sql_path(table: str) -> Path | None:
    """Returns the file with the SELECT that builds a table or view, or None if no SELECT builds it."""
    candidates = (FOLDER / layer / f"{table}.sql" for layer in ("star", "product", "staging"))
    return next((path for path in candidates if path.exists()), None)


@cache
def landing_select(table: str) -> str:
    """Returns the SELECT that casts what Redshift's COPY has landed into the types of a staging table."""
    return (FOLDER / "redshift" / f"{table}.sql").read_text("utf-8")


@cache
def report_sql(name: str) -> str:
    """Returns a SELECT of the report, which builds no table."""
    return (FOLDER / "report" / f"{name}.sql").read_text("utf-8")


def in_file(name: str, error: Exception, line: int | None = None) -> str:
    """Returns the error's message with the file's name, and the line unless the message names one itself."""
    if str(error).startswith("line "):
        return f"{name}, {error}"
    return f"{name}, line {line}: {error}" if line else f"{name}: {error}"
