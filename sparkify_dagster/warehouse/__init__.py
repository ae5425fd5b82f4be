"""The seam to DuckDB, PostgreSQL and Redshift: connections, transactions, DDL and loading."""
