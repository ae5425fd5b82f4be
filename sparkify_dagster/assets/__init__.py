"""Assets: the source files, the staging tables, the star schema and the analytics tables."""
