"""A soft baseline: a small residual network with one module of the table in it, and its options."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd
from typing import Any

import torch

from glimpse.checks import check_count, check_name
from glimpse.classifier import ClassifierConfig, class_names
from glimpse.image_set import ImageSource
from glimpse.randomness import derive_seed

from .insertion import insert
from .registry import ATTENTION
from .small_resnet import SmallResNet

NONE = "none"
# Names that stand for one of the table.
_SHORT: Mapping[str, str] = {"stn": "spatial_transformer"}
# At the input they see cells fine enough to find something in them.
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "spatial_transformer": {"cells": 8, "hidden": 64},
    "draw": {"cells": 8, "size": 12},
}


@dataclass(frozen=True, kw_only=True)
class SoftConfig(ClassifierConfig):
    """How a soft baseline is built and trained.

    It sees the images that an agent of the same seed and batch sees, if that sees each once
    (`copies=1`).

    Attributes:
        attention: Which module the network has: `none`, `stn` (the spatial transformer), or a name
            that `glimpse attention list` shows.
        width: Channels of the network's first stage; the second has twice, the third four times as
            many.
        blocks: Residual blocks of each of the three stages.
    """

    steps: int = 2000
    attention: str = "cbam"
    width: int = 16
    blocks: int = 1

    def __post_init__(self) -> None:
        """Refuse options that cannot be meant."""
        super().__post_init__()
        check_name("attention", self.attention, [NONE, *_SHORT, *ATTENTION])
        check_count(1, width=self.width, blocks=self.blocks)

    def make(self, images: ImageSource) -> SmallResNet:
        """Return a network for these images that knows nothing yet.

        Raises:
            ValueError: They are no classification of images of one size, or the module does not
                take so few channels.
        """
        classes = len(class_names(images))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(self.seed, 0, 9))
            network = self.network(images.shape, classes)
        return network.to(images.device)

    def network(self, shape: tuple[int, int, int], classes: int) -> SmallResNet:
        """Return a network for images of a shape (C, H, W), with weights drawn globally.

        Raises:
            ValueError: The module does not take so few channels.
        """
        network = SmallResNet(shape, classes, width=self.width, blocks=self.blocks)
        name = _SHORT.get(self.attention, self.attention)
        if name == NONE:
            return network
        options = _OPTIONS.get(name, {})
        if name == "sk":  # of 32 groups as many as there can be
            options = {"groups": gcd(32, self.width)}
        try:
            return insert(network, name, **options)
        except ValueError as error:
            raise ValueError(
                f"`width` must suit {self.attention}, got {self.width}, of which it says: {error}"
            ) from error
