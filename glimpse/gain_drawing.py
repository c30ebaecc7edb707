"""A picture of what a network looks at, and of the gains of its maps in the last pass."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .drawing import to_picture
from .feedback import FeedbackBatch

# Below and above 1, seen well by the colour-blind (Okabe, Ito).
_LESS, _MORE = (0, 114, 178), (213, 94, 0)


def draw_gains(core: FeedbackBatch, row: int, *, side: int = 320) -> NDArray[np.uint8]:
    """Return a row's image and, on its right, a strip for each layer, the first on top.

    In a strip every map has a bar, from the line that stands for gain 1: upwards if it is more, in
    orange, to the strip's edge for twice as much; downwards if it is less, in blue, to the other
    edge for 0.

    Args:
        core: Whose.
        row: Which.
        side: Height and width of the image's place and of that of the gains, in pixels.

    Returns:
        (H, W, 3).
    """
    picture = Image.new("RGB", (2 * side, side), (255, 255, 255))
    image = to_picture(core.pixels(row))
    scale = side / max(image.size)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    image = image.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX)
    picture.paste(image, ((side - size[0]) // 2, (side - size[1]) // 2))
    draw, half = ImageDraw.Draw(picture), side / len(core.network.layers) / 2
    layers = torch.split(core.gains[row].cpu(), list(core.network.layers.values()))
    for number, gains in enumerate(layers):
        middle, width = (2 * number + 1) * half, side / len(gains)
        for at, gain in enumerate(gains.tolist()):
            end = middle - min(gain - 1, 1) * (half - 2)
            left, right = side + at * width, side + (at + 1) * width - (1 if width > 3 else 0)
            bar = (left, min(middle, end), max(left, right - 1), max(middle, end))
            draw.rectangle(bar, fill=_MORE if gain > 1 else _LESS)
        draw.line((side, middle, 2 * side, middle), fill=(30, 30, 30))
    return np.asarray(picture)
