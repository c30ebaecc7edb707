"""Where the windows of a glimpse lie in an image, and how much of each lies beyond it.

Convention:
    Window k is `size * steps[k]` pixels wide and its pixels are averages over `steps[k]` squared of
    the image's. Its first pixel is `floor(p - width/2 + 0.5)` with `p` the centre in pixels, each
    scale rounded by itself: on an image 10 pixels wide a window of 4 around p = 5 covers the pixels
    3, 4, 5, 6. A lattice holds the edges of a window's pixels, those of that one 3, 4, 5, 6, 7.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float32, Float64, Int, Int32, Int64, Num
from torch import Tensor

Outside = Literal["zero", "edge", "mean"]
Length = int | Int[Tensor, "B"]  # the height or width of every row's image, or of each


@dataclass(frozen=True)
class Windows:
    """The windows of one glimpse.

    Attributes:
        size: Height and width of each once averaged down, in pixels.
        steps: Height and width of what is averaged to one pixel, finest window first.
        outside: What lies beyond the image: black, the nearest pixel of its edge, or its mean.
    """

    size: int
    steps: tuple[int, ...]
    outside: Outside

    def __iter__(self) -> Iterator["Windows"]:
        """Return each window by itself."""
        return (Windows(self.size, (step,), self.outside) for step in self.steps)

    @property
    def widths(self) -> tuple[int, ...]:
        """Height and width of each in the image, in pixels, finest first."""
        return tuple(self.size * step for step in self.steps)

    def corners(self, centre: Float64[Tensor, "B 2"]) -> Float64[Tensor, "2 K B"]:
        """Return the first pixel, x and y, of every window around each centre."""
        half = constants(self, centre.device).half
        # The batch is last, also in memory: the other axes are too short for vector instructions.
        return (centre.t().contiguous()[:, None] - half).floor_()

    def lattice(
        self, centre: Float64[Tensor, "B 2"], height: Length, width: Length
    ) -> tuple[Int32[Tensor, "K s1 B"], Int32[Tensor, "K s1 B"]]:
        """Return the edges x and y of the pixels of every window."""
        edges = constants(self, centre.device).edges
        left, top = self.corners(centre)
        # However far outside, a window sees the same; this keeps whole numbers small.
        widest = max(self.widths)
        x, y = bounded(left, -widest, width).int(), bounded(top, -widest, height).int()
        return x[:, None] + edges, y[:, None] + edges

    def covered(self, edges: Int32[Tensor, "1 s1 B"]) -> Int64[Tensor, "B w"]:
        """Return the pixels of the image that the one window covers along an axis."""
        return edges[0, 0, :, None] + torch.arange(self.widths[0], device=edges.device)


class Constants(NamedTuple):
    """What places windows, in pixels of the image.

    Attributes:
        half: From the centre to what is rounded down to the first pixel.
        edges: Of the pixels of each window, from its first edge on.
    """

    half: Float64[Tensor, "K 1"]
    edges: Int32[Tensor, "K s1 1"]


@lru_cache(maxsize=64)
def constants(windows: Windows, device: torch.device) -> Constants:
    """Return what is the same for every read, made once for each kind of window and device."""
    with torch.inference_mode(False):  # or they could not be used outside it later
        steps = torch.tensor(windows.steps, dtype=torch.int32, device=device)
        edges = steps[:, None] * torch.arange(windows.size + 1, dtype=torch.int32, device=device)
        half = (steps.double() * windows.size / 2 - 0.5)[:, None]
        return Constants(half, edges[..., None])


class Stored(NamedTuple):
    """Where images lie in one flat piece of memory, channel after channel, row after row.

    Attributes:
        first: Where the image of each row of the batch begins.
        height: Of these images, in pixels.
        width: Of these images, in pixels.
    """

    first: Int64[Tensor, "B"]
    height: Length
    width: Length


def bounded(
    at: Num[Tensor, "*shape"], least: int, most: int | Int[Tensor, "..."]
) -> Num[Tensor, "*shape"]:
    """Return the numbers, none below `least` and none above `most`, the batch as the last axis."""
    if isinstance(most, int):
        return at.clamp(least, most)
    return at.clamp(min=least).minimum(most)


def fill(
    glimpse: Float32[Tensor, "B K C s s"],
    x: Int32[Tensor, "K s1 B"],
    y: Int32[Tensor, "K s1 B"],
    mean: Float32[Tensor, "B C"],
    height: Length,
    width: Length,
) -> None:
    """Add the mean to each pixel of a glimpse, as far as that pixel lies beyond the image.

    Args:
        glimpse: With zeros beyond the image; it is changed in place.
        x: The edges of its columns, in pixels of the image.
        y: The edges of its rows.
        mean: Of the image, in [0, 1].
        height: Of the image, in pixels.
        width: Of the image, in pixels.
    """
    across, down = x.diff(dim=1), y.diff(dim=1)
    inside_x = bounded(x, 0, width).diff(dim=1) / across  # (K, s, B)
    inside_y = bounded(y, 0, height).diff(dim=1) / down
    inside = (inside_y[:, :, None] * inside_x[:, None]).movedim(3, 0)  # (B, K, s, s)
    glimpse += (1 - inside)[:, :, None] * mean[:, None, :, None, None]
