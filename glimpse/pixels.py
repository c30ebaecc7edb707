"""Images read as they are, pixel by pixel, where tables would take too much memory.

Nothing but means is prepared. A glimpse costs as many reads as its windows have pixels, and while
it is read some 16 bytes of memory for each pixel of a window.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64, Int, Int32, Int64, Shaped
from torch import Tensor

from .windows import Length, Stored, Windows, bounded, fill

# Pixels read at once: their indices should fit the cache of a core.
_CHUNK = 2**18
# Pixels summed up at once: as float64 they take 8 times their memory.
_BLOCK = 2**21


@dataclass(frozen=True)
class Pixels:
    """Images read directly.

    Attributes:
        images: uint8 or float in [0, 1].
        mean: The mean brightness of every image and channel, in [0, 1].
    """

    images: Shaped[Tensor, "N C H W"]
    mean: Float32[Tensor, "N C"]

    @classmethod
    def of(cls, images: Shaped[Tensor, "N C H W"]) -> "Pixels":
        """Make images ready: only their means are computed."""
        images = images.detach().contiguous()
        return cls(images, mean_brightness(images))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """How many images there are, their channels, height and width."""
        count, channels, height, width = self.images.shape
        return count, channels, height, width

    @property
    def sizes(self) -> None:
        """All images are of the size that `shape` says."""
        return

    @property
    def device(self) -> torch.device:
        """Where indices and locations must be, and glimpses will be."""
        return self.images.device

    def look(
        self, index: Int64[Tensor, "B"], centre: Float64[Tensor, "B 2"], windows: Windows
    ) -> Float32[Tensor, "B K C s s"]:
        """Return the windows around each centre, in pixels, in the image of each index."""
        flat = self.images.view(-1)
        return read_pixels(flat, self._stored, self.mean, index, centre, windows)

    def _stored(self, index: Int64[Tensor, "B"]) -> Stored:
        _, channels, height, width = self.shape
        return Stored(index * (channels * height * width), height, width)


def read_pixels(
    flat: Shaped[Tensor, "M"],
    stored: Callable[[Int64[Tensor, "B"]], Stored],
    mean: Float32[Tensor, "N C"],
    index: Int64[Tensor, "B"],
    centre: Float64[Tensor, "B 2"],
    windows: Windows,
) -> Float32[Tensor, "B K C s s"]:
    """Return the windows around each centre, in pixels, in the image of each index.

    Args:
        flat: The pixels of all images, uint8 or float in [0, 1].
        stored: Where the images of some indices lie in them.
        mean: Of every image and channel, in [0, 1].
        index: Of the images.
        centre: In pixels of each image.
        windows: Around it.
    """
    scales = []
    for window in windows:
        rows = max(_CHUNK // (mean.shape[1] * window.widths[0] ** 2), 1)
        parts = zip(torch.split(index, rows), torch.split(centre, rows), strict=True)
        chunks = [_through(flat, stored(some), mean[some], at, window) for some, at in parts]
        scales.append(torch.cat(chunks))
    return torch.stack(scales, dim=1)


def _through(
    flat: Shaped[Tensor, "M"],
    stored: Stored,
    mean: Float32[Tensor, "B C"],
    centre: Float64[Tensor, "B 2"],
    window: Windows,
) -> Float32[Tensor, "B C s s"]:
    """Look through one window."""
    first, height, width = stored
    x, y = window.lattice(centre, height, width)
    tall, wide = _beside(height), _beside(width)
    column = bounded(window.covered(x), 0, wide - 1)[:, None, None]  # (B, 1, 1, w)
    line = bounded(window.covered(y), 0, tall - 1) * wide  # (B, w)
    channel = torch.arange(mean.shape[1], device=first.device) * (tall * wide)
    line = (first[:, None] + channel)[..., None] + line[:, None]  # (B, C, w)
    place = line[..., None] + column
    pixels = flat.index_select(0, place.flatten()).view(place.shape)
    return average(pixels, window, x, y, mean, height, width)


def _beside(length: Length) -> int | Int[Tensor, "B 1"]:
    """Return a length for numbers whose first axis is the batch."""
    return length if isinstance(length, int) else length[:, None]


def average(
    pixels: Shaped[Tensor, "B C w w"],
    window: Windows,
    x: Int32[Tensor, "1 s1 B"],
    y: Int32[Tensor, "1 s1 B"],
    mean: Float32[Tensor, "B C"],
    height: Length,
    width: Length,
) -> Float32[Tensor, "B C s s"]:
    """Return one window averaged down, its pixels beyond the image replaced.

    Args:
        pixels: As if the outermost pixels of the image went on for ever.
        window: It alone.
        x: The edges of its columns.
        y: The edges of its rows.
        mean: Of the image, in [0, 1].
        height: Of the image, in pixels.
        width: Of the image, in pixels.
    """
    if window.outside != "edge":
        across, down = window.covered(x), window.covered(y)
        pixels = pixels * ((across >= 0) & (across < _beside(width)))[:, None, None]
        pixels *= ((down >= 0) & (down < _beside(height)))[:, None, :, None]
    batch, channels = pixels.shape[:2]
    step = window.steps[0]
    white = 255 if pixels.dtype == torch.uint8 else 1
    # Whole numbers below 2**24 are summed up exactly in float32, the fastest.
    exact = white == 255 and 255 * step**2 < 2**24
    dtype = torch.float32 if exact else torch.float64
    sums = pixels.view(batch, channels, window.size, step, window.widths[0]).sum(dim=3, dtype=dtype)
    sums = sums.view(batch, channels, window.size, window.size, step).sum(dim=-1)
    glimpse = sums.float() / (white * step**2)
    if window.outside == "mean":
        fill(glimpse[:, None], x, y, mean, height, width)
        glimpse.clamp_(max=1)  # the sum of both may be a hair above
    return glimpse


def mean_brightness(images: Shaped[Tensor, "N C H W"]) -> Float32[Tensor, "N C"]:
    """Return the mean of every image and channel, uint8 or float in [0, 1], in [0, 1]."""
    # A row of 65,793 bytes sums up exactly in float32, many times as fast as in whole numbers.
    white, dtype = (255, torch.float32) if images.dtype == torch.uint8 else (1, torch.float64)
    count, channels, height, width = images.shape
    lines, some = images.reshape(-1, width), max(_BLOCK // width, 1)
    rows = torch.empty(len(lines), dtype=torch.float64, device=images.device)
    for first in range(0, len(lines), some):
        rows[first : first + some] = lines[first : first + some].to(dtype).sum(dim=-1)
    total = rows.view(count, channels, height).sum(dim=-1)
    return (total / (white * height * width)).float()
