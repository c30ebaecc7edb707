"""The field's generators: images at random places on a larger canvas, with or without clutter.

A canvas is drawn anew for every episode, a whole batch at once on the device, as a function of the
episode's key.

Source: V. Mnih et al., "Recurrent Models of Visual Attention", NeurIPS 2014, sections 4.1.2 and
4.1.3: digits on 60x60 with 4 and on 100x100 with 8 pieces of 8x8 pixels of other digits. How pieces
and digit overlap is not published; here the brighter pixel wins.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

from .checks import check_count
from .image_set import ImageSource
from .randomness import keys_of, uniform
from .sensor import GlimpseSensor
from .tasks import Classification, Search


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
    "cluttered-60": Canvas(60, 60, pieces=4),
    "cluttered-100": Canvas(100, 100, pieces=8),
}


@dataclass(frozen=True)
class OnCanvas:
    """A set whose images lie at random places on a canvas.

    Attributes:
        base: The images; crops come from its training split, whatever split is shown.
        canvas: What surrounds them.
    """

    base: ImageSource
    canvas: Canvas

    def __post_init__(self) -> None:
        """Refuse a canvas that does not hold the images, and pieces larger than them."""
        if not isinstance(self.base.task, Classification):
            raise ValueError(
                f"images on a canvas must be classified, got a {type(self.base.task).__name__}: "
                "leave the canvas out"
            )
        _, height, width = self.base.shape
        canvas = self.canvas
        if canvas.height < height or canvas.width < width:
            raise ValueError(
                f"`canvas` must hold images of {height}x{width}, got {canvas.height}x"
                f"{canvas.width}: choose a larger one"
            )
        if canvas.pieces and len(self.base.splits.get("train", ())) == 0:
            raise ValueError(
                "`pieces` must come from training images, got none: name some in splits['train']"
            )
        if canvas.pieces and canvas.piece > min(height, width):
            raise ValueError(
                f"`piece` must fit into images of {height}x{width}, got {canvas.piece}: "
                "choose a smaller one"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the canvas."""
        return self.base.shape[0], self.canvas.height, self.canvas.width

    @property
    def task(self) -> Classification | Search:
        """What is asked about an image, wherever it lies."""
        return self.base.task

    @property
    def targets(self) -> Shaped[Tensor, "N ..."]:
        """The class of every index."""
        return self.base.targets

    @property
    def splits(self) -> Mapping[str, Int64[Tensor, "M"]]:
        """The indices of every split."""
        return self.base.splits

    def draw(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B C H W"]:
        """Return a canvas for each index: where the image lies and what lies about is random."""
        images = self.base.draw(index, keys)
        blank = images.new_zeros(len(index), *self.shape)
        pieces = self.canvas.pieces
        numbers = uniform(keys, 2 + 5 * pieces)
        _lay(blank, images, numbers[:, :2])
        if pieces:
            numbers = numbers[:, 2:].reshape(-1, 5)  # (B * pieces, 5)
            crops = self._crop(numbers[:, :3], keys_of(keys.repeat_interleave(pieces), 0))
            for piece in range(pieces):
                _lay(blank, crops[piece::pieces], numbers[piece::pieces, 3:])
        return blank

    def prepared(self, sensor: GlimpseSensor, memory: float) -> None:
        """Return None: every draw is another image."""
        return

    def to(self, device: torch.device | str) -> "OnCanvas":
        """Return the same set with its tensors on `device`."""
        return OnCanvas(self.base.to(device), self.canvas)

    def _crop(
        self, numbers: Float64[Tensor, "M 3"], keys: Int64[Tensor, "M"]
    ) -> Shaped[Tensor, "M C p p"]:
        """Return a crop of a training image for every three numbers in [0, 1)."""
        train = self.splits["train"]
        images = self.base.draw(train[(numbers[:, 0] * len(train)).long()], keys)
        size = (self.canvas.piece, self.canvas.piece)
        at = _places(images, size, numbers[:, 1:])
        return images.flatten().index_select(0, at.flatten()).view(at.shape)


def _lay(
    canvas: Shaped[Tensor, "B C H W"],
    images: Shaped[Tensor, "B C h w"],
    numbers: Float64[Tensor, "B 2"],
) -> None:
    """Lay each image at a random place on its canvas; where something lies, the brighter wins."""
    at = _places(canvas, images.shape[2:], numbers).flatten()
    flat = canvas.view(-1)
    flat.index_copy_(0, at, torch.maximum(flat.index_select(0, at), images.flatten()))


def _places(
    images: Shaped[Tensor, "B C H W"], size: tuple[int, ...], numbers: Float64[Tensor, "B 2"]
) -> Int64[Tensor, "B C h w"]:
    """Return the flat positions of one window's pixels in each image.

    The numbers, in [0, 1), say how far down and how far to the right the window lies.
    """
    batch, channels, height, width = images.shape
    device = images.device
    plane = torch.arange(batch * channels, device=device).view(batch, channels, 1, 1) * height
    down, right = (numbers[:, :, None, None, None]).unbind(1)
    top = (down * (height - size[0] + 1)).long()
    left = (right * (width - size[1] + 1)).long()
    y = top + torch.arange(size[0], device=device)[:, None]
    x = left + torch.arange(size[1], device=device)
    return (plane + y) * width + x
