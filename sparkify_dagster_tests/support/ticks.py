"""Sensors that tick on a real folder and a real history, and the runs that they request."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import uuid4

import dagster as dg

from sparkify_dagster.definitions import defs
from sparkify_dagster.partitions import range_tags
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.outcome import asset_key
from sparkify_dagster_tests.support.world import TABLES_OF_JOB, World

Range = tuple[str, str]
SUCCESS, FAILURE, CANCELED = (
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_CANCELED,
)


@dataclass
class Ticks:
    """A sensor that ticks again and again with the cursor that it left, and the runs that come of its requests."""

    sensor: dg.SensorDefinition
    world: World
    instance: dg.DagsterInstance
    cursor: str | None = None
    skipped: str | None = None
    requests: list[dg.RunRequest] = field(default_factory=list)
    events: list[dg.AssetMaterialization] = field(default_factory=list)
    runs: list[dg.DagsterRun] = field(default_factory=list)

    def tick(self, *, runs_end: dg.DagsterEventType | None = SUCCESS) -> list[Range]:
        """Returns the ranges of days that this tick requests. They may be in progress at the next tick."""
        self.evaluate()
        for request in self.requests:
            run = self.make_run(request)
            if runs_end:
                self.end(run, runs_end)
        return self.ranges

    def evaluate(self) -> None:
        """The tick alone: as if the daemon had died right after it."""
        context = dg.build_sensor_context(
            self.instance,
            cursor=self.cursor,
            resources={"source": self.world.source} if self.sensor.required_resource_keys else {},
        )
        data = self.sensor.evaluate_tick(context)
        self.cursor = data.cursor
        self.skipped = data.skip_message
        self.requests = list(data.run_requests or [])
        self.events = [event for event in data.asset_events if isinstance(event, dg.AssetMaterialization)]

    def end(self, run: dg.DagsterRun, how: dg.DagsterEventType = SUCCESS) -> None:
        self.instance.report_dagster_event(dg.DagsterEvent(how.value, job_name=run.job_name), run.run_id)

    @property
    def ranges(self) -> list[Range]:
        return [
            (
                request.tags["dagster/asset_partition_range_start"],
                request.tags["dagster/asset_partition_range_end"],
            )
            for request in self.requests
        ]

    @property
    def run_keys(self) -> list[str]:
        """Of all runs so far. The daemon makes one of each key and no second one."""
        return [run.tags["dagster/run_key"] for run in self.runs]

    @property
    def saved(self) -> dict[str, Any]:
        saved = json.loads(self.cursor or "null")
        assert isinstance(saved, dict)
        return saved

    def make_run(self, request: dg.RunRequest) -> dg.DagsterRun:
        assert request.run_key not in self.run_keys, "Dagster would skip a run whose key it knows"
        tags = {
            **request.tags,
            "dagster/run_key": request.run_key or "",
            "dagster/sensor_name": self.sensor.name,
        }
        # Without the run's plan, which no sensor reads: to make it costs ten times what a tick does.
        run = self.instance.add_run(dg.DagsterRun(self.sensor.job_name or "", run_id=str(uuid4()), tags=tags))
        self.runs.append(run)
        return run


def write_days(world: World, *days: str) -> None:
    for day in days:
        world.write_log(day, event(time=f"{day}T10:00:00"))


def run(
    world: World,
    instance: dg.DagsterInstance,
    job: str,
    first_day: str = "",
    last_day: str = "",
    *,
    tags: dict[str, str] | None = None,
    assets: tuple[str, ...] = (),
    config: Mapping[str, Any] | None = None,
    run_id: str | None = None,
) -> dg.ExecuteInProcessResult:
    """A real run, in the history that the sensors look at; of a job that loads, without the queries."""
    if first_day:
        tags = range_tags(date.fromisoformat(first_day), date.fromisoformat(last_day or first_day))
    definition = defs.resolve_job_def(job)
    if chosen := {asset_key(name) for name in assets or TABLES_OF_JOB.get(job, ())}:
        definition = definition.get_subset(asset_selection=chosen)
    return definition.execute_in_process(
        instance=instance,
        resources={"source": world.source, "warehouse": world.warehouse, "limits": world.limits},
        run_config={**(config or {}), "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        run_id=run_id,
        tags=tags,
        raise_on_error=False,
    )
