"""Gains as colours: white is 1, orange more, blue less, by their logarithm.

Convention:
    Gains are drawn in cells, a row for each of T passes, a column for each of the A maps of the
    gated layers. The darkest orange is a gain of `limit` or more, the darkest blue one of
    `1 / limit` or less; a gain whose logarithm lies half of the way has half of the colour.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from .colours import LESS, MORE, PAPER, SPREAD, Colour

_LEAST = 2.0**-20  # what is drawn of a gain of 0, whose logarithm is none


@dataclass(frozen=True)
class Gains:
    """The gains that a policy gave to many images, in passes 1 to T.

    Attributes:
        mean: Of every map over the images.
        spread: The standard deviation over the images of the logarithm to base 2: 0 if all were
            given the same.
        count: How many images there were.
    """

    mean: Float[Tensor, "T A"]
    spread: Float[Tensor, "T A"]
    count: int

    @classmethod
    def of(cls, batches: Iterable[Float[Tensor, "B T A"]]) -> "Gains":
        """Return what the gains of batches of images come to; no two need be held at once.

        Raises:
            ValueError: There is no image.
        """
        count, sums = 0, torch.zeros(())
        for batch in batches:
            gains = batch.double()
            logs = gains.clamp(min=_LEAST).log2()
            count += len(gains)
            sums = sums + torch.stack([gains, logs, logs.square()]).sum(dim=1).cpu()  # (3, T, A)
        if count == 0:
            raise ValueError("there must be an image with gains, got none: choose another split")
        mean, log, square = sums / count
        variance = square - log.square()
        spread = torch.where(variance > 1e-12, variance, 0.0).sqrt()  # below is rounding
        return cls(mean.float(), spread.float(), count)


def gain_cells(gains: Float[Tensor, "T A"], limit: float, size: tuple[int, int]) -> Image.Image:
    """Return gains as cells.

    Args:
        gains: At least 0.
        limit: The gain of the darkest orange, above 1.
        size: Width and height of all cells together, in pixels.
    """
    logs = gains.double().clamp(min=_LEAST).log2() / np.log2(limit)
    return _cells(logs.clamp(-1, 1), LESS, MORE, size)


def spread_cells(spread: Float[Tensor, "T A"], limit: float, size: tuple[int, int]) -> Image.Image:
    """Return standard deviations of logarithms to base 2 as cells, from white to violet.

    Args:
        spread: At least 0.
        limit: 2 to the power of what is darkest, above 1.
        size: Width and height of all cells together, in pixels.
    """
    return _cells((spread.double() / np.log2(limit)).clamp(0, 1), PAPER, SPREAD, size)


def _cells(
    shares: Float[Tensor, "T A"], low: Colour, high: Colour, size: tuple[int, int]
) -> Image.Image:
    """Return numbers in [-1, 1] as cells, from one colour over white to the other."""
    ends = torch.where(shares[..., None] < 0, torch.tensor(low), torch.tensor(high))
    share = shares.abs()[..., None]
    colours = (1 - share) * torch.tensor(PAPER) + share * ends  # (T, A, 3)
    pixels = colours.round().to(torch.uint8).cpu().numpy()
    return Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)
