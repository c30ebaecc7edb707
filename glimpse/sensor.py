"""The glimpse sensor: square windows of growing width around a location, averaged to one size.

Convention:
    Images are `(B, C, H, W)`, uint8 or float in [0, 1]; locations as in `coordinates`, windows as
    in `windows`: window k is `size * factor**k` pixels wide.

Source: V. Mnih et al., "Recurrent Models of Visual Attention", NeurIPS 2014, section 3.1
(https://arxiv.org/abs/1406.6247).
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float32, Float64, Int64, Shaped
from torch import Tensor

from .checks import check_count, check_images, check_name, check_shape
from .coordinates import to_pixels
from .tables import SummedAreaTables, table_dtype
from .windows import Outside, Windows

_WIDEST = 2**27  # the sum over a white box of that size squared still fits into 64 bits


@runtime_checkable
class Prepared(Protocol):
    """Images made ready to be looked at: `SummedAreaTables`, `Pixels`, `Pyramids`, or `ragged`."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """How many images there are, their channels, height and width, the greatest of all."""
        ...

    @property
    def sizes(self) -> Int64[Tensor, "N 2"] | None:
        """Width and height of every image, in pixels; None: all are as `shape` says."""
        ...

    @property
    def device(self) -> torch.device:
        """Where indices and locations must be, and glimpses will be."""
        ...

    def look(
        self, index: Int64[Tensor, "B"], centre: Float64[Tensor, "B 2"], windows: Windows
    ) -> Float32[Tensor, "B K C s s"]:
        """Return the windows around each centre, in pixels, in the image of each index."""
        ...


@dataclass(frozen=True)
class GlimpseSensor:
    """Look at images through windows of `scales` resolutions.

    Attributes:
        size: Height and width of every window once averaged down, in pixels.
        scales: How many windows; window k is `size * factor**k` pixels wide in the image.
        factor: How much wider each window is than the one before.
        outside: What lies beyond the image: black, the nearest pixel of its edge, or its mean.
    """

    size: int
    scales: int = 1
    factor: int = 2
    outside: Outside = "zero"

    def __post_init__(self) -> None:
        """Refuse a sensor that cannot see."""
        check_count(1, size=self.size, scales=self.scales, factor=self.factor)
        check_name("outside", self.outside, ("zero", "edge", "mean"))
        # A factor of 2 or more is beyond the limit long before the hundredth scale.
        if self.size * self.factor ** min(self.scales - 1, 100) > _WIDEST:
            raise ValueError(
                f"windows must be at most {_WIDEST} pixels wide, got size={self.size}, "
                f"factor={self.factor}, scales={self.scales}: choose fewer scales"
            )

    @property
    def windows(self) -> Windows:
        """Where its windows lie."""
        steps = tuple(self.factor**k for k in range(self.scales))
        return Windows(self.size, steps, self.outside)

    def table_dtype(self, images: torch.dtype) -> torch.dtype:
        """Return the type of the tables of images of this type: the smallest that tells a box."""
        largest = self.factor ** (2 * (self.scales - 1))
        return table_dtype(largest) if images == torch.uint8 else torch.float64

    def __call__(
        self, images: Shaped[Tensor, "B C H W"], location: Float[Tensor, "B 2"]
    ) -> Float32[Tensor, "B {self.scales} C {self.size} {self.size}"]:
        """Return the windows around one location in each image, finest first, in [0, 1].

        To look at the same images more than once, `prepare` once and `read` for each look.

        Raises:
            ValueError: The images are not `(B, C, H, W)`, uint8 or float, or a location is not
                finite.
        """
        prepared = self.prepare(images)
        return self.read(prepared, torch.arange(len(images), device=images.device), location)

    def prepare(self, images: Shaped[Tensor, "N C H W"]) -> SummedAreaTables:
        """Return the images' summed-area tables.

        Memory: one table for all scales, for each pixel 2 bytes while one pixel of the coarsest
        window averages at most 257, 4 bytes up to 8 million, else 8; always 8 for images of floats.

        Raises:
            ValueError: The images are not `(N, C, H, W)`, uint8 or float in [0, 1].
        """
        check_images(images)
        return SummedAreaTables.of(images, self.table_dtype(images.dtype))

    def read(
        self, prepared: Prepared, index: Int64[Tensor, "B"], location: Float[Tensor, "B 2"]
    ) -> Float32[Tensor, "B {self.scales} C {self.size} {self.size}"]:
        """Return the windows around `location` in the prepared images number `index`, in [0, 1].

        Raises:
            ValueError: The locations are not `(B, 2)`, not finite or not as many as indices; an
                index is no whole number or that of no image; one of both is on another device than
                the images.
        """
        if index.ndim != 1 or index.dtype != torch.int64:
            raise ValueError(
                f"`index` must be (B,) of int64, got {tuple(index.shape)} of {index.dtype}: "
                "give one number for each location"
            )
        pairs = f"{len(index)} 2"
        check_shape("location", location, pairs, mend="give one (x, y) pair for each index")
        for name, tensor in (("index", index), ("location", location)):
            if tensor.device != prepared.device:
                raise ValueError(
                    f"`{name}` must be on {prepared.device} like the images, got {tensor.device}: "
                    f"use {name}.to({str(prepared.device)!r})"
                )
        images, _, height, width = prepared.shape
        if index.numel():
            least, most = (int(bound) for bound in index.aminmax())
            if not 0 <= least <= most < images:
                raise ValueError(
                    f"`index` must be in [0, {images}), got {least} to {most}: "
                    "name images that are there"
                )
        if prepared.sizes is None:
            centre = to_pixels(location, height, width)
        else:
            centre = to_pixels(location, 1, 1) * prepared.sizes[index]
        return prepared.look(index, centre, self.windows)
