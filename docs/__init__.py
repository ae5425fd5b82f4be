"""The sources of the documentation site, and the module that generates its reference from the code."""
