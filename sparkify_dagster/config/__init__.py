"""Settings from environment variables and dwh.cfg, and access to AWS."""
