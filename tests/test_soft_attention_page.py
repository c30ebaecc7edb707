"""The page of soft attention lists every module of the table, and what it says of weights is so."""

import re
from pathlib import Path

import pytest

from glimpse.soft_baselines import ATTENTION, make

PAGE = (Path(__file__).parents[1] / "docs" / "soft_attention.md").read_text(encoding="utf-8")
COMPUTE, COST, REPORTED = "What they compute", "What they cost", "What was reported"


def _rows(section: str) -> dict[str, list[str]]:
    """Return the cells of every row of the table under a heading, by name."""
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [re.split(r" *\| *", line.strip("| ")) for line in text.splitlines() if "|" in line]
    return {row[0].strip("`"): row[1:] for row in rows[2:]}


@pytest.mark.parametrize("section", [COMPUTE, COST, REPORTED])
def test_every_module_has_a_row_in_its_order(section: str) -> None:
    rows = _rows(section)
    assert set(ATTENTION) <= set(rows)
    assert list(rows) == sorted(rows)


@pytest.mark.parametrize("name", list(ATTENTION))
def test_rows_say_what_the_table_says(name: str) -> None:
    paper, domain = _rows(COMPUTE)[name][:2]
    assert domain == ATTENTION[name].domain
    assert paper.endswith(str(ATTENTION[name].year))
    weights = sum(weight.numel() for weight in make(name, 256).parameters())
    assert int(_rows(COST)[name][1].replace(" ", "")) == weights
