"""The runs that a sensor asked for: which are under way, which failed and are to be tried again.

A run key names one request for ever: Dagster never starts a second run with it. So keys are numbered, and the number is
kept in the sensor's cursor together with what was asked for: a tick that is repeated from the same cursor asks with the
same keys, and content that comes back is asked for with a new one.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from datetime import date
from typing import Any, NamedTuple, TypeVar

import dagster as dg

from sparkify_dagster.partitions import range_tags
from sparkify_dagster.sources.object_store import SourceError

T = TypeVar("T")

# Each run is a process. More than these wait for their turn in the cursor, not in Dagster's queue.
MAX_CONCURRENT_RUNS = 25
# A failed run is tried again after these times; after the last one only when its files change.
RETRY_AFTER_SECONDS = (60, 300, 1_500)
# Dagster gives a tick up after 60 seconds.
LISTING_SECONDS = 45

_RUN_KEY = "dagster/run_key"
_SENSOR_NAME = "dagster/sensor_name"


class RequestedRun(NamedTuple):
    """A run that was asked for, of the days from the first to the last, or of none. tries: how many failed before."""

    number: int
    first_day: str | None = None
    last_day: str | None = None
    tries: int = 0

    def covers(self, other: "RequestedRun") -> bool:
        """Whether this run loads all that the other would."""
        if self.first_day is None or self.last_day is None or other.first_day is None or other.last_day is None:
            return self.first_day == other.first_day
        return self.first_day <= other.first_day and other.last_day <= self.last_day

    def __str__(self) -> str:
        return "the run" if self.first_day is None else f"{self.first_day} to {self.last_day}"


class RunRequests:
    """The requests of one sensor that are not known to have succeeded, and those that this tick adds."""

    def __init__(
        self,
        context: dg.SensorEvaluationContext,
        sensor: str,
        saved: Mapping[str, Any],
        *,
        assets: Sequence[dg.AssetKey] | None = None,
    ) -> None:
        self._context = context
        self._sensor = sensor
        self._assets = assets
        self._number = saved["number"] if "number" in saved else _unused_number(context.instance, sensor)
        self._under_way: list[RequestedRun] = []
        self._resting: list[RequestedRun] = []
        self._due: list[RequestedRun] = []
        self.run_requests: list[dg.RunRequest] = []
        for item in saved.get("open", []):
            self._look_at(RequestedRun(*item))

    @property
    def in_progress(self) -> int:
        return len(self._under_way)

    def forget_failures(self) -> None:
        """Nothing that failed is tried again."""
        self._resting, self._due = [], []

    def ask(self, blocks: Iterable[tuple[date, date] | None]) -> int:
        """Asks for a run a block of days, then for what is to be tried again, as far as there is room.

        Returns for how many of the blocks it asked.
        """
        asked = 0
        for block in blocks:
            if len(self._under_way) >= MAX_CONCURRENT_RUNS:
                break
            first_day, last_day = (None, None) if block is None else (block[0].isoformat(), block[1].isoformat())
            run = RequestedRun(self._number, first_day, last_day)
            self._resting = [failed for failed in self._resting if not run.covers(failed)]
            self._due = [failed for failed in self._due if not run.covers(failed)]
            self._ask(run)
            asked += 1
        while self._due and len(self._under_way) < MAX_CONCURRENT_RUNS:
            failed = self._due.pop(0)
            self._ask(failed._replace(number=self._number, tries=failed.tries + 1))
        if self.run_requests:
            self._number += 1
        return asked

    def save(self) -> dict[str, object]:
        """What the cursor is to keep of it."""
        return {"number": self._number, "open": [*self._under_way, *self._due, *self._resting]}

    def describe(self) -> str:
        """What is still to come of earlier requests, to be appended to a sentence."""
        waiting = len(self._resting) + len(self._due)
        return "".join(
            [
                f"; runs under way: {self.in_progress}" if self.in_progress else "",
                f"; failed, to be tried again: {waiting}" if waiting else "",
            ]
        )

    def _ask(self, run: RequestedRun) -> None:
        self._under_way.append(run)
        days = None
        if run.first_day is not None and run.last_day is not None:
            days = range_tags(date.fromisoformat(run.first_day), date.fromisoformat(run.last_day))
        self.run_requests.append(dg.RunRequest(run_key=self._key(run), tags=days, asset_selection=self._assets))

    def _key(self, run: RequestedRun) -> str:
        days = "" if run.first_day is None else f"-{run.first_day}-{run.last_day}"
        return f"{self._sensor.replace('_', '-')}-{run.number}{days}"

    def _look_at(self, run: RequestedRun) -> None:
        # Its re-executions, by Dagster or by a person, have its key too.
        executions = self._context.instance.get_run_records(dg.RunsFilter(tags={_RUN_KEY: self._key(run)}))
        newest = executions[0] if executions else None
        if any(record.dagster_run.status is dg.DagsterRunStatus.SUCCESS for record in executions):
            return
        if newest is None:
            # It never started, or somebody deleted it: whether it loaded anything nobody knows.
            self._try_again(run, ended=0)
        elif not newest.dagster_run.is_finished or _is_retried_by_dagster(newest.dagster_run):
            self._under_way.append(run)
        elif newest.dagster_run.status is dg.DagsterRunStatus.FAILURE:
            self._try_again(run, ended=newest.end_time or 0)

    def _try_again(self, run: RequestedRun, *, ended: float) -> None:
        if run.tries == len(RETRY_AFTER_SECONDS):
            self._context.log.error(f"{run}: failed {run.tries + 1} times and is not tried again until files change")
        elif time.time() < ended + RETRY_AFTER_SECONDS[run.tries]:
            self._resting.append(run)
        else:
            self._due.append(run)


def within_time_limit(look: Callable[[], T]) -> T:
    """What `look` finds of the source. Raises SourceError where that takes longer than a tick may."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="look-at-source")
    try:
        return executor.submit(look).result(timeout=LISTING_SECONDS)
    except TookTooLong:
        raise SourceError(
            f"the source could not be listed within {LISTING_SECONDS} s: it is slow, or does not answer; nothing is "
            "missed, the next tick looks again"
        ) from None
    finally:
        executor.shutdown(wait=False)


def _is_retried_by_dagster(run: dg.DagsterRun) -> bool:
    return run.tags.get("dagster/will_retry") == "true"


def _unused_number(instance: dg.DagsterInstance, sensor: str) -> int:
    """For a sensor that begins anew, as when somebody has reset its cursor: beyond the numbers of its earlier runs."""
    numbers = [0]
    for record in instance.get_run_records(dg.RunsFilter(tags={_SENSOR_NAME: sensor}), limit=100):
        if number := re.match(r"\D+(\d+)", record.dagster_run.tags.get(_RUN_KEY, "")):
            numbers.append(int(number[1]) + 1)
    return max(numbers)
