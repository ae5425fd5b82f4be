"""The outcome of a run in the test's process: failures, checks, metadata."""

from dataclasses import dataclass
from typing import Any

import dagster as dg

SOURCES = {"log_data", "log_json_path", "song_data"}


def asset_key(name: str) -> dg.AssetKey:
    return dg.AssetKey([name])


@dataclass
class Outcome:
    """The outcome of a run."""

    result: dg.ExecuteInProcessResult

    def __repr__(self) -> str:
        return f"Outcome(failures={self.failures}, failed_checks={self.failed_checks})"

    @property
    def failures(self) -> dict[str, str]:
        """The failed steps with the first line of what they say."""
        failed = {}
        for event in self.result.all_events:
            if event.is_step_failure:
                data = event.step_failure_data
                error = data.error
                while error is not None and error.cause is not None:
                    error = error.cause
                said = data.user_failure_data.description if data.user_failure_data else error and error.message
                failed[event.step_key or ""] = (said or "").strip().splitlines()[0]
        return failed

    @property
    def checks(self) -> dict[tuple[str, str], bool]:
        """Returns whether each check passed, by asset and check."""
        return {key: evaluation.passed for key, evaluation in self.evaluations.items()}

    @property
    def evaluations(self) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
        return {
            (evaluation.asset_key.path[-1], evaluation.check_name): evaluation
            for evaluation in self.result.get_asset_check_evaluations()
        }

    @property
    def failed_checks(self) -> set[tuple[str, str]]:
        """The failed checks of severity ERROR."""
        return {
            key
            for key, evaluation in self.evaluations.items()
            if not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR
        }

    @property
    def ok(self) -> bool:
        """Returns whether the command's exit status would be 0."""
        return not self.failures and not self.failed_checks

    @property
    def materialized(self) -> set[str]:
        """Returns the tables that the run materialized; of the sources it only observes."""
        materializations = self.result.get_asset_materialization_events()
        return {event.asset_key.to_user_string() for event in materializations if event.asset_key} - SOURCES

    def metadata(self, asset: str) -> dict[str, Any]:
        (materialization,) = {
            id(event): event
            for event in self.result.asset_materializations_for_node(asset)
            if "dagster/row_count" in event.metadata
        }.values()
        return {name: value.value for name, value in materialization.metadata.items()}

    def observed(self, asset: str) -> dict[str, Any]:
        """Returns the metadata that the run logged for an external asset."""
        (event,) = (
            event for event in self.result.get_asset_materialization_events() if event.asset_key == asset_key(asset)
        )
        return {name: value.value for name, value in event.materialization.metadata.items()}
