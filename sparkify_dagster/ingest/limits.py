"""Data-quality thresholds (Dagster resource)."""

from dagster import ConfigurableResource

from sparkify_dagster.batches import MAX_INFLATED_BYTES

# A rejected load shows its first errors even if none is allowed.
_MIN_ERRORS_KEPT = 100


class Limits(ConfigurableResource[None]):
    """max_load_errors: maximum errors per log day, and of all song files. min_match_rate: 0 to 1, warns below it.

    max_inflated_bytes: maximum size of a compressed file after decompression.
    """

    max_load_errors: int = 100
    min_match_rate: float = 0.0
    max_inflated_bytes: int = MAX_INFLATED_BYTES

    @property
    def kept_errors(self) -> int:
        return max(self.max_load_errors, _MIN_ERRORS_KEPT)
