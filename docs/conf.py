"""Sphinx's configuration.

Sphinx is the generator because it has been kept for eighteen years, knows every heading and so fails on a link to one
that is gone, and builds pages, search included, that need no server and load nothing from elsewhere. MkDocs, which
Material for MkDocs needs, has had no release since 2024; Zensical, its successor, is young.
"""

from importlib.metadata import version as version_of

project = "sparkify_dagster"
author = "The sparkify_dagster contributors"
copyright = "the sparkify_dagster contributors"
version = release = version_of("sparkify-dagster")

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
# Links to headings, as GitHub names them.
myst_heading_anchors = 4
nitpicky = True

html_theme = "furo"
html_static_path = ["assets"]
html_css_files = ["tables.css"]
html_title = f"sparkify_dagster {version}"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
