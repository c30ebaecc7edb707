"""A task of a second that only looking in the right place solves, for several test files.

An image shows a cue in its centre, bright or dark, and a bar on either side. The cue says which bar
is the class; the other one says nothing. From the centre neither bar is seen.
"""

import torch
from torch import Tensor

from glimpse import Eye, GlimpseSensor, ImageSet

EYE = Eye(sensor=GlimpseSensor(4), glimpses=2, first="centre")
TRAIN, TEST = 400, 200


def cue_task() -> tuple[ImageSet, Tensor]:
    """Return the images and on which side, 0 or 1, each shows its class."""
    generator, count = torch.Generator().manual_seed(0), TRAIN + TEST
    side, target, other = torch.randint(2, (3, count), generator=generator)
    images = torch.zeros(count, 1, 16, 16)
    images[:, 0, 6:10, 6:10] = 0.3 + 0.7 * side[:, None, None]
    left, right = torch.where(side == 0, target, other), torch.where(side == 0, other, target)
    images[..., :6] = 0.2 + 0.6 * left[:, None, None, None]
    images[..., 10:] = 0.2 + 0.6 * right[:, None, None, None]
    splits = {"train": range(TRAIN), "test": range(TRAIN, count)}
    return ImageSet.from_arrays(images, target, splits=splits), side
