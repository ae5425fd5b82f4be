"""Errors of a warehouse, and the part of a database's own message that is safe to show."""

import re

from sqlalchemy.exc import DBAPIError

from sparkify_dagster.runtime.errors import SparkifyError

# By PEP 249's names, so that no driver has to be imported. DuckDB's reader and its keys quote data, too; a server names
# a broken key in further lines only. Redshift has wrong data in internal errors.
_QUOTING_SERVER_ERRORS = frozenset({"DataError", "InternalError"})
_QUOTING_ERRORS = frozenset({"DataError", "InternalError", "IntegrityError", "InvalidInputException"})
# Not an apostrophe; in other languages PostgreSQL has other ones.
_OPENING_QUOTE = re.compile(r"""(?<!\w)["'`«»„“”‚‘「『]""")


class WarehouseError(SparkifyError):
    """The warehouse cannot be reached or used; the message says why and what to do."""


class RowCountMismatchError(WarehouseError):
    """A warehouse's reader saw other rows in a canonical file than the inspection did: it needs a normalised copy."""


class StagedMeanwhileError(WarehouseError):
    """Another run has staged a day or songs between the choice of files for a load and the load's transaction."""


class FileChangedError(WarehouseError):
    """A file was written to between its inspection and the end of its load."""


def with_remedy(said: str, remedy: str | None) -> str:
    """Returns a message and, if there is one, the remedy."""
    return f"{said}; {remedy}" if remedy else said


def first_line(error: BaseException) -> str:
    """Returns the database's message without SQLAlchemy's copy of the statement and without values of the data.

    An error about the data quotes the value that is wrong, which may be a name: what comes before it is kept. Further
    lines quote whole records. So an error that is made of this one must not have it as its cause (`from None`).
    """
    said = error.orig if isinstance(error, DBAPIError) else error
    line = str(said).strip().partition("\n")[0]
    if not quotes_data(error):
        return line
    quote = _OPENING_QUOTE.search(line)
    return f"{line[: quote.start()]}…" if quote else line


def quotes_data(error: BaseException) -> bool:
    """Returns whether the first line of what the database said may quote the data."""
    said = error.orig if isinstance(error, DBAPIError) else error
    kinds = _QUOTING_SERVER_ERRORS if hasattr(said, "pgcode") else _QUOTING_ERRORS
    return any(kind.__name__ in kinds for kind in type(said).__mro__)
