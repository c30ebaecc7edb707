"""A page of the gains that a policy gives to many images: a heat map for each layer.

On the left is the mean gain of every map in every pass, on the right how far the gains of single
images lie from it: where that is white, the policy does not heed what it sees.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .colours import FAINT, INK, PAPER
from .gain_map import Gains, gain_cells, spread_cells

_MARGIN, _LABELS, _PANEL = 24, 64, 500  # widths, in pixels: a panel is about that wide
_ACROSS = 100  # maps beside one another; a layer of more has further lines
_ROW = 16  # the height of a pass
_LEAST = 360  # the width of a panel, for its legend
_LINE, _SMALL = 18, 13  # font sizes
# Gains that a scale may end with: the first that no mean gain exceeds.
_LIMITS = (1.05, 1.1, 1.25, 1.5, 2.0, 4.0, 8.0, 16.0)


def gain_sheet(gains: Gains, layers: Mapping[str, int], title: str) -> Image.Image:
    """Draw mean gains and how far they differ between images, a block for each layer.

    Args:
        gains: Of all maps.
        layers: How many maps each layer has, by its name, in the order of the gains.
        title: What stands on top.
    """
    across = min(max(layers.values()), _ACROSS)
    cell = max(min(_PANEL // across, 28), 1)
    columns = (_MARGIN + _LABELS, 2 * (_MARGIN + _LABELS) + max(across * cell, _LEAST))
    width = columns[1] + max(across * cell, _LEAST) + _MARGIN
    lines = sum(-(-count // across) for count in layers.values())
    passes = len(gains.mean)
    height = 150 + len(layers) * 40 + lines * (passes * _ROW + 26) + _MARGIN
    page = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(page)
    _write(draw, (_MARGIN, _MARGIN), title, _LINE)
    limits = _limit(gains.mean.log2().abs()), _limit(gains.spread)
    _legends(page, columns, limits)
    top = 150
    for name, mean, spread in _by_layer(gains, layers):
        plural = "map" if mean.shape[1] == 1 else "maps"
        _write(draw, (_MARGIN, top), f"{name}: {mean.shape[1]} {plural}", _LINE)
        top += 28
        for first in range(0, mean.shape[1], across):
            part = slice(first, first + across)
            size = (mean[:, part].shape[1] * cell, passes * _ROW)
            panels = (
                gain_cells(mean[:, part], limits[0], size),
                spread_cells(spread[:, part], limits[1], size),
            )
            for left, panel in zip(columns, panels, strict=True):
                _block(page, panel, (left, top), passes, (first, cell))
            top += passes * _ROW + 26
        top += 12
    return page


def _block(
    page: Image.Image, panel: Image.Image, at: tuple[int, int], passes: int, maps: tuple[int, int]
) -> None:
    """Draw cells with a frame, the passes' numbers beside them and the maps' below."""
    (left, top), (first, cell), draw = at, maps, ImageDraw.Draw(page)
    page.paste(panel, at)
    frame = (left - 1, top - 1, left + panel.width, top + panel.height)
    draw.rectangle(frame, outline=FAINT)
    for number in range(passes):
        middle = top + (number + 0.5) * _ROW
        text = f"pass {number + 1}"
        _write(draw, (left - 6, middle), text, _SMALL, fill=FAINT, anchor="rm")
    count = panel.width // cell
    room = 10 * len(str(first + count - 1)) + 4  # of a number, in pixels
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if step * cell >= room)
    for number in range(0, count, step):
        middle = left + (number + 0.5) * cell
        text = str(first + number)
        _write(draw, (middle, top + panel.height + 3), text, _SMALL, fill=FAINT, anchor="ma")


def _legends(page: Image.Image, columns: tuple[int, int], limits: tuple[float, float]) -> None:
    """Draw over each column what it shows, and what its colours stand for."""
    draw, size, top = ImageDraw.Draw(page), (300, 14), 96
    gain, differs = limits
    ramp = torch.linspace(-1, 1, size[0])[None]
    bars = (
        gain_cells(gain**ramp, gain, size),
        spread_cells((ramp + 1) / 2 * torch.tensor(differs).log2(), differs, size),
    )
    heads = (
        (
            "mean gain of each map (1 leaves it as it is)",
            (f"{1 / gain:.2g} or less", "1", f"{gain:g} or more"),
        ),
        (
            "how far images differ (standard deviation, as a factor)",
            ("1: not at all", f"{differs**0.5:.3g}", f"{differs:g} or more"),
        ),
    )
    for left, bar, (head, ticks) in zip(columns, bars, heads, strict=True):
        _write(draw, (left, top - 28), head, _SMALL + 2)
        page.paste(bar, (left, top))
        draw.rectangle((left - 1, top - 1, left + size[0], top + size[1]), outline=FAINT)
        places = zip((0, size[0] // 2, size[0]), ticks, ("la", "ma", "ra"), strict=True)
        for across, tick, anchor in places:
            _write(draw, (left + across, top + 18), tick, _SMALL, fill=FAINT, anchor=anchor)


def _by_layer(
    gains: Gains, layers: Mapping[str, int]
) -> list[tuple[str, Float[Tensor, "T M"], Float[Tensor, "T M"]]]:
    """Return every layer's name, mean and spread."""
    counts = list(layers.values())
    means, spreads = (torch.split(part, counts, dim=1) for part in (gains.mean, gains.spread))
    return list(zip(layers, means, spreads, strict=True))


def _limit(logs: Float[Tensor, "T A"]) -> float:
    """Return where the scale of these logarithms to base 2 ends."""
    largest = float(logs.max().exp2())
    return next((limit for limit in _LIMITS if limit >= largest), _LIMITS[-1])


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[float | int, float | int],
    text: str,
    size: int,
    *,
    fill: tuple[int, int, int] = INK,
    anchor: str = "la",
) -> None:
    draw.text(at, text, fill=fill, font=ImageFont.load_default(size=size), anchor=anchor)
