"""The table of "Recurrent Models of Visual Attention": cells, recipes, what others reached.

Source: V. Mnih et al., "Recurrent Models of Visual Attention": NeurIPS 2014 and, with other
figures, arXiv 1406.6247 version 1. The figures marked as recalled were not read in either. What
replications reached is as their authors report it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Network = Literal["fc-64", "fc-256", "conv"]
BUDGETS = ("smoke", "quick", "paper")


@dataclass(frozen=True)
class Published:
    """Test errors that others reached, in percent; None where none is known.

    Attributes:
        nips: The paper as it appeared at NeurIPS.
        arxiv: Its first version.
        replication: The best known replication, with one pass over each image.
        averaged: The best known replication that averages ten passes.
        recalled: Which of these are from memory.
    """

    nips: float | None = None
    arxiv: float | None = None
    replication: float | None = None
    averaged: float | None = None
    recalled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """What is looked at.

    Attributes:
        env: Id of the environment.
        view: Its options, `glimpses` excepted.
        side: Height and width of the images, in pixels.
        recipe: Options of training that differ from the defaults, for agents with more glimpses
            than one; networks that see the image whole keep the defaults.
        steps: Of training, for every budget.
    """

    env: str
    view: Mapping[str, Any]
    side: int
    recipe: Mapping[str, Any]
    steps: Mapping[str, int]


@dataclass(frozen=True)
class Cell:
    """One figure of the table.

    Attributes:
        task: Name of what is looked at.
        model: Name of who looks, as the table has it.
        agent: Which agent that is.
        glimpses: How many; 1 for networks that see the image whole.
        network: What takes the place of the glimpse network; None: nothing does.
        published: What others reached.
    """

    task: str
    model: str
    agent: Literal["reinforce", "uniform", "centre", "untrained"]
    glimpses: int
    network: Network | None = None
    published: Published = field(default_factory=Published)

    @property
    def name(self) -> str:
        """How the command line and the runs' folders call it."""
        if self.network:
            return f"{self.task}/{self.network}"
        who = "ram" if self.agent == "reinforce" else self.agent
        return f"{self.task}/{who}-{self.glimpses}"


TASKS: Mapping[str, Task] = {
    "28x28": Task(
        "glimpse/MNIST-v0",
        {},
        28,
        {"weight_decay": 0.3, "joint": 0.0, "std": 0.1, "last_std": None},
        {"smoke": 20, "quick": 30_000, "paper": 25_000},
    ),
    "translated-60": Task(
        "glimpse/TranslatedMNIST-v0",
        {"first": "centre"},
        60,
        {"weight_decay": 0.1},
        {"smoke": 20, "quick": 20_000, "paper": 25_000},
    ),
    "cluttered-60": Task(
        "glimpse/ClutteredMNIST-v0",
        {"first": "centre"},
        60,
        {},
        {"smoke": 20, "quick": 30_000, "paper": 60_000},
    ),
    "cluttered-100": Task(
        "glimpse/ClutteredMNIST-v0",
        {"first": "centre", "canvas": "cluttered-100", "scales": 4},
        100,
        {},
        {"smoke": 20, "quick": 60_000, "paper": 60_000},
    ),
}

# Episodes of a step, by budget: a long training gains from the quieter gradient of more.
BATCH = {"smoke": 64, "quick": 256, "paper": 1024}


def _ram(task: str, glimpses: int, *figures: float | None, recalled: tuple[str, ...] = ()) -> Cell:
    published = _published(figures, recalled)
    return Cell(task, f"RAM, {glimpses} glimpses", "reinforce", glimpses, published=published)


def _whole(
    task: str, network: Network, *figures: float | None, recalled: tuple[str, ...] = ()
) -> Cell:
    models = {"fc-64": "FC 2 x 64", "fc-256": "FC 2 x 256", "conv": "convolutional"}
    return Cell(task, models[network], "centre", 1, network, _published(figures, recalled))


def _published(figures: tuple[float | None, ...], recalled: tuple[str, ...]) -> Published:
    nips, arxiv, replication, averaged = (*figures, None, None, None, None)[:4]
    return Published(nips, arxiv, replication, averaged, recalled)


def _controls(task: str, glimpses: int, uniform: Published) -> tuple[Cell, ...]:
    return (
        Cell(task, f"looks anywhere, {glimpses}", "uniform", glimpses, published=uniform),
        Cell(task, f"looks at the centre, {glimpses}", "centre", glimpses),
        Cell(task, f"never taught where, {glimpses}", "untrained", glimpses),
    )


CELLS: tuple[Cell, ...] = (
    _whole("28x28", "fc-256", 1.69, 1.35, recalled=("arxiv",)),
    _whole("28x28", "conv", 1.21),
    *_controls("28x28", 7, Published()),
    _ram("28x28", 2, 3.79, 6.27, 7.70),
    _ram("28x28", 3, 1.51, 2.7, recalled=("arxiv",)),
    _ram("28x28", 4, 1.54, 1.73, 1.07),
    _ram("28x28", 5, 1.34, 1.55, recalled=("arxiv",)),
    _ram("28x28", 6, 1.12, 1.29, 0.67),
    _ram("28x28", 7, 1.07, 1.47, 0.80, recalled=("arxiv",)),
    _whole("translated-60", "fc-64", 6.42, 7.56, 6.78, recalled=("arxiv",)),
    _whole("translated-60", "fc-256", 2.63, 3.7, 2.65, recalled=("arxiv",)),
    _whole("translated-60", "conv", 1.62, 2.31, 1.57, recalled=("arxiv",)),
    *_controls("translated-60", 8, Published()),
    _ram("translated-60", 4, 1.54, 2.29, 1.54),
    _ram("translated-60", 6, 1.22, 1.86, 1.08),
    _ram("translated-60", 8, 1.20, 1.84, 0.94, recalled=("arxiv",)),
    _whole("cluttered-60", "fc-64", 28.58, 28.96, 29.13, recalled=("arxiv",)),
    _whole("cluttered-60", "fc-256", 11.96, 13.2, 11.36, recalled=("arxiv",)),
    _whole("cluttered-60", "conv", 8.09, 7.83, 8.37),
    *_controls("cluttered-60", 8, Published(14.4)),
    _ram("cluttered-60", 4, 4.96, 7.1, 5.15, recalled=("arxiv",)),
    _ram("cluttered-60", 6, 4.08, 5.88, 3.33, 3.75, recalled=("arxiv",)),
    _ram("cluttered-60", 8, 4.04, 5.23, 2.63, 4.82),
    _whole("cluttered-100", "conv", 14.35, 16.51, 16.22, recalled=("nips",)),
    *_controls("cluttered-100", 8, Published(28.4, recalled=("nips",))),
    _ram("cluttered-100", 4, 9.41, 14.95, 14.86, recalled=("nips",)),
    _ram("cluttered-100", 6, 8.31, 11.58, 8.3, 4.62, recalled=("nips",)),
    _ram("cluttered-100", 8, 8.11, 10.83, 5.9, 2.68, recalled=("nips",)),
)
