"""Which image every row of a batch sees, and what is random about its episode.

Every random number is a function of a row's seed and of how many episodes that row has begun, so a
row sees the same episodes alone and among others, on CPU and on CUDA.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from .batch_checks import checked_options
from .checks import check_count, check_name, whole_numbers
from .image_set import SPLITS, ImageSource
from .randomness import keys_of, uniform

# Streams of random numbers: which image, what is random in it, the first location.
_IMAGE, _CANVAS, _LOCATION = range(3)

Rows = Int64[Tensor, "R"] | slice
Seed = int | np.integer | Sequence[int] | np.ndarray | Int64[Tensor, "B"] | None


class Asked(NamedTuple):
    """What a reset asks for.

    Attributes:
        rows: How many rows there shall be.
        which: Those that begin anew.
        seeds: Of all rows; None: the next episode of the seeds they have.
        indices: The images, one for each group of copies; None: they are drawn.
    """

    rows: int
    which: Rows
    seeds: Int64[Tensor, "B"] | None
    indices: Int64[Tensor, "G"] | None


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
        self._images, self._copies, self._split = images, copies, split
        self._pool = images.splits[split]
        self._streams = torch.tensor([[_IMAGE], [_CANVAS]], device=images.device)
        self.allot(0)

    def asked(self, seed: Seed, options: Mapping[str, Any], usual: int) -> Asked:
        """Return what a reset asks for.

        Args:
            seed: Row b gets `seed + b`, or its own of a sequence; None: all go on.
            options: `indices` and `reset_mask`, as environments take them.
            usual: How many rows begin where no option says otherwise.

        Raises:
            ValueError: An option is not known or of the wrong shape, or there are not as many seeds
                as rows.
        """
        device = self._images.device
        indices, mask = checked_options(
            options, self.rows, self._copies, self._images.count, device
        )
        rows = usual if mask is None else self.rows
        rows = rows if indices is None else len(indices) * self._copies
        # all rows as a slice: cheaper than naming them
        which: Rows = slice(None) if mask is None else mask.nonzero()[:, 0]
        return Asked(rows, which, row_seeds(seed, rows, device), indices)

    def parts(self, split: str | None, rows: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Return seeds and indices with which every image of a split is shown once.

        What is random in an image's episode depends on its index and the seed, not on the batch.

        Args:
            split: Which; None: that from which images are drawn.
            rows: How many begin at once, copies included; the last batch is short.
            seed: Of what is random.

        Raises:
            ValueError: There is no such split, or no image in it.
        """
        split = split or self._split
        check_split(self._images, split)
        number = torch.arange(self._copies, device=self._images.device)
        count = self._images.count
        row_seeds(seed, count * self._copies, self._images.device)  # none may run out of range
        for part in torch.split(self._images.splits[split], rows // self._copies):
            yield (seed + part[:, None] + number * count).flatten(), part

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


def check_rows(images: ImageSource, rows: int, copies: int, split: str) -> None:
    """Refuse rows that cannot be divided into copies, or a split without images.

    Raises:
        ValueError: They are so.
    """
    check_count(1, rows=rows, copies=copies)
    check_split(images, split)
    if rows % copies:
        raise ValueError(
            f"`rows` must be a multiple of copies={copies}, got {rows}: "
            f"choose {max(rows // copies, 1) * copies}"
        )


def check_split(images: ImageSource, split: str) -> None:
    """Refuse a split that is not there, or that holds nothing.

    Raises:
        ValueError: It is so.
    """
    check_name("split", split, SPLITS)
    if len(images.splits.get(split, ())) == 0:
        raise ValueError(f"split {split!r} must hold images, got none: choose another split")


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
