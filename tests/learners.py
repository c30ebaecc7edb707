"""Small learners for several test files: 12 training images, three glimpses, ten steps."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from glimpse import Eye, GlimpseBatch, GlimpseSensor, ImageSet
from glimpse.agents import Agent, ReinforceConfig, TrainingConfig, control, reinforce
from glimpse.agents.learner import EpisodeLearner
from glimpse.agents.rollout import Rollout
from glimpse.canvas import Canvas, OnCanvas
from glimpse.image_set import ImageSource
from glimpse.loop import train

TRAIN = [1, 2, 4, 6, 7, 9, 10, 11, 13, 14, 15, 16]
GLIMPSES = 3
SIZES: dict[str, Any] = {"steps": 10, "batch": 4, "hidden": 8, "features": 8}
# Whatever the defaults are: each test adds the options that it is about.
PLAIN: dict[str, Any] = {"ema": 0.0, "early": 1.0}
PLAIN_REINFORCE: dict[str, Any] = {"std": 0.1, "last_std": None, "joint": 0.0}
# One of each option that changes what a step does.
ALL_OPTIONS: dict[str, Any] = {
    "copies": 2,
    "baseline": "others",
    "joint": 0.5,
    "last_std": 0.05,
    "locator_rate": 0.5,
    "ema": 0.9,
    "curriculum": 7,
    "warm_up": 3,
    "weight_decay": 0.1,
}


def small_images() -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (17, 1, 9, 12), dtype=torch.uint8, generator=generator)
    splits = {"train": TRAIN, "validation": [0, 3, 5], "test": [8, 12]}
    return ImageSet.from_arrays(images, [k % 3 for k in range(17)], splits=splits)


def small_canvas() -> OnCanvas:
    return OnCanvas(small_images(), Canvas(14, 18, pieces=2, piece=3))


class Recording(GlimpseBatch):
    """A batch that keeps which images were asked for."""

    def begin(self, seeds: Tensor, indices: Tensor) -> Any:
        self.__dict__.setdefault("asked", []).append(indices.tolist())
        return super().begin(seeds, indices)

    @property
    def shown(self) -> list[list[int]]:
        asked: list[list[int]] = self.__dict__.get("asked", [])
        return asked


def make_config(kind: type[TrainingConfig] = ReinforceConfig, **options: Any) -> Any:
    plain = {**PLAIN, **PLAIN_REINFORCE} if issubclass(kind, ReinforceConfig) else PLAIN
    return kind(**{**SIZES, **plain, **options})


def make_learner(
    config: Any,
    images: Callable[[], ImageSource] = small_images,
    first: str = "random",
    *,
    device: str = "cpu",
    glimpse_network: nn.Module | None = None,
) -> EpisodeLearner:
    eye = Eye(sensor=GlimpseSensor(3, scales=2), glimpses=GLIMPSES, first=first)
    source: Any = images()
    rows = config.batch * config.copies
    kind = Recording if device == "cpu" else GlimpseBatch  # a list of numbers waits for CUDA
    episodes = kind(source.to(device), eye, rows, copies=config.copies)
    agent = Agent.for_batch(config, episodes, glimpse_network)
    make: Any = reinforce if isinstance(config, ReinforceConfig) else control
    learner: EpisodeLearner = make(config, episodes, agent.model)
    return learner


def run(learner: EpisodeLearner, start: int, stop: int) -> list[dict[str, float]]:
    """Take the steps from `start` to `stop`; return what each told."""
    metrics: list[dict[str, float]] = []

    def keep(progress: Any) -> None:
        metrics.append({name: float(value) for name, value in progress.metrics.items()})

    train(learner, stop, [keep], start=start)
    return metrics


def watch(learner: EpisodeLearner) -> list[Rollout]:
    """Return a list to which every later step adds the episodes that it learned from."""
    rollouts: list[Rollout] = []
    loss = learner._loss

    def spy(rollout: Rollout) -> Mapping[str, Tensor]:
        detached = (part.detach().clone() for part in rollout)
        rollouts.append(Rollout(*detached))
        return loss(rollout)

    learner._loss = spy
    return rollouts


def weights_of(learner: EpisodeLearner) -> dict[str, Tensor]:
    """Return a copy of the agent's weights."""
    return {name: value.clone() for name, value in learner.model.state_dict().items()}


def learning_weights_in_place(learner: EpisodeLearner) -> dict[str, Tensor]:
    """Return the weights that are trained, which `ema` averages."""
    state = learner.state_dict()
    learning: dict[str, Tensor] = state["learning"] or state["model"]
    return learning


def learning_weights_of(learner: EpisodeLearner) -> dict[str, Tensor]:
    """Return a copy of them."""
    return {name: value.clone() for name, value in learning_weights_in_place(learner).items()}


def assert_same(got: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(got[name], value), name


def differ(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return any(not torch.equal(one[name], other[name]) for name in one)
