"""What holds runs together: liveness, the launcher, signals, locks, and errors with their translations."""
