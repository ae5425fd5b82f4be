"""Launches runs as Dagster does by default, and tells its monitoring which of them have no process any more.

The default launcher itself cannot: who sees a run's process end is the code server that started it, and where that one
is killed too, or the machine stops, the run would be unfinished for ever and keep its place in the queue.
"""

import dagster as dg

# What a launcher answers with is not exported publicly.
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

from sparkify_dagster.runtime import liveness


class WatchedRunLauncher(dg.DefaultRunLauncher):
    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        if liveness.is_dead(self._instance, run.run_id):
            return CheckRunHealthResult(WorkerStatus.FAILED, liveness.DIED)
        return CheckRunHealthResult(WorkerStatus.RUNNING)
