"""Run requests of a sensor: which runs are in progress, and which failed and have to be retried.

A run key identifies one request for good: Dagster never starts a second run with it. So keys are numbered, and the
number is stored in the sensor's cursor together with the requests: a tick that is repeated from the same cursor uses
the same keys, and content that changes back is requested with a new key.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TimeLimitExceeded
from datetime import date
from typing import Any, NamedTuple, TypeVar

import dagster as dg

from sparkify_dagster.partitions import range_tags
from sparkify_dagster.sources.object_store import SourceError

T = TypeVar("T")

# Each run is a process. Further requests wait in the cursor, not in Dagster's queue.
MAX_CONCURRENT_RUNS = 25
# A failed run is retried after these times; after the last one only when its files change.
RETRY_AFTER_SECONDS = (60, 300, 1_500)
# Dagster cancels a tick after 60 seconds.
LISTING_SECONDS = 45

_RUN_KEY = "dagster/run_key"
_SENSOR_NAME = "dagster/sensor_name"


class RequestedRun(NamedTuple):
    """A requested run, over the days from the first to the last, or without days."""

    number: int
    first_day: str | None = None
    last_day: str | None = None
    failed_attempts: int = 0

    def covers(self, other: "RequestedRun") -> bool:
        """Returns whether this run loads everything that the other would."""
        if self.first_day is None or self.last_day is None or other.first_day is None or other.last_day is None:
            return self.first_day == other.first_day
        return self.first_day <= other.first_day and other.last_day <= self.last_day

    def __str__(self) -> str:
        return "the run" if self.first_day is None else f"{self.first_day} to {self.last_day}"


class RunRequests:
    """A sensor's requests that are not known to have succeeded, and those that the current tick adds."""

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
        self._in_progress: list[RequestedRun] = []
        self._backing_off: list[RequestedRun] = []
        self._due: list[RequestedRun] = []
        self.run_requests: list[dg.RunRequest] = []
        for item in saved.get("open", []):
            self._sort_in(RequestedRun(*item))

    @property
    def in_progress(self) -> int:
        """The number of runs in progress."""
        return len(self._in_progress)

    def forget_failures(self) -> None:
        """Cancels all retries."""
        self._backing_off, self._due = [], []

    def request(self, blocks: Iterable[tuple[date, date] | None]) -> int:
        """Requests one run per block of days, then the retries that are due, up to the maximum of concurrent runs.

        Returns the number of blocks requested.
        """
        requested = 0
        for block in blocks:
            if len(self._in_progress) >= MAX_CONCURRENT_RUNS:
                break
            first_day, last_day = (None, None) if block is None else (block[0].isoformat(), block[1].isoformat())
            run = RequestedRun(self._number, first_day, last_day)
            self._backing_off = [failed for failed in self._backing_off if not run.covers(failed)]
            self._due = [failed for failed in self._due if not run.covers(failed)]
            self._add(run)
            requested += 1
        while self._due and len(self._in_progress) < MAX_CONCURRENT_RUNS:
            failed = self._due.pop(0)
            self._add(failed._replace(number=self._number, failed_attempts=failed.failed_attempts + 1))
        if self.run_requests:
            self._number += 1
        return requested

    def save(self) -> dict[str, object]:
        """Returns the part of the cursor that these requests are restored from."""
        return {"number": self._number, "open": [*self._in_progress, *self._due, *self._backing_off]}

    def describe(self) -> str:
        """Describes the unfinished requests, as the end of a sentence."""
        text = ""
        if self._in_progress:
            text += f"; {len(self._in_progress)} in progress"
        if retries := len(self._backing_off) + len(self._due):
            text += f"; {retries} failed, to be retried"
        return text

    def _add(self, run: RequestedRun) -> None:
        self._in_progress.append(run)
        days = None
        if run.first_day is not None and run.last_day is not None:
            days = range_tags(date.fromisoformat(run.first_day), date.fromisoformat(run.last_day))
        self.run_requests.append(dg.RunRequest(run_key=self._key(run), tags=days, asset_selection=self._assets))

    def _key(self, run: RequestedRun) -> str:
        days = "" if run.first_day is None else f"-{run.first_day}-{run.last_day}"
        return f"{self._sensor.replace('_', '-')}-{run.number}{days}"

    def _sort_in(self, run: RequestedRun) -> None:
        # Re-executions, by Dagster or by a person, have the same key.
        executions = self._context.instance.get_run_records(dg.RunsFilter(tags={_RUN_KEY: self._key(run)}))
        newest = executions[0] if executions else None
        if any(record.dagster_run.status is dg.DagsterRunStatus.SUCCESS for record in executions):
            return
        if newest is None:
            # It never started, or was deleted: whether it loaded anything is unknown.
            self._retry(run, ended=0)
        elif not newest.dagster_run.is_finished or _is_retried_by_dagster(newest.dagster_run):
            self._in_progress.append(run)
        elif newest.dagster_run.status is dg.DagsterRunStatus.FAILURE:
            self._retry(run, ended=newest.end_time or 0)

    def _retry(self, run: RequestedRun, *, ended: float) -> None:
        if run.failed_attempts == len(RETRY_AFTER_SECONDS):
            self._context.log.error(f"{run}: failed {run.failed_attempts + 1} times; not retried until files change")
        elif time.time() < ended + RETRY_AFTER_SECONDS[run.failed_attempts]:
            self._backing_off.append(run)
        else:
            self._due.append(run)


def within_time_limit(read: Callable[[], T]) -> T:
    """Returns the result of reading the source. Raises SourceError if that takes longer than a tick may."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="read-source")
    try:
        return executor.submit(read).result(timeout=LISTING_SECONDS)
    except TimeLimitExceeded:
        raise SourceError(
            f"the source could not be listed within {LISTING_SECONDS} s: it is slow or does not respond; no file is "
            "missed, the next tick lists it again"
        ) from None
    finally:
        executor.shutdown(wait=False)


def _is_retried_by_dagster(run: dg.DagsterRun) -> bool:
    return run.tags.get("dagster/will_retry") == "true"


def _unused_number(instance: dg.DagsterInstance, sensor: str) -> int:
    """Returns a number above those of the sensor's earlier runs, for a sensor whose cursor is new or was reset."""
    numbers = [0]
    for record in instance.get_run_records(dg.RunsFilter(tags={_SENSOR_NAME: sensor}), limit=100):
        if number := re.match(r"\D+(\d+)", record.dagster_run.tags.get(_RUN_KEY, "")):
            numbers.append(int(number[1]) + 1)
    return max(numbers)
