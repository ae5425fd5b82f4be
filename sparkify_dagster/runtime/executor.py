"""The executor of every run: Dagster's own in-process executor, which also marks the run as alive."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

import dagster as dg

from sparkify_dagster.runtime import liveness

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan
    from dagster._core.execution.retries import RetryMode


class WatchedExecutor(dg.Executor):
    """Holds the run's lock (runtime/liveness.py) from before the first step until the process ends."""

    def __init__(self, executor: dg.Executor) -> None:
        self._executor = executor

    @property
    def retries(self) -> "RetryMode":
        return self._executor.retries

    def execute(
        self, plan_context: "PlanOrchestrationContext", execution_plan: "ExecutionPlan"
    ) -> Iterator[dg.DagsterEvent]:
        liveness.alive_until_exit(plan_context.instance, plan_context.run_id)
        yield from self._executor.execute(plan_context, execution_plan)


def _create(context: dg.InitExecutorContext) -> dg.Executor:
    create = cast("Callable[[dg.InitExecutorContext], dg.Executor]", dg.in_process_executor.executor_creation_fn)
    return WatchedExecutor(create(context))


# A process per step would cost a second each, and DuckDB has one writer anyway.
watched_in_process_executor = dg.ExecutorDefinition(
    name="in_process",
    config_schema=dg.in_process_executor.config_schema.as_field(),
    executor_creation_fn=_create,
)
