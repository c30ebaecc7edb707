"""Maxout networks: what a unit says is the largest of several linear functions of its input.

Convention:
    Images are `(B, C, H, W)` floats in [0, 1]; a network returns logits `(B, n)`. A stage is a
    convolution, the maximum over pieces, and the maximum over a window (pooling).

Source: I. Goodfellow et al., "Maxout networks", ICML 2013, equation 3 of section 3. The sizes
called `paper` are those of its network for CIFAR as we recall them, with its dense layer.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from math import prod
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .checks import check_count, check_name


class Stage(NamedTuple):
    """The sizes of one stage.

    Attributes:
        maps: How many feature maps come out.
        kernel: Height and width of the filters, in pixels.
        padding: Zeros around the input, in pixels.
        pool: Height and width of the window whose largest is kept.
        stride: From one such window to the next.
        pieces: How many linear functions a unit is the largest of.
    """

    maps: int
    kernel: int
    padding: int
    pool: int
    stride: int
    pieces: int = 2


class Dense(NamedTuple):
    """The sizes of a maxout layer after the stages.

    Attributes:
        units: How many.
        pieces: How many linear functions each is the largest of.
    """

    units: int
    pieces: int


class Sizes(NamedTuple):
    """The sizes of a network.

    Attributes:
        stages: In their order.
        dense: A layer after them, or None.
    """

    stages: tuple[Stage, ...]
    dense: Dense | None = None


SIZES: Mapping[str, Sizes] = {
    "small": Sizes((Stage(16, 5, 2, 2, 2), Stage(16, 5, 2, 2, 2)), Dense(32, 2)),
    "paper": Sizes(
        (Stage(96, 8, 4, 4, 2), Stage(192, 8, 3, 4, 2), Stage(192, 5, 3, 2, 2)), Dense(500, 5)
    ),
}


class MaxoutStage(nn.Module):
    """A convolution, the maximum over pieces and the maximum over windows.

    Args:
        channels: Of the input.
        sizes: Of the stage.
        dropout: Which share of the input is dropped in training.
    """

    def __init__(self, channels: int, sizes: Stage, dropout: float = 0.0) -> None:
        super().__init__()
        self.sizes = sizes
        self.dropout = nn.Dropout(dropout)
        self.filters = nn.Conv2d(
            channels, sizes.pieces * sizes.maps, sizes.kernel, padding=sizes.padding
        )

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B M h w"]:
        """Return the feature maps."""
        linear = self.filters(self.dropout(images))
        return self.pooled(linear.unflatten(1, (self.sizes.pieces, -1)).unbind(dim=1))

    def pooled(self, pieces: Sequence[Float[Tensor, "B M H W"]]) -> Float[Tensor, "B M h w"]:
        """Return the largest of the pieces, and of that the largest in every window."""
        largest = reduce(torch.maximum, pieces)
        # rows, then columns: with maps innermost in memory three times as fast as max_pool2d on CPU
        for axis in (2, 3):
            largest = reduce(
                torch.maximum, largest.unfold(axis, self.sizes.pool, self.sizes.stride).unbind(-1)
            )
        return largest

    def size_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of the maps for an input of this height and width."""
        height, width = (_shrunk(side, self.sizes) for side in size)
        return height, width


class MaxoutDense(nn.Module):
    """A layer of maxout units, each of which sees all maps: filters as large as these.

    Args:
        shape: Of the maps, (C, H, W).
        sizes: Of the layer.
        dropout: Which share of the input is dropped in training.
    """

    def __init__(self, shape: tuple[int, int, int], sizes: Dense, dropout: float = 0.0) -> None:
        super().__init__()
        self.sizes = sizes
        self.dropout = nn.Dropout(dropout)
        # as a convolution more than twice as fast on CPU as laid out in a row for a linear layer
        self.filters = nn.Conv2d(shape[0], sizes.pieces * sizes.units, shape[1:])

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B U"]:
        """Return the units."""
        linear = self.filters(self.dropout(maps)).flatten(1)
        units: Tensor = reduce(
            torch.maximum, linear.unflatten(1, (self.sizes.pieces, -1)).unbind(1)
        )
        return units


class MaxoutNetwork(nn.Module):
    """Stages of maxout, a maxout layer if there is one, and logits.

    Args:
        shape: Of an image, (C, H, W).
        classes: How many logits n.
        sizes: `small`, `paper`, or sizes of your own.
        dropout: Which share of every hidden layer's output is dropped in training.
        input_dropout: Which share of the pixels is.

    Attributes:
        shape: As given.
        sizes: Of the network.

    Raises:
        ValueError: There is no stage, a size is too small, or the images are for the stages.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        *,
        sizes: str | Sizes = "small",
        dropout: float = 0.5,
        input_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if isinstance(sizes, str):
            check_name("sizes", sizes, SIZES)
            sizes = SIZES[sizes]
        _check_sizes(sizes)
        self.shape, self.sizes = shape, sizes
        channels, *size = shape
        stages: list[MaxoutStage] = []
        for stage in sizes.stages:
            stages.append(MaxoutStage(channels, stage, dropout if stages else input_dropout))
            channels, size = stage.maps, list(stages[-1].size_of((size[0], size[1])))
            if min(size) < 1:
                raise ValueError(
                    f"images must be large enough for {len(sizes.stages)} stages, got "
                    f"{shape[1]}x{shape[2]} pixels: choose smaller sizes or enlarge them"
                )
        left = (channels, size[0], size[1])
        self.stages = nn.ModuleList(stages)
        self.dense = MaxoutDense(left, sizes.dense, dropout) if sizes.dense else None
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(sizes.dense.units if sizes.dense else prod(left), classes)
        # maps innermost in memory: more than twice as fast on CPU, and what CUDA prefers
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def convolutions(self) -> tuple[MaxoutStage, ...]:
        """The stages."""
        return tuple(stage for stage in self.stages if isinstance(stage, MaxoutStage))

    @property
    def layers(self) -> dict[str, int]:
        """How many maps every layer has, by its name: each stage, and the dense layer."""
        named = {f"stages.{at}": stage.sizes.maps for at, stage in enumerate(self.convolutions)}
        return named | {"dense": self.dense.sizes.units} if self.dense else named

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B n"]:
        """Return the logits."""
        features = images.contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            features = stage(features)
        if self.dense is not None:
            features = self.dense(features)
        logits: Tensor = self.classifier(self.dropout(features.flatten(1)))
        return logits


def _shrunk(side: int, stage: Stage) -> int:
    convolved = side + 2 * stage.padding - stage.kernel + 1
    return (convolved - stage.pool) // stage.stride + 1 if convolved >= stage.pool else 0


def _check_sizes(sizes: Sizes) -> None:
    """Refuse a network without stages, and layers without maps, filters or windows."""
    check_count(1, stages=len(sizes.stages))
    for stage in sizes.stages:
        check_count(0, padding=stage.padding)
        check_count(1, **{name: n for name, n in stage._asdict().items() if name != "padding"})
    if sizes.dense:
        check_count(1, **sizes.dense._asdict())
