"""Definitions that `dg scaffold defs` adds to the project; empty by default."""
