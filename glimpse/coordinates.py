"""Where a location lies in an image: the one place that turns locations into pixels.

Convention:
    A location is `(B, 2)` in `(x, y)` order, x to the right along W and y downwards along H, both
    in [-1, 1] from the outer edge of the first pixel to the outer edge of the last
    (`align_corners=False`): for W = 4 the edges of the pixels lie at -1, -0.5, 0, 0.5, 1 and their
    centres at -0.75, -0.25, 0.25, 0.75. Positions in pixels count from the outer edge of the first
    pixel, so the centre of that pixel is at 0.5.
"""

from functools import lru_cache

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from .checks import check_at_least, check_shape


def to_pixels(location: Float[Tensor, "B 2"], height: int, width: int) -> Float64[Tensor, "B 2"]:
    """Return the positions in pixels, `(x, y)` in [0, W] x [0, H] for locations in [-1, 1].

    Raises:
        ValueError: The shape is not `(B, 2)`, or a number is NaN or infinite.
    """
    check_shape("location", location, "B 2", mend="give one (x, y) pair for each image")
    if not bool(location.isfinite().all()):
        row = int((~location.isfinite()).any(dim=1).nonzero()[0])
        raise ValueError(
            f"`location` must be finite, got {location[row].tolist()} in row {row}: "
            "look for a division by zero or a diverged network"
        )
    return checked_to_pixels(location, lengths_of(height, width, location.device))


def checked_to_pixels(
    location: Float[Tensor, "B 2"], lengths: Float64[Tensor, "*B 2"]
) -> Float64[Tensor, "B 2"]:
    """Return `to_pixels` of locations that are known to be pairs of finite numbers.

    Args:
        location: As for `to_pixels`.
        lengths: Width and height of the image, or of every row's image, in pixels: `lengths_of`.
    """
    return (location.double() + 1) / 2 * lengths


def to_locations(pixels: Float[Tensor, "B 2"], height: int, width: int) -> Float64[Tensor, "B 2"]:
    """Return the locations of positions in pixels: the inverse of `to_pixels`.

    Raises:
        ValueError: The shape is not `(B, 2)`.
    """
    check_shape("pixels", pixels, "B 2", mend="give one (x, y) pair for each image")
    return pixels.double() / lengths_of(height, width, pixels.device) * 2 - 1


def action_scale(reach: float | None, lengths: Float64[Tensor, "*B 2"]) -> Float64[Tensor, "*B 2"]:
    """Return the factors `(x, y)` that turn an action into a location.

    Args:
        reach: How many pixels an action of 1 goes from the image's centre; None: to its edge.
        lengths: Width and height of the image, or of every row's image, in pixels: `lengths_of`.

    Raises:
        ValueError: `reach` is negative or not finite.
    """
    if reach is None:
        return torch.ones_like(lengths)
    check_at_least(0, reach=reach)
    return reach / (lengths / 2)


@lru_cache(maxsize=64)
def lengths_of(height: int, width: int, device: torch.device) -> Float64[Tensor, "2"]:
    """Return width and height of an image in pixels: in the order of a location."""
    with torch.inference_mode(False):  # or it could not be used outside it later
        return torch.tensor([width, height], dtype=torch.float64, device=device)
