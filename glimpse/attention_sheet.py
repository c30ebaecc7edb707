"""A page of what soft attention does to images: a row for each, a column for each module.

Where a module changes positions more or less, that is laid over the image in colour; where it
chooses a window, the window is outlined, and beside it stands what the network then sees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from .answer_sheet import Answers, draw_answer
from .colours import FAINT, INK, LESS, MORE, PAPER, Colour
from .drawing import to_picture

_SIDE, _GAP, _MARGIN = 128, 14, 24  # of an image's place, in pixels
_LINE, _SMALL = 18, 12  # font sizes
_HEAD, _NAMES, _ROW = 70, 70, _SIDE + _LINE + 2 * _GAP  # heights: title, headings, an image
_DEEP = 0.85  # how much of the colour the strongest change has
_LEAST = 0.02  # changes of fewer doublings than this are none
# Of windows, in the order in which a module names them.
_OUTLINES: tuple[Colour, ...] = ((230, 159, 0), (86, 180, 233))


@dataclass(frozen=True, eq=False)
class Layer:
    """What one module did to B images.

    Attributes:
        name: Where it stands.
        change: How strong each position is after it, relative to before; NaN where nobody can say.
        windows: The corners of where it looks, `(x, y)` in [-1, 1] of the image, by what it does
            there; if there are any, the change is not drawn.
        seen: What the network sees after it, in [0, 1]; drawn beside windows.
    """

    name: str
    change: Float[Tensor, "B h w"]
    windows: Mapping[str, Float[Tensor, "B 4 2"]]
    seen: Float[Tensor, "B C H W"] | None = None


@dataclass(frozen=True)
class _Scale:
    """What colours mean: `middle` has none, `2**limit` times as much or as little the strongest."""

    middle: float
    limit: float

    @classmethod
    def of(cls, change: Float[Tensor, "B h w"]) -> "_Scale":
        known = change[change.isfinite() & (change > 0)].log2()
        if known.numel() == 0:
            return cls(1.0, 0.0)
        middle = known.mean()
        return cls(float(2**middle), float((known - middle).abs().max()))

    def shares(self, change: Float[Tensor, "B h w"]) -> Float[Tensor, "B h w"]:
        """Return -1 for the least, 0 for the middle and for what nobody knows, 1 for the most."""
        if self.limit < _LEAST:
            return torch.zeros_like(change)
        shares = (change / self.middle).log2() / self.limit
        return shares.nan_to_num(0.0, 1.0, -1.0).clamp(-1, 1)


def attention_sheet(answers: Sequence[Answers], layers: Sequence[Layer], title: str) -> Image.Image:
    """Draw a row for each image: itself, what every module does to it, and the answer.

    Args:
        answers: The images, and what was said of each, once.
        layers: What the modules did to these images.
        title: What stands on top.
    """
    columns = 2 + sum(2 if layer.windows else 1 for layer in layers)
    explained = _explained(layers)
    texts = [_font(_LINE).getlength(title), _font(_SMALL).getlength(explained)]
    width = round(max(columns * (_SIDE + _GAP) - _GAP, *texts)) + 2 * _MARGIN
    top = _MARGIN + _HEAD + _NAMES
    page = Image.new("RGB", (width, top + len(answers) * _ROW + _MARGIN), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN, _MARGIN), title, fill=INK, font=_font(_LINE))
    draw.text((_MARGIN, _MARGIN + 30), explained, fill=FAINT, font=_font(_SMALL))
    last = _MARGIN + (columns - 1) * (_SIDE + _GAP)
    for left, name in ((_MARGIN, "image"), (last, "answer")):
        draw.text((left, top - _NAMES), name, fill=INK, font=_font(_SMALL))
    for row, one in enumerate(answers):
        at = top + row * _ROW
        _place(page, to_picture(one.image, _SIDE), 0, at)
        if one.target is not None:
            draw.text((_MARGIN, at + _SIDE + 4), f"true: {one.target}", fill=INK, font=_font(15))
        right = None if one.target is None else one.said[-1] == one.target
        draw_answer(draw, (last, at), one.said[-1], one.confidence[-1], right)
    images, column = [one.image for one in answers], 1
    for layer in layers:
        column = _column(page, layer, images, column, top)
    return page


def _explained(layers: Sequence[Layer]) -> str:
    if not layers:
        return "the network has no attention"
    if any(layer.windows for layer in layers):
        return "outlined: where the module looks; beside it: what the network sees then"
    return (
        "orange: positions that a module leaves stronger than others (norm after it / before it); "
        "blue: weaker"
    )


def _column(
    page: Image.Image, layer: Layer, images: Sequence[Tensor], column: int, top: int
) -> int:
    """Draw what a module did, from this column on; return the column after it."""
    draw, left = ImageDraw.Draw(page), _left(column)
    heading = top - _NAMES
    draw.text((left, heading), layer.name, fill=INK, font=_font(_SMALL))
    if not layer.windows:
        height, width = layer.change.shape[1:]
        draw.text((left, heading + 15), f"{height} x {width}", fill=FAINT, font=_font(_SMALL))
        scale = _Scale.of(layer.change)
        _legend(page, scale, (left, heading + 32))
        for row, (image, shares) in enumerate(zip(images, scale.shares(layer.change), strict=True)):
            _place(page, _tinted(image, shares), column, top + row * _ROW)
        return column + 1
    for number, name in enumerate(layer.windows):
        colour = _OUTLINES[number % len(_OUTLINES)]
        draw.text((left, heading + 15 * (number + 1)), name, fill=colour, font=_font(_SMALL))
    draw.text((_left(column + 1), heading), "what is seen then", fill=INK, font=_font(_SMALL))
    for row, image in enumerate(images):
        corners = [windows[row] for windows in layer.windows.values()]
        _place(page, _outlined(image, corners), column, top + row * _ROW)
        if layer.seen is not None:
            seen = to_picture(layer.seen[row].float().clamp(0, 1), _SIDE)
            _place(page, seen, column + 1, top + row * _ROW)
    return column + 2


def _tinted(image: Float[Tensor, "C H W"], shares: Float[Tensor, "h w"]) -> Image.Image:
    """Return the image in greys, blue where shares are below 0 and orange where above."""
    picture = to_picture(image, _SIDE)
    grey = torch.tensor(list(picture.convert("L").tobytes()), dtype=torch.float32)
    grey = (40 + grey * (175 / 255)).view(1, picture.height, picture.width)
    size = (picture.height, picture.width)
    large = F.interpolate(shares[None, None].float().cpu(), size, mode="bilinear")[0]
    colour = torch.where(
        large < 0, torch.tensor(LESS).view(3, 1, 1), torch.tensor(MORE).view(3, 1, 1)
    )
    depth = _DEEP * large.abs()
    return to_picture((grey * (1 - depth) + colour * depth) / 255)


def _outlined(image: Float[Tensor, "C H W"], windows: Sequence[Tensor]) -> Image.Image:
    """Return the image with windows, given by their corners."""
    picture = to_picture(image, _SIDE)
    draw, size = ImageDraw.Draw(picture), torch.tensor([picture.width, picture.height])
    for number, corners in enumerate(windows):
        pixels = (corners.cpu() + 1) / 2 * size
        around = [(float(x), float(y)) for x, y in torch.cat([pixels, pixels[:1]])]
        draw.line(around, fill=_OUTLINES[number % len(_OUTLINES)], width=2)
    return picture


def _legend(page: Image.Image, scale: _Scale, at: tuple[int, int]) -> None:
    """Draw which colour stands for how strong a position is left."""
    draw, (left, top) = ImageDraw.Draw(page), at
    if scale.limit < _LEAST:
        text = f"everywhere {scale.middle:.2g}"
        draw.text((left, top), text, fill=FAINT, font=_font(_SMALL))
        return
    for x in range(_SIDE):
        share = 2 * x / (_SIDE - 1) - 1
        colour, depth = (LESS, -share) if share < 0 else (MORE, share)
        mixed = tuple(round(128 + (part - 128) * _DEEP * depth) for part in colour)
        draw.line((left + x, top, left + x, top + 9), fill=mixed)
    numbers = (scale.middle * 2**-scale.limit, scale.middle, scale.middle * 2**scale.limit)
    for number, anchor, x in zip(numbers, ("la", "ma", "ra"), (0, _SIDE // 2, _SIDE), strict=True):
        text, place = f"{number:.2g}", (left + x, top + 12)
        draw.text(place, text, fill=FAINT, font=_font(_SMALL), anchor=anchor)


def _place(page: Image.Image, picture: Image.Image, column: int, top: int) -> None:
    """Put a picture into the middle of its place."""
    left = _left(column) + (_SIDE - picture.width) // 2
    page.paste(picture, (left, top + (_SIDE - picture.height) // 2))


def _left(column: int) -> int:
    return _MARGIN + column * (_SIDE + _GAP)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
