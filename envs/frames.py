"""Images that an environment shows: how they are laid out, and windows read straight from them.

Convention:
    A frame is `(H, W)`, `(H, W, C)` or `(C, H, W)`, uint8 or float in [0, 1]; several have one axis
    more, the first. Planes are the same pixels as `(N, C, H, W)`, never a copy.
    A frame is looked at once or twice and then gone. Of one of 210x160x3 three windows of up to 64
    pixels take 55 us cut out directly, 400 us by `Pixels` and 1.3 ms by `SummedAreaTables`, whose
    preparation pays off only for many looks.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float32, Float64, Int64, Shaped
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from glimpse.checks import check_images, to_tensor
from glimpse.pixels import mean_brightness
from glimpse.sensor import GlimpseSensor, Prepared
from glimpse.windows import Windows, fill

# Most channels that an axis is taken for without being told so.
_CHANNELS = 4
# Windows that cover more than so many frames are read from tables: their cost does not grow.
_COVER = 8


@dataclass(frozen=True)
class FrameLayout:
    """What every frame of an environment is like.

    Attributes:
        shape: `(H, W)`, `(H, W, C)` or `(C, H, W)`.
        dtype: uint8 or a float.
        channels: Where they stand; of a frame of two axes it does not matter.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    channels: Literal["first", "last"]

    @classmethod
    def of(
        cls, space: spaces.Space[Any], channels: Literal["first", "last"] | None
    ) -> "FrameLayout":
        """Return the layout of the images of a space.

        Args:
            space: A `Box` of images.
            channels: Where their axis stands; None: the one end that has at most 4.

        Raises:
            ValueError: The space holds no images, or both ends could be channels, or none.
        """
        if not isinstance(space, spaces.Box) or len(space.shape) not in (2, 3):
            raise ValueError(
                "images must be a Box of shape (H, W), (H, W, C) or (C, H, W), got "
                f'{space}: name the part of the observation with key=..., or use image="render"'
            )
        if 0 in space.shape:
            raise ValueError(f"images must have at least one pixel, got {space.shape}: show some")
        if space.dtype not in (np.uint8, np.float16, np.float32, np.float64):
            raise ValueError(
                f"images must be uint8 or float in [0, 1], got {space.dtype}: convert them with "
                "gymnasium.wrappers.TransformObservation"
            )
        if space.dtype != np.uint8 and not (space.low.min() >= 0 and space.high.max() <= 1):
            raise ValueError(
                f"images of floats must lie in [0, 1], got bounds {space.low.min():g} to "
                f"{space.high.max():g}: scale them with gymnasium.wrappers.RescaleObservation"
            )
        return cls(space.shape, space.dtype, channels or _find_channels(space.shape))

    @property
    def size(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        if len(self.shape) == 2:
            return 1, self.shape[0], self.shape[1]
        if self.channels == "first":
            return self.shape[0], self.shape[1], self.shape[2]
        return self.shape[2], self.shape[0], self.shape[1]

    @property
    def white(self) -> int:
        """The largest value of a pixel."""
        return 255 if self.dtype == np.uint8 else 1

    def planes(self, frames: NDArray[Any]) -> Shaped[np.ndarray, "N C H W"]:
        """Return the same memory with the axes in our order.

        Raises:
            ValueError: The frames are not what the space said.
        """
        if frames.shape[1:] != self.shape or frames.dtype != self.dtype:
            raise ValueError(
                f"images must be {self.dtype} of shape {self.shape} like the first, got "
                f"{frames.dtype} of shape {frames.shape[1:]}: mend the environment or its space"
            )
        if len(self.shape) == 2:
            return frames[:, None]
        return frames if self.channels == "first" else frames.transpose(0, 3, 1, 2)

    def checked_planes(self, frames: NDArray[Any]) -> Shaped[np.ndarray, "N C H W"]:
        """Return `planes` of frames whose floats are in range.

        Raises:
            ValueError: The frames are not what the space said.
        """
        planes = self.planes(frames)
        if planes.dtype != np.uint8:
            check_images(to_tensor(planes))
        return planes


def _find_channels(shape: tuple[int, ...]) -> Literal["first", "last"]:
    if len(shape) == 2:
        return "last"
    first, last = shape[0] <= _CHANNELS, shape[2] <= _CHANNELS
    if first == last:
        which = "both ends" if first else "neither end"
        raise ValueError(
            f"the channels of an image must be found at one end, got {shape} with {which} of at "
            f'most {_CHANNELS}: say channels="first" or channels="last"'
        )
    return "first" if first else "last"


@dataclass(frozen=True)
class Frames:
    """Frames read directly, each window cut out and averaged.

    Of uint8 it sees bit for bit what tables show.

    Attributes:
        planes: uint8 or float in [0, 1], with any strides.
    """

    planes: Shaped[np.ndarray, "N C H W"]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """How many images there are, their channels, height and width."""
        count, channels, height, width = self.planes.shape
        return count, channels, height, width

    @property
    def sizes(self) -> None:
        """None: all frames have one size."""
        return

    @property
    def device(self) -> torch.device:
        """Where indices and locations must be, and glimpses will be."""
        return torch.device("cpu")

    def look(
        self, index: Int64[Tensor, "B"], centre: Float64[Tensor, "B 2"], windows: Windows
    ) -> Float32[Tensor, "B K C s s"]:
        """Return the windows around each centre, in pixels, in the image of each index."""
        _, channels, height, width = self.shape
        edge = max(windows.widths)
        left, top = windows.corners(centre).clamp(-edge, max(height, width)).long().tolist()
        glimpse = torch.empty(len(index), len(windows.steps), channels, *[windows.size] * 2)
        for scale, step in enumerate(windows.steps):
            # Whole numbers below 2**24 are summed up exactly in float32.
            exact = self.planes.dtype == np.uint8 and 255 * step**2 < 2**24
            dtype = np.float32 if exact else np.float64
            cut = np.zeros((len(index), channels, *[windows.widths[scale]] * 2), dtype)
            for row, number in enumerate(index.tolist()):
                at = (left[scale][row], top[scale][row])
                _cut(self.planes[number], cut[row], at, windows.outside == "edge")
            sums = F.avg_pool2d(torch.from_numpy(cut), step, divisor_override=1)
            white = 255 if self.planes.dtype == np.uint8 else 1
            glimpse[:, scale] = sums.float() / (white * step**2)
        if windows.outside == "mean":
            mean = mean_brightness(to_tensor(self.planes))[index]
            fill(glimpse, *windows.lattice(centre, height, width), mean, height, width)
            glimpse.clamp_(max=1)  # the sum of both may be a hair above
        return glimpse


def prepare(planes: Shaped[np.ndarray, "N C H W"], sensor: GlimpseSensor) -> Prepared:
    """Return what reads these frames fastest, once."""
    _, _, height, width = planes.shape
    if sum(wide**2 for wide in sensor.windows.widths) > _COVER * height * width:
        return sensor.prepare(to_tensor(planes))
    return Frames(planes)


def _cut(
    image: Shaped[np.ndarray, "C H W"],
    into: Shaped[np.ndarray, "C w w"],
    at: tuple[int, int],
    edge: bool,
) -> None:
    """Write what a window shows whose first pixel is `at`; without `edge`, only the image's."""
    (_, height, width), side, (left, top) = image.shape, into.shape[1], at
    if edge and not (0 <= left <= width - side and 0 <= top <= height - side):
        rows = np.arange(top, top + side).clip(0, height - 1)
        columns = np.arange(left, left + side).clip(0, width - 1)
        into[:] = image[:, rows[:, None], columns]
        return
    x0, x1 = max(left, 0), min(left + side, width)
    y0, y1 = max(top, 0), min(top + side, height)
    if x0 < x1 and y0 < y1:
        into[:, y0 - top : y1 - top, x0 - left : x1 - left] = image[:, y0:y1, x0:x1]
