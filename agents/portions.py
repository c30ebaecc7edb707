"""Which of the training images a base network is shown, and which are left for others.

Convention:
    A portion of `count` images is chosen at random, for a count always the same: neither depends on
    the seed of a run, so that runs of several seeds learn from the same images.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from glimpse.image_set import ImageSource


@dataclass(frozen=True)
class Part:
    """Some of a pool's training images, in place of all.

    Attributes:
        splits: The indices of `train`.
    """

    splits: dict[str, Int64[Tensor, "M"]]


def portion(images: ImageSource, count: int | None, *, other: bool = False) -> Part:
    """Return the training images that a base is shown, or the other ones.

    Args:
        images: Where they come from.
        count: How many it is shown; None: all.
        other: Return those that it is not shown.

    Raises:
        ValueError: There are fewer, or none is left.
    """
    pool = images.splits["train"]
    count = len(pool) if count is None else count
    if count > len(pool):
        raise ValueError(
            f"`train_images` must be at most {len(pool)}, got {count}: there are no more"
        )
    if other and count == len(pool):
        raise ValueError(
            f"the base must leave some of {len(pool)} training images, got none left: train it "
            "with fewer train_images, or choose learn_from='shown'"
        )
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(0)).to(pool.device)
    return Part({"train": pool[order[count:] if other else order[:count]]})
