"""Pictures of where an agent looked: windows to scale over the image, its path, its answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Shaped
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .colours import EMPTY, FAINT, INK, PAPER, RIGHT, WRONG
from .coordinates import to_pixels
from .sensor import GlimpseSensor

# Finest to coarsest window; seen well on black and on white, and by the colour-blind (Okabe, Ito).
_WINDOWS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167), (213, 94, 0))
_PATH = (240, 228, 66)


@dataclass(frozen=True)
class Look:
    """One image with everything an agent did to it.

    Attributes:
        image: What was looked at, uint8 or float in [0, 1].
        locations: Where, in [-1, 1] of the image, for as many glimpses T as there were.
        sensors: Whose windows each glimpse had, T of them.
        answers: What the agent then said, T of them.
        confidence: How sure it was of each, in [0, 1].
        right: Whether each was right, or None where nobody knows.
        width: Of the image that the sensor reads, in pixels, where `image` is a smaller picture of
            it.
    """

    image: Shaped[Tensor, "C H W"]
    locations: Float[Tensor, "T 2"]
    sensors: Sequence[GlimpseSensor]
    answers: Sequence[str]
    confidence: Sequence[float]
    right: Sequence[bool] | None
    width: int | None = None


def draw_fixations(
    image: Shaped[Tensor, "C H W"],
    locations: Float[Tensor, "T 2"],
    sensor: GlimpseSensor,
    *,
    width: int | None = None,
    side: int = 320,
) -> Image.Image:
    """Draw the windows of the last location over the image, and the path that led there.

    Args:
        image: uint8 or float in [0, 1]; of more than three channels the first is shown.
        locations: In [-1, 1] of the image; those that are NaN have not been looked at.
        sensor: Whose windows are drawn, to scale, the finest in orange.
        width: Of the image that the sensor reads, in pixels, where the one that is shown is a
            smaller picture of it.
        side: The longer side of the picture is at most this, in pixels: the largest multiple of
            the image's, or less than the image's where that is larger.
    """
    _, rows, columns = image.shape
    factor, picture = _factor(image, side), to_picture(image, side)
    locations = locations[locations.isfinite().all(dim=1)].cpu()
    if len(locations) == 0:
        return picture
    draw = ImageDraw.Draw(picture)
    shown = (width or columns) / columns  # pixels that the sensor reads, for each one shown
    centres = to_pixels(locations, rows, columns) * shown
    factor /= shown
    path = [(x * factor, y * factor) for x, y in centres.tolist()]
    if len(path) > 1:
        draw.line(path, fill=_PATH, width=max(side // 160, 1))
    radius = side / 100
    for x, y in path:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_PATH)
    windows = sensor.windows
    corners = windows.corners(centres[-1:])[..., 0].t().tolist()
    for number, ((left, top), window) in enumerate(zip(corners, windows.widths, strict=True)):
        edges = (left * factor, top * factor, (left + window) * factor, (top + window) * factor)
        x0, y0, x1, y1 = (round(edge) for edge in edges)
        box = (x0, y0, max(x1 - 1, x0), max(y1 - 1, y0))  # the last pixels inside
        colour = _WINDOWS[number % len(_WINDOWS)]
        draw.rectangle(box, outline=colour, width=max(side // 100, 2))
    return picture


def draw_look(look: Look, glimpse: int, *, side: int = 160) -> Image.Image:
    """Draw one glimpse (from 1) of a look: the fixations so far and, below, the answer."""
    sensor = look.sensors[glimpse - 1]
    picture = draw_fixations(
        look.image, look.locations[:glimpse], sensor, width=look.width, side=side
    )
    sure = look.confidence[glimpse - 1]
    colour = INK if look.right is None else RIGHT if look.right[glimpse - 1] else WRONG
    line, margin = side // 9, side // 20
    panel = Image.new("RGB", (side + 2 * margin, side + 2 * margin + 2 * line), PAPER)
    at = (margin + (side - picture.width) // 2, margin + (side - picture.height) // 2)
    panel.paste(picture, at)
    draw = ImageDraw.Draw(panel)
    font = ImageFont.load_default(size=line)
    answer = f"{look.answers[glimpse - 1]}  {100 * sure:.0f} %"
    draw.text((margin, side + margin * 1.2), answer, fill=colour, font=font)
    draw.text(
        (side + margin, side + margin * 1.2), str(glimpse), fill=FAINT, font=font, anchor="ra"
    )
    filled = round(side * sure)
    top = side + margin * 1.2 + line * 1.4
    draw.rectangle((margin, top, margin + side, top + line // 4), fill=EMPTY)
    draw.rectangle((margin, top, margin + filled, top + line // 4), fill=colour)
    return panel


def to_picture(image: Shaped[Tensor, "C H W"], side: int | None = None) -> Image.Image:
    """Return a picture of an image; of more than three channels the first is shown.

    Args:
        image: uint8 or float in [0, 1].
        side: The longer side of the picture is at most this, in pixels: the largest multiple of
            the image's, or less than the image's where that is larger. None: the image's.
    """
    pixels = image if image.dtype == torch.uint8 else (image * 255).round().to(torch.uint8)
    pixels = pixels if len(pixels) == 3 else pixels[:1].expand(3, -1, -1)
    picture = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy()))
    if side is None:
        return picture
    factor = _factor(image, side)
    size = (max(round(picture.width * factor), 1), max(round(picture.height * factor), 1))
    how = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX
    return picture.resize(size, how)


def contact_sheet(looks: Sequence[Look], *, side: int = 160) -> Image.Image:
    """Draw a row for each look, a column for each glimpse."""
    rows = [
        _beside([draw_look(look, t + 1, side=side) for t in range(len(look.locations))])
        for look in looks
    ]
    return _below(rows)


def animation(looks: Sequence[Look], *, columns: int = 4, side: int = 160) -> list[Image.Image]:
    """Draw all looks side by side, one frame a glimpse."""
    frames = []
    for t in range(max(len(look.locations) for look in looks)):
        panels = [draw_look(look, min(t + 1, len(look.locations)), side=side) for look in looks]
        rows = [_beside(panels[at : at + columns]) for at in range(0, len(panels), columns)]
        frames.append(_below(rows))
    return frames


def _factor(image: Shaped[Tensor, "C H W"], side: int) -> float:
    """Return by how much an image is enlarged: a whole number, or below 1."""
    longer = max(image.shape[1:])
    return float(side // longer) or side / longer


def _beside(pictures: Sequence[Image.Image]) -> Image.Image:
    size = (sum(p.width for p in pictures), max(p.height for p in pictures))
    return _assemble(pictures, size, (1, 0))


def _below(pictures: Sequence[Image.Image]) -> Image.Image:
    size = (max(p.width for p in pictures), sum(p.height for p in pictures))
    return _assemble(pictures, size, (0, 1))


def _assemble(
    pictures: Sequence[Image.Image], size: tuple[int, int], direction: tuple[int, int]
) -> Image.Image:
    whole = Image.new("RGB", size, PAPER)
    x = y = 0
    for picture in pictures:
        whole.paste(picture, (x, y))
        x, y = x + direction[0] * picture.width, y + direction[1] * picture.height
    return whole
