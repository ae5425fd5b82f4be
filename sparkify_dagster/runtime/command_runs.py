"""Makes runs of the command line what runs of the UI are: on the job's page, to be re-executed, repeated after a kill.

Dagster looks for a run's code by its origin, which only runs of a code server have.
"""

import dagster as dg

# The classes of the origin are not exported publicly.
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

# As in workspace.yaml.
LOCATION = "sparkify_dagster"
_REPOSITORY = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), "__repository__")
# Given when the run is created: the pages of jobs select by them.
ORIGIN_TAGS = {".dagster/repository": _REPOSITORY.get_label(), "dagster/code_location": LOCATION}


def add_origin(instance: dg.DagsterInstance, run_id: str, job: str) -> None:
    """Lets the next event of the run, its start, add the origin to it, as `dagster run migrate-repository` does."""

    def at_start(entry: dg.EventLogEntry) -> None:
        if entry.dagster_event and entry.dagster_event.event_type is dg.DagsterEventType.RUN_START:
            run = instance.get_run_by_id(run_id)
            if run is not None:
                instance.run_storage.replace_job_origin(run, RemoteJobOrigin(_REPOSITORY, job))

    instance.add_event_listener(run_id, at_start)
