"""The cells of the paper's table: all there, with the figures that were published."""

from dataclasses import fields

import pytest

from glimpse.agents import AGENTS, ReinforceConfig
from glimpse.cli.options import ViewOptions
from glimpse.cli.ram import BATCH, BUDGETS, CELLS, TASKS, Cell, Published
from glimpse.envs import ENVIRONMENTS

RAM = {"28x28": range(2, 8), **dict.fromkeys(["translated-60", "cluttered-60"], (4, 6, 8))}
RAM["cluttered-100"] = (4, 6, 8)
WHOLE = {
    "28x28": ["fc-256", "conv"],
    "translated-60": ["fc-64", "fc-256", "conv"],
    "cluttered-60": ["fc-64", "fc-256", "conv"],
    "cluttered-100": ["conv"],
}
BY_NAME = {cell.name: cell for cell in CELLS}


def test_every_cell_has_a_name_of_its_own() -> None:
    assert len(BY_NAME) == len(CELLS)
    assert len({(cell.task, cell.model) for cell in CELLS}) == len(CELLS)
    assert set(BY_NAME) == {f"{cell.task}/{cell.name.split('/')[1]}" for cell in CELLS}


def test_all_rows_are_there_and_no_other() -> None:
    wanted = set()
    for task, glimpses in RAM.items():
        wanted |= {f"{task}/ram-{count}" for count in glimpses}
        wanted |= {f"{task}/{network}" for network in WHOLE[task]}
        most = max(glimpses)
        wanted |= {f"{task}/{control}-{most}" for control in ("uniform", "centre", "untrained")}
    assert set(BY_NAME) == wanted
    assert list(TASKS) == list(RAM)
    assert {cell.task for cell in CELLS} == set(TASKS)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_cell_is_what_its_name_says(cell: Cell) -> None:
    who = cell.name.split("/")[1]
    if cell.network is not None:
        assert (cell.network, cell.agent, cell.glimpses) == (who, "centre", 1)
    else:
        name, count = who.split("-")
        assert cell.glimpses == int(count)
        assert cell.agent == ("reinforce" if name == "ram" else name)
        assert str(cell.glimpses) in cell.model
    assert cell.agent in AGENTS
    assert set(cell.published.recalled) <= {"nips", "arxiv"}


# NeurIPS, arXiv, and which of these are recalled.
FIGURES: dict[str, tuple[float | None, float | None, tuple[str, ...]]] = {
    "28x28/fc-256": (1.69, 1.35, ("arxiv",)),
    "28x28/conv": (1.21, None, ()),
    "28x28/ram-2": (3.79, 6.27, ()),
    "28x28/ram-6": (1.12, 1.29, ()),
    "28x28/ram-7": (1.07, 1.47, ("arxiv",)),
    "28x28/uniform-7": (None, None, ()),
    "translated-60/fc-64": (6.42, 7.56, ("arxiv",)),
    "translated-60/ram-4": (1.54, 2.29, ()),
    "translated-60/ram-6": (1.22, 1.86, ()),
    "cluttered-60/conv": (8.09, 7.83, ()),
    "cluttered-60/ram-8": (4.04, 5.23, ()),
    "cluttered-60/uniform-8": (14.4, None, ()),
    "cluttered-60/centre-8": (None, None, ()),
    "cluttered-100/conv": (14.35, 16.51, ("nips",)),
    "cluttered-100/ram-4": (9.41, 14.95, ("nips",)),
    "cluttered-100/ram-8": (8.11, 10.83, ("nips",)),
    "cluttered-100/uniform-8": (28.4, None, ("nips",)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_the_figures_are_the_published_ones(name: str) -> None:
    published = BY_NAME[name].published
    assert (published.nips, published.arxiv, published.recalled) == FIGURES[name]


def test_what_replications_reached() -> None:
    for name, single, averaged in (
        ("28x28/ram-2", 7.70, None),
        ("28x28/ram-6", 0.67, None),
        ("translated-60/ram-8", 0.94, None),
        ("cluttered-60/ram-6", 3.33, 3.75),
        ("cluttered-100/ram-8", 5.9, 2.68),
    ):
        published = BY_NAME[name].published
        assert (published.replication, published.averaged) == (single, averaged)


def test_nothing_was_published_of_controls_but_the_random_policy() -> None:
    for cell in CELLS:
        if cell.agent in ("centre", "untrained") and cell.network is None:
            assert cell.published == Published()
        if cell.agent == "reinforce":
            assert cell.published.nips is not None
            assert cell.published.arxiv is not None


@pytest.mark.parametrize("name", TASKS)
def test_a_task_says_how_it_is_learned(name: str) -> None:
    task = TASKS[name]
    assert task.env in ENVIRONMENTS
    assert set(task.steps) == set(BATCH) == set(BUDGETS) == {"smoke", "quick", "paper"}
    assert task.steps["smoke"] < 100 < min(task.steps["quick"], task.steps["paper"])
    assert set(task.recipe) <= {field.name for field in fields(ReinforceConfig)}
    assert set(task.view) <= {field.name for field in fields(ViewOptions)} - {"glimpses"}
    canvas = task.view.get("canvas", ENVIRONMENTS[task.env].get("canvas", "mnist-28"))
    assert canvas.endswith(f"-{task.side}")  # the images are as large as the task says
