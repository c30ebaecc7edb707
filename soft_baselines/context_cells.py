"""Object context by itself: attention over positions, within the cells of a grid if wanted.

Convention:
    Feature maps are `(B, C, H, W)`.

Source: as `object_context`.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from glimpse.checks import check_count

from .limits import check_training_pixels
from .maps import check_maps
from .projections import normed_conv
from .softmax_attention import softmax_attention

SLOPE = 0.01  # of InPlaceABN
_Band = tuple[int, int, int]  # where equal cells start, how many there are, how long each is


class ObjectContext(nn.Module):
    """Return W sum_j w_ij value_j, w_i = softmax_j(k_i . k_j / sqrt(D)): queries are keys.

    Zero at first: W is. There is no residual; those of `object_context` put the maps beside it.

    Args:
        channels: C.
        keys: How many channels D keys have, half of C if None.
        values: How many values have, half of C if None.
        cells: Attention stays within each cell of a grid of so many rows and columns; the last
            row and the last column take what is left over.
        pool: Height and width of windows of which it sees the largest; the result is enlarged
            again (bilinear, corners aligned).

    Raises:
        ValueError: A number is too small.
    """

    def __init__(
        self,
        channels: int,
        *,
        keys: int | None = None,
        values: int | None = None,
        cells: int = 1,
        pool: int = 1,
    ) -> None:
        super().__init__()
        check_count(2 if None in (keys, values) else 1, channels=channels)
        keys = channels // 2 if keys is None else keys
        values = channels // 2 if values is None else values
        check_count(1, keys=keys, values=values, cells=cells, pool=pool)
        self.cells, self.pool = cells, pool
        self.key = normed_conv(channels, keys, bias=True, slope=SLOPE)
        self.value = nn.Conv2d(channels, values, 1)
        self.out = nn.Conv2d(values, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]  # which it has

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the context of every position.

        Raises:
            ValueError: The maps are of another shape, or a single pixel in training.
        """
        check_maps(maps, self.out.out_channels)
        if self.training:
            check_training_pixels(maps)
        size = maps.shape[2:]
        if self.pool > 1:
            maps = F.max_pool2d(maps, [min(self.pool, side) for side in size])
        context: Tensor = self.out(self._attended(maps))
        if self.pool > 1:
            context = F.interpolate(context, size, mode="bilinear", align_corners=True)
        return context

    def _attended(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B V H W"]:
        bands = [_bands(side, self.cells) for side in maps.shape[2:]]
        keys, values = _in_cells(self.key(maps), *bands), _in_cells(self.value(maps), *bands)
        rectangles = [
            [
                _as_maps(softmax_attention(key, key, value, key.shape[1] ** -0.5), row, column)
                for column, key, value in zip(bands[1], *parts, strict=True)
            ]
            for row, *parts in zip(bands[0], keys, values, strict=True)
        ]
        return _joined([_joined(row, dim=3) for row in rectangles], dim=2)


def _bands(length: int, cells: int) -> list[_Band]:
    """Return where equal cells along an axis start, how many there are and how long each is."""
    step = length // cells
    even = (0, cells, step) if step * cells == length else (0, cells - 1, step)
    rest = (even[1] * step, 1, length - even[1] * step)
    return [band for band in (even, rest) if band[1] * band[2] > 0]


def _in_cells(
    maps: Float[Tensor, "B C H W"], rows: Sequence[_Band], columns: Sequence[_Band]
) -> list[list[Float[Tensor, "_ C N"]]]:
    """Return what lies in equal cells, image by image, row by row, for every pair of bands."""
    return [
        [
            maps[..., top : top + down * height, left : left + across * width]
            .reshape(*maps.shape[:2], down, height, across, width)
            .permute(0, 2, 4, 1, 3, 5)
            .reshape(-1, maps.shape[1], height * width)
            for left, across, width in columns
        ]
        for top, down, height in rows
    ]


def _as_maps(cells: Float[Tensor, "_ C N"], row: _Band, column: _Band) -> Float[Tensor, "B C H W"]:
    """Return the rectangle that cells fill."""
    (_, down, height), (_, across, width) = row, column
    return (
        cells.reshape(-1, down, across, cells.shape[1], height, width)
        .permute(0, 3, 1, 4, 2, 5)
        .reshape(-1, cells.shape[1], down * height, across * width)
    )


def _joined(parts: Sequence[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim)
