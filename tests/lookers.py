"""Agents that nobody has taught, and what they look at, for several test files."""

from typing import Any

import torch
from torch import Tensor

from glimpse import Eye, GlimpseBatch, GlimpseSensor, ImageSet
from glimpse.agents import Agent, ReinforceConfig
from glimpse.tasks import Classification

CLASSES = ("cat", "dog", "owl")
TASK = Classification(CLASSES)
SIZES: dict[str, Any] = {"hidden": 16, "features": 12, "precision": "float32"}


def pixels(count: int = 30, channels: int = 2, height: int = 9, width: int = 14) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    shape = (count, channels, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def make_eye(first: Any = "centre", **options: Any) -> Eye:
    options = {"glimpses": 4, "context": 3, "reach": 3.0, **options}
    return Eye(sensor=GlimpseSensor(3, scales=2, outside="mean"), first=first, **options)


def make_agent(config: Any = None, eye: Eye | None = None, channels: int = 2) -> Agent:
    agent = Agent.create(config or ReinforceConfig(**SIZES), eye or make_eye(), channels, TASK)
    with torch.no_grad():  # untrained means are nearly the centre: make them go somewhere
        agent.model.glimpse.get_parameter("see_what.weight").mul_(4)
        agent.model.locator.mean.weight.mul_(8)
    return agent


def make_batch(eye: Eye, rows: int = 7, count: int = 30, **options: Any) -> GlimpseBatch:
    generator = torch.Generator().manual_seed(3)
    targets = torch.randint(3, (count,), generator=generator)
    splits = {"train": range(5), "test": [*range(count - 1, 4, -1)]}
    images = ImageSet.from_arrays(pixels(count), targets, classes=CLASSES, splits=splits)
    return GlimpseBatch(images, eye, rows, **options)
