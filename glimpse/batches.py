"""Batches of whole images with what is right for each, for those who look at images whole.

They are the images that an environment shows with the same seeds and indices.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64, Shaped
from torch import Tensor

from .assignment import Assignment, check_split
from .image_set import ImageSource


class Batch(NamedTuple):
    """Whole images.

    Attributes:
        images: In [0, 1].
        target: What is right for each.
    """

    images: Float32[Tensor, "B C H W"]
    target: Shaped[Tensor, "B ..."]


def drawn(images: ImageSource, seeds: Int64[Tensor, "B"], indices: Int64[Tensor, "B"]) -> Batch:
    """Return the images of these indices; what is random in each is a function of its seed."""
    assignment = Assignment(images, 1, next(iter(images.splits)))
    assignment.allot(len(indices))
    assignment.begin(slice(None), seeds, indices)
    pixels = images.draw(assignment.index, assignment.canvas_keys)
    return Batch(as_floats(pixels), assignment.target)


def swept(images: ImageSource, split: str, rows: int, *, seed: int = 0) -> Iterator[Batch]:
    """Return every image of a split once, `rows` at a time; the last batch may be short.

    What is random in an image depends on its index and the seed, not on the batch.

    Raises:
        ValueError: There is no such split, or no image in it.
    """
    check_split(images, split)
    for seeds, part in Assignment(images, 1, split).parts(split, rows, seed):
        yield drawn(images, seeds, part)


def as_floats(pixels: Shaped[Tensor, "*S C H W"]) -> Float32[Tensor, "*S C H W"]:
    """Return pixels in [0, 1]: those of uint8 divided by 255, floats as they are."""
    return pixels / 255 if pixels.dtype == torch.uint8 else pixels.float()
