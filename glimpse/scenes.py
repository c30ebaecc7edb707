"""Tasks beside classification, made of classified images on canvases: search, counting, sequence.

A scene is drawn anew for every episode, a whole batch at once on the device, as a function of the
episode's key; so are its targets. Images that join the one of an index come from the same split.

Source of the sequence: J. Ba, V. Mnih, K. Kavukcuoglu, "Multiple Object Recognition with Visual
Attention", ICLR 2015, section 4.1: pairs of digits on a canvas of 100x100 pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

from .canvas import OnCanvas, Scene, lay, lay_pieces
from .checks import check_count
from .image_set import ImageSource
from .randomness import keys_of, uniform
from .tasks import Classification, Search, Sequence

# The stream of a scene's own random numbers; 0 is that of its clutter.
_SCENE = 1


class _Companions(NamedTuple):
    """Who may join whom: the images of one split.

    Attributes:
        pool: All splits in a row; before them every index, for those that are in none.
        first: Where in it the split of each index begins.
        size: How long that split is.
    """

    pool: Int64[Tensor, "P"]
    first: Int64[Tensor, "N"]
    size: Int64[Tensor, "N"]

    @classmethod
    def of(cls, images: ImageSource) -> "_Companions":
        """Return those of a set.

        Raises:
            ValueError: An image is in two splits.
        """
        every = torch.cat([*images.splits.values()])
        if len(torch.unique(every)) < len(every):
            raise ValueError(
                "splits of a scene's images must not share any, got an image in two: divide them"
            )
        number = torch.arange(images.count, device=images.device)
        pool, first, size = [number], number.clone(), torch.ones_like(number)
        for part in images.splits.values():
            first[part], size[part] = sum(map(len, pool)), len(part)
            pool.append(part)
        return cls(torch.cat(pool), first, size)

    def join(
        self, index: Int64[Tensor, "B"], numbers: Float64[Tensor, "B m"]
    ) -> Int64[Tensor, "B m1"]:
        """Return each index and, for every number in [0, 1), another of the same split."""
        others = self.pool[self.first[index, None] + (numbers * self.size[index, None]).long()]
        return torch.cat([index[:, None], others], dim=1)


@dataclass(frozen=True)
class SearchScene(Scene):
    """An image at a random place of the canvas, to be found: its centre is the place."""

    @property
    def task(self) -> Search:
        """Where the image is."""
        return Search()

    def draw(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B C H W"]:
        """Return a scene for each index and key."""
        return self._laid.draw(index, keys)

    def target(self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]) -> Float64[Tensor, "B 2"]:
        """Return the centres of the images, `(x, y)` in [-1, 1] of the canvas."""
        left, top = self._laid.places(keys).double().unbind(1)
        _, height, width = self.base.shape
        x = (2 * left + width) / self.canvas.width - 1
        y = (2 * top + height) / self.canvas.height - 1
        return torch.stack([x, y], dim=1)

    @cached_property
    def _laid(self) -> OnCanvas:
        return OnCanvas(self.base, self.canvas)


@dataclass(frozen=True)
class CountingScene(Scene):
    """Some images, 0 to `most`, to be counted; they never overlap.

    Attributes:
        most: How many there are at most; every number is equally frequent.
    """

    most: int = 5

    def __post_init__(self) -> None:
        """Refuse a canvas that does not hold so many images."""
        super().__post_init__()
        check_count(1, most=self.most)
        rows, columns = self._cells
        if rows * columns < self.most:
            raise ValueError(
                f"`canvas` must hold {self.most} images, got one for {rows * columns}: choose a "
                "larger one"
            )

    @property
    def task(self) -> Classification:
        """How many images there are."""
        return Classification(tuple(str(number) for number in range(self.most + 1)))

    def draw(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B C H W"]:
        """Return a scene for each index and key; the index's image is there if any is."""
        rows, columns = self._cells
        channels, height, width = self.base.shape
        numbers = uniform(keys_of(keys, _SCENE), 1 + rows * columns + 3 * self.most)
        order, numbers = numbers[:, 1 : 1 + rows * columns], numbers[:, 1 + rows * columns :]
        which = self._companions.join(index, numbers[:, : self.most - 1])  # (B, most)
        images = self.base.draw(which.flatten(), keys_of(keys, 0).repeat_interleave(self.most))
        images = images.view(len(index), self.most, channels, height, width)
        cell = order.argsort(dim=1)[:, : self.most]
        room = self.canvas.width // columns, self.canvas.height // rows
        left = cell % columns * room[0]
        left += (numbers[:, self.most : 2 * self.most] * (room[0] - width + 1)).long()
        top = cell // columns * room[1]
        top += (numbers[:, 2 * self.most :] * (room[1] - height + 1)).long()
        there = torch.arange(self.most, device=keys.device) < self.target(index, keys)[:, None]
        blank = images.new_zeros(len(index), *self.shape)
        for number in range(self.most):
            places = torch.stack([left[:, number], top[:, number]], dim=1)
            lay(blank, images[:, number] * there[:, number, None, None, None], places)
        lay_pieces(blank, self.base, self.canvas, keys)
        return blank

    def target(self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]) -> Int64[Tensor, "B"]:
        """Return how many images there are."""
        return (uniform(keys_of(keys, _SCENE), 1)[:, 0] * (self.most + 1)).long()

    @cached_property
    def _companions(self) -> _Companions:
        return _Companions.of(self.base)

    @property
    def _cells(self) -> tuple[int, int]:
        """How many images fit below and beside one another."""
        _, height, width = self.base.shape
        return self.canvas.height // height, self.canvas.width // width


