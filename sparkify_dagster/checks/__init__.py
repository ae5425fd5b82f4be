"""What must be true of the assets: Dagster's asset checks."""
