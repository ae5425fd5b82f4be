"""Snapshot of the definitions, one fact per line, so that a diff names what changed.

`python -m sparkify_dagster_tests.support.definitions_snapshot` updates it.
"""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from sparkify_dagster.automation.jobs import QUERIES
from sparkify_dagster.definitions import defs

SNAPSHOT = Path(__file__).parents[1] / "definitions.txt"


def describe_definitions() -> list[str]:
    """Returns the facts, without those of the analytics queries, which are defined by their files."""
    return sorted([*_assets(), *_checks(), *_jobs(), *_automation()])


def _assets() -> Iterator[str]:
    for spec in defs.resolve_all_asset_specs():
        if spec.key.to_user_string() in QUERIES:
            continue
        asset = f"asset {spec.key.to_user_string()}"
        yield f"{asset}: group {spec.group_name}"
        yield f"{asset}: kinds {', '.join(sorted(spec.kinds))}"
        for dep in spec.deps:
            yield f"{asset}: depends on {dep.asset_key.to_user_string()}"
        if isinstance(spec.partitions_def, dg.DailyPartitionsDefinition):
            days = spec.partitions_def
            first, last = days.get_first_partition_key(), days.get_last_partition_key()
            yield f"{asset}: partitions daily, {first} to {last}, {days.timezone}"
        if spec.freshness_policy is not None:
            for name in ("warn", "fail"):
                window = getattr(spec.freshness_policy, f"{name}_window").to_timedelta()
                yield f"{asset}: stale, {name} after {window}"


def _checks() -> Iterator[str]:
    for checks in defs.asset_checks or ():
        assert isinstance(checks, dg.AssetChecksDefinition)
        for spec in checks.check_specs:
            if spec.asset_key.to_user_string() in QUERIES:
                continue
            check = f"check {spec.name} of {spec.asset_key.to_user_string()}"
            yield f"{check}: {'blocking' if spec.blocking else 'not blocking'}, in {checks.node_def.name}"


def _jobs() -> Iterator[str]:
    for job in defs.jobs or ():
        yield f"job {job.name}"
        for key in defs.resolve_job_def(job.name).asset_layer.executable_asset_keys:
            if key.to_user_string() not in QUERIES:
                yield f"job {job.name}: materializes {key.to_user_string()}"


def _automation() -> Iterator[str]:
    for sensor in defs.sensors or ():
        job = f"runs {sensor.job_name}" if sensor.has_jobs else "runs no job"
        yield f"sensor {sensor.name}: {job}"
        yield f"sensor {sensor.name}: {sensor.default_status.value} by default"
        yield f"sensor {sensor.name}: every {sensor.minimum_interval_seconds} s"
    for schedule in defs.schedules or ():
        assert isinstance(schedule, dg.ScheduleDefinition)
        yield f"schedule {schedule.name}: runs {schedule.job_name}"
        yield f"schedule {schedule.name}: {schedule.default_status.value} by default"
        yield f"schedule {schedule.name}: at {schedule.cron_schedule}, {schedule.execution_timezone}"


if __name__ == "__main__":
    SNAPSHOT.write_text("".join(f"{line}\n" for line in describe_definitions()))
