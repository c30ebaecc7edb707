"""A picture of what a network looks at, and of the gains of its maps in the last pass."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from .colours import PAPER
from .drawing import to_picture
from .feedback import FeedbackBatch
from .gain_map import gain_cells

_LIMIT = 2.0  # the gain of the darkest orange


def draw_gains(core: FeedbackBatch, row: int, *, side: int = 320) -> NDArray[np.uint8]:
    """Return a row's image and, on its right, a strip for each layer, the first on top.

    In a strip every map has a cell: white for gain 1, the darker orange the more, up to twice as
    much, the darker blue the less, down to half of it.

    Args:
        core: Whose.
        row: Which.
        side: Height and width of the image's place and of that of the gains, in pixels.

    Returns:
        (H, W, 3).
    """
    picture = Image.new("RGB", (2 * side, side), PAPER)
    image = to_picture(core.pixels(row), side)
    picture.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    layers = torch.split(core.gains[row].cpu(), list(core.network.layers.values()))
    edges = [side * number // len(layers) for number in range(len(layers) + 1)]
    gap = 4 if side >= 32 * len(layers) else 0
    for number, gains in enumerate(layers):
        height = edges[number + 1] - edges[number] - gap
        if height > 0:
            cells = gain_cells(gains[None], _LIMIT, (side - gap, height))
            picture.paste(cells, (side + gap, edges[number]))
    return np.asarray(picture)
