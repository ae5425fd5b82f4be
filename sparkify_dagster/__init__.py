"""Sparkify's warehouse as a Dagster asset graph: JSON logs and song files in, a checked star schema out."""
