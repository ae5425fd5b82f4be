"""What `dg scaffold defs` adds to the project: empty until somebody does."""
