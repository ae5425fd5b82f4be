"""docs/contract.md against the tables, and its examples against the reference that is written from it."""

import re

import pytest

from sparkify_dagster.config import keys
from sparkify_dagster.schema.event_columns import DEFAULT_KEYS
from sparkify_dagster.schema.tables import (
    PRODUCT_TABLES,
    STAR_TABLES,
    key_columns,
    staging_events,
    staging_songs,
    type_name,
)
from sparkify_dagster.sources.records import MAX_NESTING, MAX_RECORD_BYTES
from sparkify_dagster_tests.contract.reference import BROKEN, log_records
from sparkify_dagster_tests.support.project import ROOT
from sparkify_dagster_tests.support.world import PRODUCT, STAR

DOCUMENT = (ROOT / "docs" / "contract.md").read_text("utf-8")
FORMS = re.findall(r"<!-- form: ([a-z -]+), (\d) records? -->\n\n```(?:json)?\n(.+?)```", DOCUMENT, re.DOTALL)


def table_below(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its own headings."""
    _, _, below = DOCUMENT.partition(f"{heading}\n")
    rows = [line for line in below.partition("\n#")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_types_of_staging_are_those_of_the_tables() -> None:
    given: list[tuple[str, str, str]] = []
    for table, column, type_ in table_below("### Types"):
        given.append((table or given[-1][0], column, type_))
    tables = [(staging_events, 19), (staging_songs, 10)]
    assert given == [
        (table.name, column.name, type_name(column))
        for table, count in tables
        for column in list(table.columns)[:count]
    ]


def test_the_star_has_the_tables_keys_and_columns() -> None:
    given = {name.strip("`"): (key, tuple(columns.split(", "))) for name, key, columns in table_below("## The star")}
    keys = {table.name: ", ".join(key_columns(table)) for table in STAR_TABLES}
    assert given == {name: (keys[name], columns) for name, columns in STAR.items()}


def test_the_marts_have_the_tables_keys_and_columns() -> None:
    given = {name.strip("`"): (key, tuple(columns.split(", "))) for name, key, columns in table_below("## The marts")}
    keys = {table.fullname: ", ".join(key_columns(table)) for table in PRODUCT_TABLES}
    assert given == {name: (keys[name], columns) for name, columns in PRODUCT.items()}


def test_the_limits_are_those_of_the_code() -> None:
    gibibytes = (keys.MAX_INFLATED_BYTES.default or 0) >> 30
    limits = {name: limit for name, limit, _ in table_below("### Limits")}
    assert limits == {
        "size of a file, decompressed": f"`SPARKIFY_MAX_INFLATED_BYTES`, by default {gibibytes} GiB",
        "length of a line or a record": f"{MAX_RECORD_BYTES >> 20} MiB",
        "nesting of arrays and objects in a record": f"{MAX_NESTING} levels",
        "errors per day, and errors in all song files": (
            f"`SPARKIFY_MAX_LOAD_ERRORS`, by default {keys.MAX_LOAD_ERRORS.default}"
        ),
    }


def test_the_usual_keys_are_given_in_their_order() -> None:
    (keys,) = re.findall(r"Without such a file\s+the\s+keys\s+are([^.]+)\.", DOCUMENT)
    assert tuple(re.findall(r"`(\w+)`", keys)) == tuple(DEFAULT_KEYS)


@pytest.mark.parametrize(("form", "count", "text"), FORMS, ids=[form for form, *_ in FORMS])
def test_an_example_has_its_records(form: str, count: str, text: str) -> None:
    records = log_records(text.encode())
    assert len(records) == int(count)
    assert [value for _, value in records if value is BROKEN] == ([BROKEN] if form == "cut array" else [])


def test_each_form_has_an_example() -> None:
    assert [form for form, *_ in FORMS] == ["array", "cut array", "pretty-printed", "lines"]


def test_links_lead_to_headings() -> None:
    headings = re.findall(r"^#+ (.+)$", DOCUMENT, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", DOCUMENT)) <= anchors
