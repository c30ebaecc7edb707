"""Pyramids made ready to be looked at: each window is read from the level that matches it.

Convention:
    A window whose pixels average `step` by `step` of the image's is read from the coarsest level
    that is `d` times smaller, `d` a divisor of `step`. There it is as the windows of `windows`:
    `size * step/d` pixels wide around the same centre, its first pixel rounded in that level. So a
    pyramid of one level shows exactly what tables of the same image show, and with more levels a
    coarse window may begin up to half a pixel of its level further.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8
from torch import Tensor

from .pixels import average
from .pyramid import Pyramid, downsamples, read_checked
from .windows import Windows

# Bytes of windows read before they are averaged, and of a strip when a level's mean is taken.
_CHUNK = 2**24


@dataclass(frozen=True)
class Pyramids:
    """Pyramids whose levels are alike, read by index.

    Attributes:
        slides: The pyramids, all with the same levels.
        slide: For every index, in which of them it lies.
    """

    slides: Sequence[Pyramid]
    slide: Int64[Tensor, "N"]
    _means: dict[int, Float32[Tensor, "C"]] = field(default_factory=dict, init=False, repr=False)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """How many indices there are; channels, height and width of the slides."""
        return len(self.slide), *self.slides[0].levels[0]

    @property
    def sizes(self) -> None:
        """All slides are of the size that `shape` says."""
        return

    @property
    def device(self) -> torch.device:
        """Where indices and locations must be, and glimpses will be."""
        return self.slide.device

    def look(
        self, index: Int64[Tensor, "B"], centre: Float64[Tensor, "B 2"], windows: Windows
    ) -> Float32[Tensor, "B K C s s"]:
        """Return the windows around each centre, in pixels, in the slide of each index."""
        slides, at = self.slide[index].tolist(), centre.cpu()
        size, channels = windows.size, self.shape[1]
        glimpse = torch.empty(len(index), len(windows.steps), channels, size, size)
        for k, window in enumerate(windows):
            rows = max(_CHUNK // (channels * window.widths[0] ** 2), 1)
            for first in range(0, len(slides), rows):
                some = slice(first, first + rows)
                self._look(slides[some], at[some], window, glimpse[some, k])
        return glimpse.to(index.device)

    def _look(
        self,
        slides: list[int],
        centre: Float64[Tensor, "B 2"],
        window: Windows,
        into: Float32[Tensor, "B C s s"],
    ) -> None:
        """Look through one window."""
        level, downsample = matching_level(self.slides[0], window.steps[0])
        there = Windows(window.size, (window.steps[0] // downsample,), window.outside)
        _, height, width = self.slides[0].levels[level]
        x, y = there.lattice(centre / downsample, height, width)
        pixels = np.empty((len(slides), self.shape[1], *there.widths * 2), dtype=np.uint8)
        corners = zip(x[0, 0].tolist(), y[0, 0].tolist(), strict=True)
        for row, (slide, (left, top)) in enumerate(zip(slides, corners, strict=True)):
            pixels[row] = _clamped(self.slides[slide], level, left, top, there.widths[0])
        mean = into.new_zeros(into.shape[:2])
        if window.outside == "mean":
            mean = torch.stack([self._mean(slide) for slide in slides])
        into.copy_(average(torch.from_numpy(pixels), there, x, y, mean, height, width))

    def _mean(self, number: int) -> Float32[Tensor, "C"]:
        """Return the mean brightness of a slide's coarsest level, in [0, 1]."""
        if number not in self._means:
            pyramid = self.slides[number]
            level = len(pyramid.levels) - 1
            channels, height, width = pyramid.levels[level]
            total, strip = np.zeros(channels), max(_CHUNK // (channels * width), 1)
            for y in range(0, height, strip):
                piece = read_checked(pyramid, level, 0, y, width, min(strip, height - y))
                total += piece.sum(axis=(1, 2), dtype=np.int64)
            mean = torch.from_numpy(total / (255 * height * width)).float()
            self._means[number] = mean
        return self._means[number]


def matching_level(pyramid: Pyramid, step: int) -> tuple[int, int]:
    """Return the coarsest level fit for boxes `step` pixels of level 0 wide, and its downsample."""
    fitting = [
        (level, downsample)
        for level, downsample in enumerate(downsamples(pyramid))
        if downsample is not None and step % downsample == 0
    ]
    return max(fitting, key=lambda found: found[1])


def _clamped(
    pyramid: Pyramid, level: int, left: int, top: int, side: int
) -> UInt8[np.ndarray, "C w w"]:
    """Read a window as if the outermost pixels of the level went on for ever."""
    _, height, width = pyramid.levels[level]
    x, y = max(min(left, width - 1), 0), max(min(top, height - 1), 0)
    right, bottom = max(min(left + side, width), 1), max(min(top + side, height), 1)
    piece = read_checked(pyramid, level, x, y, right - x, bottom - y)
    if piece.shape[1:] == (side, side):
        return piece
    wanted = ((top - y, side, bottom - y), (left - x, side, right - x))
    rows, columns = (
        np.clip(np.arange(first, first + count), 0, length - 1) for first, count, length in wanted
    )
    return piece[:, rows[:, None], columns]
