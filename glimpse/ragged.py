"""Images of different sizes, one after another in memory, and how the sensor reads them.

Convention:
    Sizes are `(width, height)` in pixels, in the order of locations. The images lie in one flat
    tensor, each channel after channel and row after row; nothing is padded to the largest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, Num, Shaped
from torch import Tensor

from .boxes import read_tables
from .pixels import mean_brightness, read_pixels
from .tables import allocate, sum_up, white_of
from .windows import Stored, Windows


@dataclass(frozen=True)
class Places:
    """Where images of many sizes lie in a flat tensor.

    Attributes:
        channels: Of every image.
        sizes: Width and height of every image, in pixels.
        first: Where each begins.
        frame: The greatest height and the greatest width.
    """

    channels: int
    sizes: Int64[Tensor, "N 2"]
    first: Int64[Tensor, "N"]
    frame: tuple[int, int]

    @classmethod
    def of(cls, channels: int, sizes: Int64[Tensor, "N 2"], extra: int = 0) -> "Places":
        """Lay images one after another, each with `extra` rows and columns more."""
        taken = channels * (sizes + extra).prod(dim=1)
        width, height = sizes.amax(dim=0).tolist()
        return cls(channels, sizes, taken.cumsum(dim=0) - taken, (height, width))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """How many images there are, their channels, the greatest height and width."""
        return len(self.sizes), self.channels, *self.frame

    def stored(self, index: Int64[Tensor, "B"]) -> Stored:
        """Return where the images of these indices begin, and how large they are."""
        width, height = self.sizes.index_select(0, index).int().unbind(dim=1)
        return Stored(self.first.index_select(0, index), height, width)

    def to(self, device: torch.device) -> "Places":
        """Return the same on a device."""
        return Places(self.channels, self.sizes.to(device), self.first.to(device), self.frame)


@dataclass(frozen=True)
class RaggedPixels:
    """Images of different sizes as they are; the sensor reads them directly (see `pixels`).

    Attributes:
        flat: All their pixels, uint8 or float in [0, 1].
        places: Where each image lies in them.
        mean: The mean brightness of every image and channel, in [0, 1].
    """

    flat: Shaped[Tensor, "M"]
    places: Places
    mean: Float32[Tensor, "N C"]

    @classmethod
    def of(cls, images: Sequence[Shaped[Tensor, "C _h _w"]]) -> "RaggedPixels":
        """Lay images, all of one type and number of channels, one after another."""
        sizes = torch.tensor([[image.shape[2], image.shape[1]] for image in images])
        flat = torch.cat([image.detach().flatten() for image in images])
        mean = torch.cat([mean_brightness(image[None]) for image in images])
        places = Places.of(len(images[0]), sizes).to(flat.device)
        return cls(flat, places, mean)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """How many images there are, their channels, the greatest height and width."""
        return self.places.shape

    @property
    def sizes(self) -> Int64[Tensor, "N 2"]:
        """Width and height of every image, in pixels."""
        return self.places.sizes

    @property
    def device(self) -> torch.device:
        """Where indices and locations must be, and glimpses will be."""
        return self.flat.device

    def image(self, number: int) -> Shaped[Tensor, "C _h _w"]:
        """Return one image; it shares its memory."""
        width, height = self.sizes[number].tolist()
        first, channels = int(self.places.first[number]), self.places.channels
        return self.flat[first : first + channels * height * width].view(channels, height, width)

    def look(
        self, index: Int64[Tensor, "B"], centre: Float64[Tensor, "B 2"], windows: Windows
    ) -> Float32[Tensor, "B K C s s"]:
        """Return the windows around each centre, in pixels, in the image of each index."""
        return read_pixels(self.flat, self.places.stored, self.mean, index, centre, windows)

    def to(self, device: torch.device) -> "RaggedPixels":
        """Return the same on a device."""
        return RaggedPixels(self.flat.to(device), self.places.to(device), self.mean.to(device))


@dataclass(frozen=True)
class RaggedTables:
    """Summed-area tables of images of different sizes (see `tables`).

    Attributes:
        flat: The sums, a row and a column more than an image has pixels.
        places: Where the tables of each image lie in them.
        mean: The mean brightness of every image and channel, in [0, 1].
        white: What the brightest pixel counts: 255, or 1 for images of floats.
    """

    flat: Num[Tensor, "M"]
    places: Places
    mean: Float32[Tensor, "N C"]
    white: int

    @classmethod
    def of(cls, images: RaggedPixels, dtype: torch.dtype) -> "RaggedTables":
        """Sum up images in this type."""
        channels, sizes = images.places.channels, images.sizes
        total = cls.memory(channels, sizes, dtype) // dtype.itemsize
        flat = allocate((total,), dtype, images.device)
        places = Places.of(channels, sizes, extra=1)
        firsts = places.first.tolist()
        for number, (first, (width, height)) in enumerate(zip(firsts, sizes.tolist(), strict=True)):
            shape = channels, height + 1, width + 1
            sum_up(images.image(number)[None], flat[first:][: np.prod(shape)].view(1, *shape))
        return cls(flat, places, images.mean, white_of(images.flat.dtype))

    @staticmethod
    def memory(channels: int, sizes: Int64[Tensor, "N 2"], dtype: torch.dtype) -> int:
        """Return the bytes of the tables of images of these sizes."""
        return channels * int((sizes + 1).prod(dim=1).sum()) * dtype.itemsize

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """How many images there are, their channels, the greatest height and width."""
        return self.places.shape

    @property
    def sizes(self) -> Int64[Tensor, "N 2"]:
        """Width and height of every image, in pixels."""
        return self.places.sizes

    @property
    def device(self) -> torch.device:
        """Where indices and locations must be, and glimpses will be."""
        return self.flat.device

    def stored(self, index: Int64[Tensor, "B"]) -> Stored:
        """Return where the tables of these images begin, and how large the images are."""
        return self.places.stored(index)

    def look(
        self, index: Int64[Tensor, "B"], centre: Float64[Tensor, "B 2"], windows: Windows
    ) -> Float32[Tensor, "B K C s s"]:
        """Return the windows around each centre, in pixels, in the image of each index."""
        return read_tables(self, index, centre, windows)
