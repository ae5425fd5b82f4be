"""What exists: the source, the staging tables, the star and the analysts' queries as assets."""
