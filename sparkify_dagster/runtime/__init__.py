"""Run liveness, executor, launcher, signals, locks, and the family of errors with its translations."""
