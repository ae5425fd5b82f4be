"""Amazon Redshift: login, COPY and its landing tables."""
