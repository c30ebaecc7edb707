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


def shown_images(images: ImageSource, count: int | None) -> Part:
    """Return the training images that a base is shown: for a count, always the same.

    Raises:
        ValueError: There are fewer.
    """
    pool = images.splits["train"]
    return Part({"train": pool if count is None else pool[_order(pool, count)[:count]]})


def other_images(images: ImageSource, count: int | None) -> Part:
    """Return the training images that such a base is not shown.

    Raises:
        ValueError: There are none.
    """
    pool = images.splits["train"]
    if count is None or count >= len(pool):
        raise ValueError(
            f"the base must leave some of {len(pool)} training images, got none left: train it "
            "with fewer train_images"
        )
    return Part({"train": pool[_order(pool, count)[count:]]})


def _order(pool: Int64[Tensor, "M"], count: int) -> Int64[Tensor, "M"]:
    if count > len(pool):
        raise ValueError(
            f"`train_images` must be at most {len(pool)}, got {count}: there are no more"
        )
    return torch.randperm(len(pool), generator=torch.Generator().manual_seed(0)).to(pool.device)
