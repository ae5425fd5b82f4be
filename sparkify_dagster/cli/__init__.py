"""The command line, `sparkify`."""
