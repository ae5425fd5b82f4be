"""The README's parts that are made from the code."""

from pathlib import Path

import pytest

from sparkify_dagster.settings_keys import settings_table
from sparkify_dagster.warehouse.diagram import star_schema_diagram

README = Path(__file__).parent.parent / "README.md"
GENERATED = {
    "star schema": f"```mermaid\n{star_schema_diagram()}\n```",
    "settings": settings_table(),
}


@pytest.mark.parametrize("name", GENERATED)
def test_generated_part_is_up_to_date(name: str) -> None:
    _, _, rest = README.read_text("utf-8").partition(f"<!-- {name} -->")
    block, _, _ = rest.partition(f"<!-- /{name} -->")
    assert block.strip() == GENERATED[name].strip(), (
        "run `python -m sparkify_dagster_tests.test_readme` to write it anew"
    )


def write() -> None:
    text = README.read_text("utf-8")
    for name, generated in GENERATED.items():
        before, start, rest = text.partition(f"<!-- {name} -->")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        text = f"{before}{start}\n\n{generated.strip()}\n\n{end}{after}"
    README.write_text(text, "utf-8")


if __name__ == "__main__":
    write()
