"""Writes the charting library that the page embeds: `make charting-library`.

To bundle it takes three seconds of a processor, which no load has to wait for, so the bundle is part of the package.
"""

from importlib.metadata import version
from typing import Final

from sparkify_dagster.report.page import LIBRARY

# A module's names stay its own, so that the page gets just this one.
_SNIPPET: Final = "globalThis.vegaEmbed = vegaEmbed;"


def heading() -> str:
    """Returns the bundle's first line, with the versions of the installed vl-convert."""
    import vl_convert

    versions = {
        "Vega": vl_convert.get_vega_version(),
        "Vega-Lite": vl_convert.get_vegalite_versions()[-1],
        "Vega-Embed": vl_convert.get_vega_embed_version(),
    }
    return (
        f"/*! {', '.join(f'{name} {version}' for name, version in versions.items())}, bundled by vl-convert "
        f"{version('vl-convert-python')}; licences: vega_bundle.LICENSE.txt of sparkify_dagster */\n"
    )


def write() -> None:
    import vl_convert

    LIBRARY.write_text(f"{heading()}{vl_convert.javascript_bundle(_SNIPPET)}\n", "utf-8")


if __name__ == "__main__":
    write()
