"""The one family of errors. runtime/failures.py turns them into Dagster failures, cli/main.py into lines of text."""

from collections.abc import Sequence

from sparkify_dagster.batches import LoadError


class SparkifyError(Exception):
    """Something that a person can put right: the message is one line with the cause and the remedy.

    `rejected` holds the records that a warehouse rejected, if those are the cause.
    """

    def __init__(self, message: str, rejected: Sequence[LoadError] = ()) -> None:
        super().__init__(message)
        self.rejected = rejected
