"""The tables with their columns and keys, the SQL files that build them, and the lineage that these show."""
