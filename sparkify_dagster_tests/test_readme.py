"""The README's parts that are made from the code."""

from pathlib import Path

from sparkify_dagster.warehouse.diagram import star_schema_diagram

README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- star schema -->", "<!-- /star schema -->"


def test_star_schema_is_that_of_the_metadata() -> None:
    expected = f"{START}\n```mermaid\n{star_schema_diagram()}\n```\n{END}"
    _, start, rest = README.read_text("utf-8").partition(START)
    block, end, _ = rest.partition(END)
    found = start + block + end
    # Blank lines around the fence are the README's own affair.
    assert [line for line in found.splitlines() if line] == expected.splitlines(), (
        f"README.md must hold what `python -m sparkify_dagster.warehouse.diagram` prints between {START} and {END}:"
        " run it and paste the output there"
    )
