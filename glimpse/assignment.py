"""Which image every row of a batch sees, and what is random about its episode.

Every random number is a function of a row's seed and of how many episodes that row has begun, so a
row sees the same episodes alone and among others, on CPU and on CUDA.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from .checks import whole_numbers
from .image_set import ImageSource
from .randomness import keys_of, uniform

# Streams of random numbers: which image, what is random in it, the first location.
_IMAGE, _CANVAS, _LOCATION = range(3)

Rows = Int64[Tensor, "R"] | slice
Seed = int | np.integer | Sequence[int] | np.ndarray | Int64[Tensor, "B"] | None


class Assignment:
    """The images of a batch of rows, M consecutive rows sharing one.

    Args:
        images: Where they come from.
        copies: M.
        split: From which split they are drawn.

    Attributes:
        index: The index (B,) of every row's image.
        canvas_keys: The keys (B,) of what is random in it.
    """

    def __init__(self, images: ImageSource, copies: int, split: str) -> None:
        self._images, self._copies = images, copies
        self._pool = images.splits[split]
        self._streams = torch.tensor([[_IMAGE], [_CANVAS]], device=images.device)
        self.allot(0)

    def allot(self, rows: int) -> None:
        """Make room for this many rows, with seeds nobody chose."""
        device = self._images.device
        entropy = np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(2)
        number = torch.arange(rows, device=device)
        self._seeds = number + int(entropy)
        self._leader = number - number % self._copies
        self._episode = torch.full_like(self._seeds, -1)
        self._keys = torch.zeros_like(self._seeds)
        self.index = torch.zeros_like(self._seeds)
        self.canvas_keys = torch.zeros_like(self._seeds)

    @property
    def rows(self) -> int:
        """How many rows B there are."""
        return len(self._seeds)

    @property
    def target(self) -> Shaped[Tensor, "B ..."]:
        """What is right for every row's image."""
        return self._images.target(self.index, self.canvas_keys)

    def begin(
        self,
        which: Rows,
        seeds: Int64[Tensor, "B"] | None,
        indices: Int64[Tensor, "G"] | None,
    ) -> None:
        """Draw the images of the rows `which`, or take those of `indices`, one a group of copies.

        With seeds, those of all rows, episodes begin with the first; without, the next follows.
        """
        if seeds is None:
            self._episode[which] += 1
        else:
            self._seeds[which] = seeds[which]
            self._episode[which] = 0
        episode = self._episode[which]
        keys = keys_of(self._seeds[which], episode)
        self._keys[which] = keys
        if self._copies > 1:  # copies share what the first of them sees
            keys = keys_of(self._seeds[self._leader[which]], episode)
        image, self.canvas_keys[which] = keys_of(keys, self._streams)
        if indices is None:
            number = uniform(image, 1)[:, 0] * len(self._pool)
            self.index[which] = self._pool[number.long()]
        else:
            self.index[which] = indices[self._leader[which] // self._copies]

    def first_locations(self, which: Rows) -> Float[Tensor, "R 2"]:
        """Return a location for each of these rows, uniform in [-1, 1] x [-1, 1]."""
        return (uniform(keys_of(self._keys[which], _LOCATION), 2) * 2 - 1).float()


def row_seeds(seed: Seed, rows: int, device: torch.device) -> Int64[Tensor, "B"] | None:
    """Return the seed of every row: `seed + b`, or its own of a sequence; None stays None.

    Raises:
        ValueError: There are not as many seeds as rows, or they are not in [0, 2**63).
    """
    if seed is None:
        return None
    if isinstance(seed, int | np.integer):
        first, last = int(seed), int(seed) + rows - 1
        if not 0 <= first <= 2**63 - max(rows, 1):
            got = last if 0 <= first < 2**63 else first
            raise ValueError(f"`seed` must be in [0, 2**63), got {got}: choose another")
        return torch.arange(rows, device=device) + int(seed)
    seeds = whole_numbers("seed", seed)
    if len(seeds) != rows:
        raise ValueError(
            f"`seed` must be one number or {rows}, got ({len(seeds)},): give one for each row"
        )
    if rows and int(seeds.min()) < 0:
        raise ValueError(f"`seed` must be in [0, 2**63), got {int(seeds.min())}: choose another")
    return seeds.to(device)
