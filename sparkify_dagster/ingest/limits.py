"""Limits of what is loaded, as Dagster's resource."""

from dagster import ConfigurableResource

from sparkify_dagster.batches import MAX_INFLATED_BYTES

# A refused load shows its first errors even where none is allowed.
_MIN_ERRORS_KEPT = 100


class Limits(ConfigurableResource[None]):
    """max_load_errors: errors a log day, or all song files, may have. min_match_rate: 0 to 1, warns below it.

    max_inflated_bytes: size that a compressed file may have once it is decompressed.
    """

    max_load_errors: int = 100
    min_match_rate: float = 0.0
    max_inflated_bytes: int = MAX_INFLATED_BYTES

    @property
    def kept_errors(self) -> int:
        return max(self.max_load_errors, _MIN_ERRORS_KEPT)
