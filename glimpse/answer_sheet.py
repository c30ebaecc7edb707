"""Pages of what a network answers pass after pass: images that changed their class, say."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Shaped
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .colours import EMPTY, FAINT, INK, PAPER, RIGHT, WRONG
from .drawing import to_picture

_SIDE, _GAP, _MARGIN = 128, 14, 24  # of an image's place and of an answer's, in pixels
_INNER = 12  # from an answer's frame to what it holds
_LARGE, _LINE, _SMALL = 22, 18, 13  # font sizes
_HEAD, _ROW = 58, _SIDE + _LINE + 2 * _GAP  # heights of a group's heading and of an image


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Answers:
    """An image, and what was said of it after each pass.

    Attributes:
        image: uint8 or float in [0, 1].
        said: After each of the T + 1 passes.
        confidence: How sure each answer was, in [0, 1].
        target: What is right, or None where nobody knows.
    """

    image: Shaped[Tensor, "C H W"]
    said: Sequence[str]
    confidence: Sequence[float]
    target: str | None = None


@dataclass(frozen=True)
class Group:
    """Images under one heading.

    Attributes:
        heading: What they have in common.
        shown: The images; where there are none the heading stands alone.
    """

    heading: str
    shown: Sequence[Answers]


def answer_sheet(groups: Sequence[Group]) -> Image.Image:
    """Draw a row for each image: itself, and its answer after each pass.

    Right answers are green and ticked, wrong ones red and crossed; where nobody knows they are
    black.
    """
    passes = max((len(one.said) for group in groups for one in group.shown), default=0)
    headings = [_font(_LINE).getlength(group.heading) for group in groups]
    width = max((1 + passes) * (_SIDE + _GAP) - _GAP, round(max(headings))) + 2 * _MARGIN
    height = 2 * _MARGIN + sum(_HEAD + len(group.shown) * _ROW for group in groups)
    page = Image.new("RGB", (width, height), PAPER)
    draw, top = ImageDraw.Draw(page), _MARGIN
    for group in groups:
        draw.text((_MARGIN, top), group.heading, fill=INK, font=_font(_LINE))
        for number in range(passes if group.shown else 0):
            name = "pass 0: gains 1" if number == 0 else f"pass {number}"
            at = (_left(number + 1), top + _LINE + _GAP)
            draw.text(at, name, fill=FAINT, font=_font(_SMALL))
        top += _HEAD
        for one in group.shown:
            _row(page, one, top)
            top += _ROW
    return page


def _row(page: Image.Image, one: Answers, top: int) -> None:
    """Draw an image and its answers."""
    draw, image = ImageDraw.Draw(page), to_picture(one.image, _SIDE)
    at = (_MARGIN + (_SIDE - image.width) // 2, top + (_SIDE - image.height) // 2)
    page.paste(image, at)
    if one.target is not None:
        text = f"true: {one.target}"
        font = _largest(text, _SIDE, _LINE)
        middle = (_MARGIN + _SIDE / 2, top + _SIDE + 4)
        draw.text(middle, _cut(text, font, _SIDE), fill=INK, font=font, anchor="ma")
    for number, (said, sure) in enumerate(zip(one.said, one.confidence, strict=True), start=1):
        right = None if one.target is None else said == one.target
        draw_answer(draw, (_left(number), top), said, sure, right)


def draw_answer(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], said: str, sure: float, right: bool | None
) -> None:
    """Draw one answer into a square of 128 pixels: in words, how sure, and whether it is right."""
    (left, top), wide = at, _SIDE - 2 * _INNER
    colour = INK if right is None else RIGHT if right else WRONG
    draw.rectangle((left, top, left + _SIDE - 1, top + _SIDE - 1), outline=colour, width=2)
    left += _INNER
    font = _largest(said, wide)
    middle = (left, top + 28)
    draw.text(middle, _cut(said, font, wide), fill=colour, font=font, anchor="lm")
    draw.text((left, top + 64), f"{100 * sure:.0f} %", fill=INK, font=_font(_LINE), anchor="lm")
    if right is not None:
        _mark(draw, (left + wide - 18, top + 56), right)
    under = top + 88
    draw.rectangle((left, under, left + wide, under + 8), fill=EMPTY)
    if sure > 0:
        draw.rectangle((left, under, left + round(wide * sure), under + 8), fill=colour)


def _mark(draw: ImageDraw.ImageDraw, at: tuple[int, int], right: bool) -> None:
    """Draw a tick or a cross, for those who do not tell green from red."""
    x, y = at
    if right:
        draw.line([(x, y + 8), (x + 6, y + 14), (x + 16, y)], fill=RIGHT, width=3, joint="curve")
        return
    draw.line((x, y, x + 14, y + 14), fill=WRONG, width=3)
    draw.line((x, y + 14, x + 14, y), fill=WRONG, width=3)


def _left(column: int) -> int:
    return _MARGIN + column * (_SIDE + _GAP)


def _largest(text: str, width: int, most: int = _LARGE) -> Font:
    """Return the largest font in which a text is no wider than that, or the smallest."""
    fonts = [_font(size) for size in range(most, _SMALL - 1, -1)]
    return next((font for font in fonts if font.getlength(text) <= width), fonts[-1])


def _cut(text: str, font: Font, width: int) -> str:
    """Return a text, or as much of it as is no wider than that, with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _font(size: int) -> Font:
    return ImageFont.load_default(size=size)
