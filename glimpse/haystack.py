"""Generated slides: hills on a dark plain, and on one of them a needle.

Every hill has a small spot on its top, dark on all hills but one, bright on that. Hills are seen
from far away, spots only from near by: an eye has to go from hill to hill and look closely.

Nothing is stored. A slide is a sum of Gaussian bumps, each the product of a function of x and one
of y, and a pixel of level l is the exact mean over its box, by the integral of the Gaussian.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from .image_set import random_splits
from .pyramid import check_piece
from .slides import SlideSet

_SIDE, _FACTOR, _LEVELS = 65536, 4, 5
_HILLS, _HILL, _SPOT = 12, 1500.0, 8.0  # how many; their standard deviations in pixels
_PLAIN, _HEIGHT, _DEPTH = 0.1, 0.45, 0.4  # brightness of the ground, a hill, a spot


@dataclass(frozen=True)
class Haystack:
    """One generated slide of 65,536 x 65,536 grey pixels in five levels, each 4 times smaller.

    Attributes:
        seed: Which; the same seed, the same slide.
    """

    seed: int

    @property
    def levels(self) -> tuple[tuple[int, int, int], ...]:
        """Channels, height and width of every level."""
        sides = [_SIDE // _FACTOR**level for level in range(_LEVELS)]
        return tuple((1, side, side) for side in sides)

    @cached_property
    def hills(self) -> Float64[Tensor, "M 2"]:
        """The tops (x, y) of the hills, in pixels; the needle lies on the first."""
        random = np.random.default_rng([self.seed, 65536])
        tops: list[np.ndarray] = []
        while len(tops) < _HILLS:  # at least three deviations apart
            top = random.uniform(2 * _HILL, _SIDE - 2 * _HILL, 2)
            if all(np.hypot(*(top - other)) > 3 * _HILL for other in tops):
                tops.append(top)
        return torch.from_numpy(np.stack(tops))

    def read(self, level: int, x: int, y: int, w: int, h: int) -> UInt8[np.ndarray, "1 h w"]:
        """Return a piece of a level.

        Raises:
            ValueError: There is no such level, or the piece does not lie within it.
        """
        check_piece(self, level, x, y, w, h)
        step = _FACTOR**level
        spots = torch.full((_HILLS,), -_DEPTH, dtype=torch.float64)
        spots[0] = _DEPTH
        seen = torch.full((h, w), _PLAIN, dtype=torch.float64)
        for deviation, heights in ((_HILL, torch.full_like(spots, _HEIGHT)), (_SPOT, spots)):
            across = _box_means(self.hills[:, 0], deviation, x, w, step)
            down = _box_means(self.hills[:, 1], deviation, y, h, step)
            seen += (heights[:, None] * down).t() @ across
        pixels: np.ndarray = (255 * seen.clamp(0, 1)).round().to(torch.uint8)[None].numpy()
        return pixels


def load_haystacks(count: int = 1000) -> SlideSet:
    """Return a set of generated slides with one needle each."""
    slides = [Haystack(seed) for seed in range(count)]
    tops = torch.stack([slide.hills[0] for slide in slides])
    return SlideSet(slides, torch.arange(count), tops / _SIDE * 2 - 1, random_splits(count))


def _box_means(
    centre: Float64[Tensor, "M"], deviation: float, first: int, count: int, step: int
) -> Float64[Tensor, "M count"]:
    """Return the mean of exp(-(p - centre)² / 2 deviation²) over each pixel, `step` wide."""
    edges = step * torch.arange(first, first + count + 1, dtype=torch.float64)
    integral = torch.erf((edges - centre[:, None]) / (deviation * math.sqrt(2)))
    return integral.diff(dim=1) * (deviation * math.sqrt(math.pi / 2) / step)
