"""The documentation: its generated parts, its examples and its links hold."""
