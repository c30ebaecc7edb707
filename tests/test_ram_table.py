"""The table in Markdown: what stands in which column."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from glimpse.cli.ram import CELLS, Cell, Published
from glimpse.cli.ram_table import markdown

RAM = Cell("28x28", "RAM, 6 glimpses", "reinforce", 6, published=Published(1.12, 1.29, 0.67))
VERSIONS = {"python": "3.12.1", "torch": "2.13", "numpy": "2.4", "gymnasium": "1.2"}
VERSIONS |= {"platform": "a platform", "pillow": "12.0"}
COMMAND = "glimpse reproduce ram --budget quick --only '*'"


def _measured(error: float, averaged: float | None = None, **circumstances: Any) -> dict[str, Any]:
    """Return what the file of a run holds, as far as the table reads it."""
    last = {"mean": {"error": error, "interval": [error - 0.2, error + 0.3]}}
    first = {"mean": {"error": 90.0, "interval": [89.0, 91.0]}}
    result: dict[str, Any] = {
        "errors": [first, last],
        "seconds": {"wall": 120.0, "processor": 90.0},
        "machine": "x86_64, 1 thread",
        "date": "2026-11-22",
        "versions": VERSIONS,
        **circumstances,
    }
    return result if averaged is None else {**result, "averaged": {"error": averaged}}


def _table(text: str) -> list[dict[str, str]]:
    """Return the rows by the names of the columns; all lines have as many."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith(" |") for line in lines)
    head, rule, *rows = ([part.strip() for part in line[1:-1].split("|")] for line in lines)
    assert rule == ["---"] * len(head)
    assert len(set(head)) == len(head)
    for row in rows:
        assert len(row) == len(head)
    return [dict(zip(head, row, strict=True)) for row in rows]


def _row(
    cell: Cell, measured: Sequence[Mapping[str, Any]], budget: str = "quick"
) -> dict[str, str]:
    (row,) = _table(markdown({cell: measured}, budget, COMMAND))
    return row


def test_every_cell_that_was_measured_has_a_row() -> None:
    """And no other."""
    rows = _table(markdown({cell: [_measured(2.0)] for cell in CELLS}, "quick", COMMAND))
    assert [(row["task"], row["model"]) for row in rows] == [
        (cell.task, cell.model) for cell in CELLS
    ]
    results = {cell: [_measured(2.0)] if cell.agent == "uniform" else [] for cell in CELLS}
    rows = _table(markdown(results, "quick", COMMAND))
    assert [row["task"] for row in rows] == [cell.task for cell in CELLS if cell.agent == "uniform"]


def test_one_seed_has_the_interval_of_its_images() -> None:
    row = _row(RAM, [_measured(1.234, 0.987)])
    assert row == {
        "task": "28x28",
        "model": "RAM, 6 glimpses",
        "ours": "**1.23**",
        "interval": "1.03 to 1.53",
        "10 looks": "0.99",
        "seeds": "1",
        "NeurIPS": "1.12",
        "arXiv": "1.29",
        "replication": "0.67",
        "beats the paper": "no",
        "beats the replication": "no",
        "CPU minutes": "1.5",
        "minutes": "2.0",
    }


def test_several_seeds_have_their_mean_lowest_and_highest() -> None:
    measured = [_measured(1.5, 1.0), _measured(0.5, 2.0), _measured(0.7, 0.6)]
    measured[1]["seconds"] = {"wall": 300.0, "processor": 6000.0}
    row = _row(RAM, measured)
    assert (row["ours"], row["interval"], row["seeds"]) == ("**0.90**", "0.50 to 1.50", "3")
    assert row["10 looks"] == "1.20"
    assert (row["CPU minutes"], row["minutes"]) == ("34.3", "3.0")


def test_networks_without_glimpses_have_no_average() -> None:
    cell = Cell("28x28", "FC 2 x 256", "centre", 1, "fc-256", Published(1.69))
    assert _row(cell, [_measured(1.5)])["10 looks"] == ""


@pytest.mark.parametrize(
    ("published", "shown"),
    [
        (Published(), ("", "", "")),
        (Published(1.5, 2.0), ("1.50", "2.00", "")),
        (Published(1.5, 2.0, recalled=("nips",)), ("*1.50*", "2.00", "")),
        (Published(1.5, 2.0, recalled=("arxiv",)), ("1.50", "*2.00*", "")),
        (Published(1.5, 2.0, 3.0, recalled=("nips", "arxiv")), ("*1.50*", "*2.00*", "3.00")),
        (Published(replication=3.25, averaged=2.75), ("", "", "3.25 (2.75)")),
        (Published(averaged=2.75), ("", "", "(2.75)")),
        (Published(0.0, 0.0, 0.0, 0.0), ("0.00", "0.00", "0.00 (0.00)")),
    ],
)
def test_what_others_reached(published: Published, shown: tuple[str, str, str]) -> None:
    row = _row(Cell("28x28", "a", "reinforce", 6, published=published), [_measured(1.0)])
    assert (row["NeurIPS"], row["arXiv"], row["replication"]) == shown


