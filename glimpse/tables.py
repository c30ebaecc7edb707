"""Summed-area tables: the sum over any box of pixels from four numbers.

So a glimpse costs the same on a thumbnail and on a wall, and the same at every scale.

Source: F. Crow, "Summed-area tables for texture mapping", SIGGRAPH 1984.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, Num, Shaped
from torch import Tensor

from .boxes import read_tables
from .pixels import mean_brightness
from .windows import Stored, Windows

# Pixels summed up at once, so that what is in the making stays small.
_BLOCK = 2**21
# Numbers beside one another up to which a call for every row takes longer than the sums.
_SHORT = 2**10


@dataclass(frozen=True)
class SummedAreaTables:
    """Images as the sums over all pixels above and to the left.

    Attributes:
        table: The sums. A table of int16 holds them modulo 2**16: enough to tell the sum over a box
            of at most 257 pixels, since 257 * 255 < 2**16.
        mean: The mean brightness of every image and channel, in [0, 1].
        white: What the brightest pixel counts in the table: 255, or 1 for images of floats.
    """

    table: Num[Tensor, "N C H1 W1"]
    mean: Float32[Tensor, "N C"]
    white: int

    @classmethod
    def of(cls, images: Shaped[Tensor, "N C H W"], dtype: torch.dtype) -> "SummedAreaTables":
        """Sum up images, uint8 or float in [0, 1], in this type."""
        count, channels, height, width = images.shape
        shape = (count, channels, height + 1, width + 1)
        table = allocate(shape, dtype, images.device)
        sum_up(images, table)
        return cls(table, mean_brightness(images), white_of(images.dtype))

    @staticmethod
    def memory(shape: Sequence[int], dtype: torch.dtype) -> int:
        """Return the bytes of the tables of images `(N, C, H, W)`."""
        count, channels, height, width = shape
        return count * channels * (height + 1) * (width + 1) * dtype.itemsize

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """How many images there are, their channels, height and width."""
        count, channels, rows, columns = self.table.shape
        return count, channels, rows - 1, columns - 1

    @property
    def sizes(self) -> None:
        """All images are of the size that `shape` says."""
        return

    @property
    def device(self) -> torch.device:
        """Where indices and locations must be, and glimpses will be."""
        return self.table.device

    @property
    def flat(self) -> Num[Tensor, "M"]:
        """All the sums, one after another."""
        return self.table.view(-1)

    def stored(self, index: Int64[Tensor, "B"]) -> Stored:
        """Return where the tables of these images begin, and how large the images are."""
        _, channels, rows, columns = self.table.shape
        return Stored(index * (channels * rows * columns), rows - 1, columns - 1)

    def look(
        self, index: Int64[Tensor, "B"], centre: Float64[Tensor, "B 2"], windows: Windows
    ) -> Float32[Tensor, "B K C s s"]:
        """Return the windows around each centre, in pixels, in the image of each index."""
        return read_tables(self, index, centre, windows)


def table_dtype(pixels: int) -> torch.dtype:
    """Return the smallest type that tells the sum over boxes of so many pixels of uint8."""
    if pixels <= (2**16 - 1) // 255:
        return torch.int16
    return torch.int32 if pixels <= (2**31 - 1) // 255 else torch.int64


def white_of(images: torch.dtype) -> int:
    """Return what the brightest pixel of images of this type counts."""
    return 255 if images == torch.uint8 else 1


def allocate(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return memory for tables: on a CPU from NumPy, which asks the system for large pages.

    Looks at random places of large images are 5 to 10 % faster then.
    """
    if device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.empty(shape, dtype=str(dtype).removeprefix("torch.")))


def sum_up(images: Shaped[Tensor, "N C H W"], table: Num[Tensor, "N C H1 W1"]) -> None:
    """Write the sums over all pixels above and to the left into a table."""
    count, channels, height, width = images.shape
    table[:, :, 0] = 0
    table[:, :, :, 0] = 0
    images = images.detach()
    inside = table[:, :, 1:, 1:]
    block = max(_BLOCK // (channels * height * width), 1)
    lines = max(_BLOCK // (block * channels * width), 1)  # of a large image not all at once
    for first in range(0, count, block):
        for top in range(0, height, lines):
            some = (slice(first, first + block), slice(None), slice(top, top + lines))
            inside[some] = images[some].cumsum(dim=-1, dtype=table.dtype)
        _add_up_rows(table[first : first + block])


def _add_up_rows(table: Num[Tensor, "N C H1 W1"]) -> None:
    """Add to every row those above it."""
    if table.device.type != "cpu" or table[:, :, 0].numel() <= _SHORT:
        torch.cumsum(table, dim=2, out=table)
        return
    for row in range(2, table.shape[2]):  # 6 times as fast as cumsum, which goes down each column
        table[:, :, row] += table[:, :, row - 1]