@dataclass(frozen=True)
class SequenceScene(Scene):
    """Several images beside one another, to be read from left to right.

    Where they lie is random; no two share a column.

    Attributes:
        length: How many.
    """

    length: int = 2

    def __post_init__(self) -> None:
        """Refuse a canvas that does not hold so many images."""
        super().__post_init__()
        check_count(1, length=self.length)
        if self.length * self.base.shape[2] > self.canvas.width:
            raise ValueError(
                f"`canvas` must hold {self.length} images beside one another, each "
                f"{self.base.shape[2]} pixels wide, got {self.canvas.width}: choose a larger one"
            )

    @property
    def task(self) -> Sequence:
        """The class of each image, from left to right."""
        base = self.base.task
        return Sequence(base.classes if isinstance(base, Classification) else (), self.length)

    def draw(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B C H W"]:
        """Return a scene for each index and key; the index's image may be any of them."""
        channels, height, width = self.base.shape
        which, numbers = self._order(index, keys)
        images = self.base.draw(which.flatten(), keys_of(keys, 0).repeat_interleave(self.length))
        images = images.view(len(index), self.length, channels, height, width)
        room = self.canvas.width - self.length * width
        gaps = (numbers[:, : self.length] * (room + 1)).long().sort(dim=1).values
        left = gaps + width * torch.arange(self.length, device=keys.device)
        top = (numbers[:, self.length :] * (self.canvas.height - height + 1)).long()
        blank = images.new_zeros(len(index), *self.shape)
        for number in range(self.length):
            places = torch.stack([left[:, number], top[:, number]], dim=1)
            lay(blank, images[:, number], places)
        lay_pieces(blank, self.base, self.canvas, keys)
        return blank

    def target(self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]) -> Int64[Tensor, "B S"]:
        """Return the classes from left to right."""
        which, _ = self._order(index, keys)
        keys = keys_of(keys, 0).repeat_interleave(self.length)
        return self.base.target(which.flatten(), keys).view(which.shape)

    @cached_property
    def _companions(self) -> _Companions:
        return _Companions.of(self.base)

    def _order(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> tuple[Int64[Tensor, "B S"], Float64[Tensor, "B S2"]]:
        """Return the images from left to right, and the random numbers of their places."""
        numbers = uniform(keys_of(keys, _SCENE), 4 * self.length - 1)
        which = self._companions.join(index, numbers[:, : self.length - 1])
        order = numbers[:, self.length - 1 : 2 * self.length - 1].argsort(dim=1)
        return which.gather(1, order), numbers[:, 2 * self.length - 1 :]


SCENES: Mapping[str, type[SearchScene | CountingScene | SequenceScene]] = {
    "search": SearchScene,
    "counting": CountingScene,
    "sequence": SequenceScene,
}