VERDICTS = [
    (1.0, Published(1.1, 1.2), ("yes", "")),
    (1.15, Published(1.1, 1.2), ("no", "")),  # the better of the two
    (1.15, Published(1.2, 1.1), ("no", "")),
    (1.1, Published(1.1, 1.2, 1.1), ("no", "no")),
    (1.0, Published(1.1), ("yes", "")),
    (1.0, Published(None, 0.9), ("no", "")),
    (9.0, Published(1.1, 1.2, 10.0, 10.0), ("no", "yes")),
    (1.0, Published(1.1, 1.2, 0.9), ("yes", "no")),
    (1.0, Published(replication=2.0), ("", "yes")),
    (1.0, Published(averaged=2.0), ("", "")),  # another measure: of ten looks
    (1.0, Published(replication=0.5, averaged=2.0), ("", "no")),
    (0.0, Published(0.0, replication=0.0), ("no", "no")),
]


def _verdicts(cell: Cell, measured: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    row = _row(cell, measured)
    return row["beats the paper"], row["beats the replication"]


@pytest.mark.parametrize(("ours", "published", "verdicts"), VERDICTS)
def test_the_verdicts(ours: float, published: Published, verdicts: tuple[str, str]) -> None:
    cell = Cell("28x28", "a", "reinforce", 6, published=published)
    assert _verdicts(cell, [_measured(ours)]) == verdicts


def test_the_verdicts_are_those_of_the_mean() -> None:
    cell = Cell("28x28", "a", "reinforce", 6, published=Published(1.12, 1.29, 1.25))
    assert _verdicts(cell, [_measured(0.9), _measured(1.5)]) == ("no", "yes")


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.agent != "reinforce"])
def test_baselines_and_controls_are_no_race(cell: Cell) -> None:
    assert _verdicts(cell, [_measured(0.01)]) == ("", "")


def test_a_smoke_table_says_that_it_is_no_result() -> None:
    for budget in ("smoke", "quick", "paper"):
        text = markdown({RAM: [_measured(1.0)]}, budget, COMMAND)
        assert text.startswith(f"# Recurrent Models of Visual Attention: {budget}\n\n")
        warned = "**This is no result: every cell learned for seconds only.**\n\n|" in text
        assert warned == (budget == "smoke")


def _end(results: Mapping[Cell, Sequence[Mapping[str, Any]]]) -> str:
    """Return the paragraph that ends the page."""
    text = markdown(results, "quick", COMMAND)
    assert text.endswith(".\n")
    return text.splitlines()[-1]


def test_what_surrounds_the_table() -> None:
    text = markdown({RAM: [_measured(1.0)]}, "quick", COMMAND)
    lines = text.splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith("|"))
    assert lines[last + 1] == ""  # or what follows would belong to the table
    assert "95 % Wilson interval" in text
    assert _end({RAM: [_measured(1.0)]}) == (
        f"`{COMMAND}`. Trained on x86_64, 1 thread, 2026-11-22, with python 3.12.1, torch 2.13, "
        "numpy 2.4, gymnasium 1.2."
    )


def test_the_circumstances_are_those_of_all_cells_each_once() -> None:
    """Of those that were measured by earlier commands, elsewhere or with other versions, too."""
    newer = {**VERSIONS, "torch": "2.14", "pillow": "13.0"}
    first = [_measured(1.0, date="2026-12-01"), _measured(1.0, machine="NVIDIA H100")]
    others = [_measured(1.0), _measured(2.0, versions=newer)]
    end = _end({RAM: first, CELLS[0]: others, CELLS[1]: []})
    assert "Trained on NVIDIA H100 and x86_64, 1 thread, 2026-11-22 and 2026-12-01, with " in end
    versions = end.partition(", with ")[2]
    assert versions == (
        "python 3.12.1, torch 2.13, numpy 2.4, gymnasium 1.2 and "
        "python 3.12.1, torch 2.14, numpy 2.4, gymnasium 1.2."
    )


def test_other_libraries_are_not_told() -> None:
    assert "pillow" not in _end({RAM: [_measured(1.0)]})
