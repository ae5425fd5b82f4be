"""The executor of every run: Dagster's own in-process executor, in a run that is marked as alive and can be terminated.

It executes no run of the command line that was started with other settings.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

import dagster as dg

from sparkify_dagster.runtime import liveness, termination

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan
    from dagster._core.execution.retries import RetryMode


class WatchedExecutor(dg.Executor):
    """Holds the run's lock (runtime/liveness.py) from before the first step until the process ends.

    `settings` are the tags by which a run of the command line says what it loads, with this process's own values.
    """

    def __init__(self, executor: dg.Executor, settings: Mapping[str, str]) -> None:
        self._executor = executor
        self._settings = settings

    @property
    def retries(self) -> "RetryMode":
        return self._executor.retries

    def execute(
        self, plan_context: "PlanOrchestrationContext", execution_plan: "ExecutionPlan"
    ) -> Iterator[dg.DagsterEvent]:
        instance, run = plan_context.instance, plan_context.dagster_run
        liveness.alive_until_exit(instance, run.run_id)
        if reason := self._other_settings(run):
            # Nor would a retry have the right ones.
            instance.add_run_tags(run.run_id, {"dagster/max_retries": "0"})
            instance.report_run_failed(run, reason)
            # Of a run that has failed already, Dagster logs no more than a line.
            raise KeyboardInterrupt
        with termination.watched(instance, run.run_id):
            yield from self._executor.execute(plan_context, execution_plan)

    def _other_settings(self, run: dg.DagsterRun) -> str:
        """Returns why this process must not execute a run that another one began, or an empty text."""
        for tag, own in self._settings.items():
            if (of_run := run.tags.get(tag, own)) != own:
                return (
                    f"Nothing was loaded: the run was started with {tag} {of_run}, and this process is configured with "
                    f"{own}. Run `sparkify etl` where it was started."
                )
        return ""


def watched_in_process_executor(settings: Mapping[str, str]) -> dg.ExecutorDefinition:
    """Returns the executor. A process per step would cost a second each, and DuckDB has one writer anyway."""

    def create(context: dg.InitExecutorContext) -> dg.Executor:
        create = cast("Callable[[dg.InitExecutorContext], dg.Executor]", dg.in_process_executor.executor_creation_fn)
        return WatchedExecutor(create(context), settings)

    return dg.ExecutorDefinition(
        name="in_process",
        config_schema=dg.in_process_executor.config_schema.as_field(),
        executor_creation_fn=create,
    )
