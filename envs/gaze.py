"""Where an eye rests in the frames of B environments, and what it sees there.

Convention:
    Locations `(x, y)` are in units of actions: 1 is `reach` pixels from the image's centre, without
    a reach its edge. Where the eye rests is kept in pixels, in float64: a stride of 4 pixels there
    and one back end where they began, to the last bit.
"""

from collections import deque
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float, Float32, Float64, Int64, Shaped
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from glimpse.checks import to_tensor
from glimpse.coordinates import checked_to_pixels, lengths_of, to_locations
from glimpse.drawing import draw_fixations

from .frames import prepare
from .layout import FrameLayout
from .wrapper_config import WrapperConfig

Array = NDArray[Any]
# Locations of one episode that are drawn: it may have thousands.
_TRAIL = 16
# Makes the first locations independent of what the environment draws with the same seed.
_OWN = 0x676C696D


class Gaze:
    """The eyes of B environments.

    Args:
        config: The options.
        layout: Of every frame.
        rows: How many environments B.
    """

    def __init__(self, config: WrapperConfig, layout: FrameLayout, rows: int) -> None:
        self.config, self.layout, self.rows = config, layout, rows
        self._channels, self._height, self._width = layout.size
        self._windows = config.sensor.windows
        self._lengths = lengths_of(self._height, self._width, torch.device("cpu"))
        self._middle = np.array([self._width, self._height]) / 2
        self._farthest = self._middle if config.reach is None else np.full(2, float(config.reach))
        self._scale = torch.from_numpy(self._farthest / self._middle)  # from actions to locations
        self._centre = np.tile(self._middle, (rows, 1))
        self._location = np.zeros((rows, 2), dtype=np.float32)
        self._random = [np.random.default_rng() for _ in range(rows)]
        self._trail: list[deque[Array]] = [deque(maxlen=_TRAIL) for _ in range(rows)]

    @property
    def spaces(self) -> dict[str, spaces.Space[Any]]:
        """The spaces of what one eye sees."""
        config, layout, side = self.config, self.layout, self.config.sensor.size
        parts: dict[str, spaces.Space[Any]] = {"location": spaces.Box(-1, 1, (2,))}
        if config.view == "mask":
            dtype: Any = layout.dtype.type
            parts["image"] = spaces.Box(0, layout.white, layout.shape, dtype)
        else:
            shape = (config.sensor.scales, self._channels, side, side)
            parts["glimpse"] = spaces.Box(0, 1, shape)
        if config.context is not None:
            parts["context"] = spaces.Box(0, 1, (self._channels, config.context, config.context))
        return parts

    def seed(self, row: int, seed: int) -> None:
        """Let the first locations of a row's episodes follow from a seed."""
        self._random[row] = np.random.default_rng([seed, _OWN])

    def begin(self, rows: Int64[np.ndarray, "R"]) -> None:
        """Put some rows' eyes where an episode begins."""
        for row in rows:
            location = np.zeros(2)
            if self.config.first == "random":
                location = self._random[row].uniform(-1, 1, 2)
            self._place(np.array([row]), location[None].astype(np.float32))
            self._trail[row].clear()
            self._trail[row].append(self._centre[row].copy())

    def move(self, look: Float32[np.ndarray, "B 2"]) -> None:
        """Move all eyes: to locations, or from where they are if there is a stride."""
        look, rows = look.clip(-1, 1), np.arange(self.rows)
        if self.config.stride is None:
            self._place(rows, look)
        else:
            moved = self._centre + self.config.stride * look.astype(np.float64)
            least, most = self._middle - self._farthest, self._middle + self._farthest
            self._centre = moved.clip(least, most)
            sensed = to_locations(torch.from_numpy(self._centre), self._height, self._width)
            self._location = (sensed / self._scale).clamp(-1, 1).float().numpy()
        for trail, centre in zip(self._trail, self._centre.copy(), strict=True):
            trail.append(centre)

    def see(
        self, frames: Shaped[np.ndarray, "R ..."], rows: Int64[np.ndarray, "R"]
    ) -> dict[str, Array]:
        """Return what the eyes of some rows see in their frames.

        Raises:
            ValueError: The frames are not what the space said.
        """
        planes = self.layout.checked_planes(frames)
        centre = torch.from_numpy(self._centre[rows])
        read = prepare(planes, self.config.sensor)
        glimpse = read.look(torch.arange(len(rows)), centre, self._windows)
        seen = {"location": self._location[rows]}
        if self.config.view == "mask":
            seen["image"] = self._masked(glimpse, centre)
        else:
            seen["glimpse"] = glimpse.numpy()
        if self.config.context is not None:
            whole = to_tensor(planes).float() / self.layout.white
            seen["context"] = F.adaptive_avg_pool2d(whole, self.config.context).numpy()
        return seen

    def draw(self, frame: Array, row: int) -> NDArray[np.uint8]:
        """Return a frame with a row's windows and the end of its path, (H, W, 3) uint8."""
        (image,) = self.layout.planes(frame[None])
        trail = torch.from_numpy(np.stack(self._trail[row]))
        locations = to_locations(trail, self._height, self._width)
        return np.asarray(draw_fixations(to_tensor(image), locations, self.config.sensor))

    def _place(self, rows: Int64[np.ndarray, "R"], location: Float32[np.ndarray, "R 2"]) -> None:
        sensed = torch.from_numpy(location) * self._scale
        self._centre[rows] = checked_to_pixels(sensed, self._lengths).numpy()
        self._location[rows] = location

    def _masked(
        self, glimpse: Float[Tensor, "R K C s s"], centre: Float64[Tensor, "R 2"]
    ) -> Shaped[np.ndarray, "R ..."]:
        """Return black frames with the windows laid on, the finest on top."""
        dtype = self.layout.dtype
        frames = np.zeros((len(glimpse), *self.layout.shape), dtype)
        pixels = glimpse.numpy()
        if dtype == np.uint8:
            pixels = (pixels * 255).round().astype(dtype)
        corners = self._windows.corners(centre).long().tolist()
        for row, image in enumerate(self.layout.planes(frames)):
            for scale in reversed(range(len(self._windows.steps))):
                at = (corners[0][scale][row], corners[1][scale][row])
                _lay(pixels[row, scale], image, at, self._windows.steps[scale])
        return frames


def _lay(
    window: Shaped[np.ndarray, "C s s"],
    image: Shaped[np.ndarray, "C H W"],
    at: tuple[int, int],
    step: int,
) -> None:
    """Lay a window, each of its pixels `step` wide, on an image, its first pixel `at`."""
    _, height, width = image.shape
    (left, top), side = at, window.shape[1] * step
    x0, x1 = max(left, 0), min(left + side, width)
    y0, y1 = max(top, 0), min(top + side, height)
    if x0 < x1 and y0 < y1:
        rows = (np.arange(y0, y1) - top) // step
        columns = (np.arange(x0, x1) - left) // step
        image[:, y0:y1, x0:x1] = window[:, rows[:, None], columns]
