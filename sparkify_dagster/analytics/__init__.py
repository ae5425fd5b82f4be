"""The analysts' queries: their files, results, charts, and the comparison with expected results."""
