"""The report: one HTML page of the headline figures, the queries, the checks and the tables, without any person."""
