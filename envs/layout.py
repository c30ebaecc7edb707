"""How the images of an environment are laid out, and how they lie in our order of axes.

Convention:
    A frame is `(H, W)`, `(H, W, C)` or `(C, H, W)`, uint8 or float in [0, 1]; several have one axis
    more, the first. Planes are the same pixels as `(N, C, H, W)`, never a copy.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from jaxtyping import Shaped
from numpy.typing import NDArray

from glimpse.checks import check_images, to_tensor

# Most channels that an axis is taken for without being told so.
_CHANNELS = 4


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
