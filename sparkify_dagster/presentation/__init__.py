"""Metadata that the UI shows for a table: columns, previews, lineage, sparklines and links to the code."""
