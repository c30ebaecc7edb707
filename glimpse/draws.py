"""Which images every batch of episodes of a run shows, and with which seeds.

Both are functions of the run's seed and the batch's number, so a checkpoint holds neither.
"""

import torch
from jaxtyping import Int64
from torch import Tensor

from .episodes import Pool
from .randomness import derive_seed


class Draws:
    """The batches of a run.

    Args:
        images: Where they come from; the training split is drawn from.
        count: How many images a batch has.
        seed: Of the run.

    Raises:
        ValueError: There is no training split.
    """

    def __init__(self, images: Pool, count: int, seed: int) -> None:
        if len(images.splits.get("train", ())) == 0:
            raise ValueError("the images must have a training split, got none: name one in splits")
        self._pool, self._count, self._seed = images.splits["train"], count, seed
        self._order: tuple[int, Tensor] | None = None  # of the images, in this epoch

    def first_seed(self, number: int) -> int:
        """Return the seed of a batch's first row; row b has `b` more."""
        return derive_seed(self._seed, number)

    def images(self, number: int) -> Int64[Tensor, "G"]:
        """Return a batch's images: the training split in a new order every epoch.

        What is left over when no batch can be filled any more is passed over in that epoch. A batch
        larger than the split takes it all, as often as it fits and once more in part.
        """
        pool, size = self._pool, self._count
        if size >= len(pool):
            wanted = torch.arange(size, device=pool.device) % len(pool)
            return pool[wanted]
        epoch, place = divmod(number, len(pool) // size)
        if self._order is None or self._order[0] != epoch:
            generator = torch.Generator().manual_seed(derive_seed(self._seed, epoch, 2))
            order = torch.randperm(len(pool), generator=generator).to(pool.device)
            self._order = (epoch, pool[order])
        return self._order[1][place * size : (place + 1) * size].clone()
