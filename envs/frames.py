"""Images that an environment shows, looked at once: windows read straight from them.

Convention:
    Planes are `(N, C, H, W)`, uint8 or float in [0, 1], with any strides (`layout`).
    A frame is looked at once or twice and then gone. Of one of 210x160x3 three windows of up to 64
    pixels take 75 us cut out directly, 0.4 ms by `SummedAreaTables` and 0.7 ms by `Pixels`, whose
    preparation pays off only for many looks. Where the finer windows of all frames lie at the same
    place of the widest, as those of even width do, only that one is cut out.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64, Shaped
from torch import Tensor
from torch.nn import functional as F

from glimpse.checks import to_tensor
from glimpse.pixels import mean_brightness
from glimpse.sensor import GlimpseSensor, Prepared
from glimpse.windows import Windows, fill

# Windows that cover more than so many frames are read from tables: their cost does not grow.
_COVER = 8


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
        widths, white = windows.widths, 255 if self.planes.dtype == np.uint8 else 1
        corners = windows.corners(centre).clamp(-widths[-1], max(height, width)).long().numpy()
        widest = self._cuts(index, corners[:, -1], widths[-1], windows)
        inner = corners - corners[:, -1:]  # (2, K, B), from 0 on: a window lies within the widest
        most = inner.max(axis=2, initial=0)
        shared = (inner == most[..., None]).all(axis=(0, 2)).tolist()  # by all rows
        glimpse = np.empty((len(index), len(widths), channels, *[windows.size] * 2), np.float32)
        for scale, (step, side, x, y) in enumerate(
            zip(windows.steps, widths, *most.tolist(), strict=True)
        ):
            if shared[scale]:
                cut = widest[:, :, y : y + side, x : x + side]
            else:
                cut = self._cuts(index, corners[:, scale], side, windows)
            if step > 1:
                cut = F.avg_pool2d(torch.from_numpy(cut), step, divisor_override=1).numpy()
            np.divide(cut, white * step**2, out=glimpse[:, scale], dtype=np.float32)
        seen = torch.from_numpy(glimpse)
        if windows.outside == "mean":
            mean = mean_brightness(to_tensor(self.planes))[index]
            fill(seen, *windows.lattice(centre, height, width), mean, height, width)
            seen.clamp_(max=1)  # the sum of both may be a hair above
        return seen

    def _cuts(
        self,
        index: Int64[Tensor, "B"],
        corners: Int64[np.ndarray, "2 B"],
        side: int,
        windows: Windows,
    ) -> Float[np.ndarray, "B C w w"]:
        """Return squares of so many pixels a side, each from its corner on, not yet averaged."""
        # Whole numbers below 2**24 are summed up exactly in float32.
        exact = self.planes.dtype == np.uint8 and 255 * windows.steps[-1] ** 2 < 2**24
        shape = (len(index), self.planes.shape[1], side, side)
        cuts = np.zeros(shape, np.float32 if exact else np.float64)
        left, top = corners.tolist()
        for row, number in enumerate(index.tolist()):
            at = (left[row], top[row])
            _cut(self.planes[number], cuts[row], at, windows.outside == "edge")
        return cuts


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
