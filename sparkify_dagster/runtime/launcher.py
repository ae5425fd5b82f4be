"""Launches runs as Dagster does by default, reports those without a process, and terminates those of commands.

The default launcher cannot: only the code server that started a run's process sees it end. If that one is killed too,
or the machine stops, the run would stay unfinished for ever and keep its place in the queue.
"""

import dagster as dg

# The result types of a launcher are not exported publicly.
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

from sparkify_dagster.runtime import liveness, termination


class WatchedRunLauncher(dg.DefaultRunLauncher):
    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        if liveness.is_dead(self._instance, run.run_id):
            return CheckRunHealthResult(WorkerStatus.FAILED, liveness.DIED)
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is not None and liveness.is_dead(self._instance, run_id):
            self._instance.report_run_canceled(run, liveness.DIED)
            return True
        if run is None or run.is_finished or termination.is_of_code_server(run):
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run, "Termination was requested: the run's process ends it within seconds.")
        return True
