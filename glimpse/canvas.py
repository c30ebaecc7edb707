"""The field's generators: images at random places on a larger canvas, with or without clutter.

A canvas is drawn anew for every episode, a whole batch at once on the device, as a function of the
episode's key.

Source: V. Mnih et al., "Recurrent Models of Visual Attention", NeurIPS 2014, sections 4.1.2 and
4.1.3: digits on 60x60 with 4 and on 100x100 with 8 pieces of 8x8 pixels of other digits. How pieces
and digit overlap is not published; here the brighter pixel wins.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

from .checks import check_count
from .image_set import ImageSource
from .randomness import keys_of, uniform
from .sensor import GlimpseSensor
from .tasks import Classification, Search, Task


@dataclass(frozen=True)
class Canvas:
    """What surrounds an image.

    Attributes:
        height: Of the canvas, in pixels.
        width: Of the canvas, in pixels.
        pieces: How many random crops of training images lie about.
        piece: Height and width of each crop, in pixels.
    """

    height: int
    width: int
    pieces: int = 0
    piece: int = 8

    def __post_init__(self) -> None:
        """Refuse sizes that are none."""
        check_count(1, height=self.height, width=self.width, piece=self.piece)
        check_count(0, pieces=self.pieces)


CANVASES: Mapping[str, Canvas] = {
    "translated-40": Canvas(40, 40),
    "translated-60": Canvas(60, 60),
    "translated-100": Canvas(100, 100),
    "cluttered-60": Canvas(60, 60, pieces=4),
    "cluttered-100": Canvas(100, 100, pieces=8),
}


@dataclass(frozen=True)
class Scene(ABC):
    """Images laid on a canvas, drawn anew for every episode.

    Attributes:
        base: The images, with classes.
        canvas: On what they are laid, and what lies about.
    """

    base: ImageSource
    canvas: Canvas

    def __post_init__(self) -> None:
        """Refuse a canvas that does not hold the images."""
        check_canvas(self.base, self.canvas)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the canvas."""
        return self.base.shape[0], self.canvas.height, self.canvas.width

    @property
    def sizes(self) -> None:
        """None: all canvases have one size."""
        return

    @property
    @abstractmethod
    def task(self) -> Task | Search:
        """What is asked about a scene."""

    @property
    def count(self) -> int:
        """How many images N there are, each in scenes of its own."""
        return self.base.count

    @property
    def splits(self) -> Mapping[str, Int64[Tensor, "M"]]:
        """The indices of every split."""
        return self.base.splits

    @property
    def device(self) -> torch.device:
        """Where the images lie."""
        return self.base.device

    @abstractmethod
    def draw(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B C H W"]:
        """Return a scene for each index and key."""

    @abstractmethod
    def target(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B ..."]:
        """Return the targets of these scenes."""

    def prepared(self, sensor: GlimpseSensor, memory: float) -> None:
        """Return None: every draw is another image."""
        return

    def to(self, device: torch.device | str) -> "Scene":
        """Return the same with its tensors on `device`."""
        return replace(self, base=self.base.to(device))


@dataclass(frozen=True)
class OnCanvas(Scene):
    """A set whose images lie at random places on a canvas.

    Attributes:
        base: The images; crops come from its training split, whatever split is shown.
        canvas: What surrounds them.
    """

    @property
    def task(self) -> Task | Search:
        """What is asked about an image, wherever it lies."""
        return self.base.task

    def draw(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B C H W"]:
        """Return a canvas for each index: where the image lies and what lies about is random."""
        images = self.base.draw(index, keys)
        blank = images.new_zeros(len(index), *self.shape)
        lay(blank, images, self.places(keys))
        lay_pieces(blank, self.base, self.canvas, keys)
        return blank

    def places(self, keys: Int64[Tensor, "B"]) -> Int64[Tensor, "B 2"]:
        """Return where the first pixels of the images lie on their canvases, in pixels."""
        return random_places(uniform(keys, 2), self.shape, self.base.shape)

    def target(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B ..."]:
        """Return the targets of these indices, wherever the images lie."""
        return self.base.target(index, keys)


def check_canvas(base: ImageSource, canvas: Canvas) -> None:
    """Refuse images that cannot be laid on a canvas.

    Raises:
        ValueError: They have no classes or are too large, or there is nothing to cut pieces from.
    """
    if not isinstance(base.task, Classification):
        raise ValueError(
            f"images on a canvas must be classified, got a {type(base.task).__name__}: "
            "leave the canvas out"
        )
    if base.sizes is not None:
        raise ValueError(
            "images on a canvas must be of one size, got several: pass image_size, or leave the "
            "canvas out"
        )
    _, height, width = base.shape
    if canvas.height < height or canvas.width < width:
        raise ValueError(
            f"`canvas` must hold images of {height}x{width}, got {canvas.height}x"
            f"{canvas.width}: choose a larger one"
        )
    if canvas.pieces and len(base.splits.get("train", ())) == 0:
        raise ValueError(
            "`pieces` must come from training images, got none: name some in splits['train']"
        )
    if canvas.pieces and canvas.piece > min(height, width):
        raise ValueError(
            f"`piece` must fit into images of {height}x{width}, got {canvas.piece}: "
            "choose a smaller one"
        )


def lay_pieces(
    blank: Shaped[Tensor, "B C H W"],
    base: ImageSource,
    canvas: Canvas,
    keys: Int64[Tensor, "B"],
) -> None:
    """Lay random crops of training images about, as many as the canvas has pieces."""
    pieces, size = canvas.pieces, (blank.shape[1], canvas.piece, canvas.piece)
    if pieces == 0:
        return
    numbers = uniform(keys, 2 + 5 * pieces)[:, 2:].reshape(-1, 5)  # (B * pieces, 5)
    train = base.splits["train"]
    images = base.draw(
        train[(numbers[:, 0] * len(train)).long()],
        keys_of(keys.repeat_interleave(pieces), 0),
    )
    at = _pixels(images, random_places(numbers[:, 1:3], base.shape, size), size)
    crops = images.flatten().index_select(0, at.flatten()).view(at.shape)
    places = random_places(numbers[:, 3:], tuple(blank.shape[1:]), size)
    for piece in range(pieces):
        lay(blank, crops[piece::pieces], places[piece::pieces])


def lay(
    canvas: Shaped[Tensor, "B C H W"],
    images: Shaped[Tensor, "B C h w"],
    places: Int64[Tensor, "B 2"],
) -> None:
    """Lay each image on its canvas; where something lies, the brighter wins.

    Args:
        canvas: It is changed in place.
        images: Small enough to lie within.
        places: Where the first pixel of each lies, `(x, y)` in pixels.
    """
    at = _pixels(canvas, places, tuple(images.shape[1:])).flatten()
    flat = canvas.view(-1)
    flat.index_copy_(0, at, torch.maximum(flat.index_select(0, at), images.flatten()))


def random_places(
    numbers: Float64[Tensor, "B 2"], outer: tuple[int, ...], inner: tuple[int, ...]
) -> Int64[Tensor, "B 2"]:
    """Return where the first pixel of something lies within something larger, `(x, y)` in pixels.

    Args:
        numbers: In [0, 1): how far down, and how far to the right.
        outer: Channels, height and width of the larger.
        inner: Channels, height and width of the smaller.
    """
    down, right = numbers.unbind(1)
    top = (down * (outer[1] - inner[1] + 1)).long()
    left = (right * (outer[2] - inner[2] + 1)).long()
    return torch.stack([left, top], dim=1)


def _pixels(
    images: Shaped[Tensor, "B C H W"], places: Int64[Tensor, "B 2"], size: tuple[int, ...]
) -> Int64[Tensor, "B C h w"]:
    """Return the flat positions of one window's pixels in each image."""
    batch, channels, height, width = images.shape
    device = images.device
    plane = torch.arange(batch * channels, device=device).view(batch, channels, 1, 1) * height
    left, top = places[:, :, None, None, None].unbind(1)
    y = top + torch.arange(size[1], device=device)[:, None]
    x = left + torch.arange(size[2], device=device)
    return (plane + y) * width + x
