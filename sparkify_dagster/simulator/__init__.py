"""Deterministic simulator of the source: logs in the format of eventsim, songs like the Million Song Dataset's."""

from sparkify_dagster.simulator.simulation import SimulatedCounts, simulate

__all__ = ["SimulatedCounts", "simulate"]
