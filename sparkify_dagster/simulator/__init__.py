"""A deterministic stand-in for the real data: logs as eventsim writes them, songs like the Million Song Dataset's."""

from sparkify_dagster.simulator.simulation import SimulatedCounts, simulate

__all__ = ["SimulatedCounts", "simulate"]
