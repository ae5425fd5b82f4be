"""Why a step failed, as a person is told of it."""

import dagster as dg


def failure_reason(failed: dg.DagsterEvent) -> str:
    """A Failure's own description, else the message of the error from which all others came; empty if none has one."""
    data = failed.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else ""
