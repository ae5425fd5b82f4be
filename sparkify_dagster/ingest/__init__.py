"""Loads days of the log and the songs: compares, inspects ahead, replaces, rejects."""
