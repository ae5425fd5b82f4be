"""What the UI shows of a table: columns, previews, lineage, sparklines and links to the code."""
