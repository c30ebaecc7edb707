"""Object context by itself: attention over positions, within the cells of a grid if wanted.

Convention:
    Feature maps are `(B, C, H, W)`.

Source: as `object_context`.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from glimpse.checks import check_count

from .maps import check_maps
from .projections import narrowed, normed_conv
from .softmax_attention import softmax_attention

SLOPE = 0.01  # of InPlaceABN


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
        keys = narrowed(channels, 2) if keys is None else keys
        values = narrowed(channels, 2) if values is None else values
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
            ValueError: The maps are of another shape.
        """
        check_maps(maps, self.out.out_channels)
        size = maps.shape[2:]
        if self.pool > 1:
            maps = F.max_pool2d(maps, [min(self.pool, side) for side in size])
        key, value = self.key(maps), self.value(maps)
        columns = _bands(maps.shape[3], self.cells)
        context: Tensor = torch.cat(
            [
                torch.cat([_in_cells(key, value, rows, band) for band in columns], dim=3)
                for rows in _bands(maps.shape[2], self.cells)
            ],
            dim=2,
        )
        context = self.out(context)
        if self.pool > 1:
            context = F.interpolate(context, size, mode="bilinear", align_corners=True)
        return context


def _bands(length: int, cells: int) -> list[tuple[int, int, int]]:
    """Return where equal cells along an axis start, how many there are and how long each is."""
    step = length // cells
    even = (0, cells, step) if step * cells == length else (0, cells - 1, step)
    rest = (even[1] * step, 1, length - even[1] * step)
    return [band for band in (even, rest) if band[1] * band[2] > 0]


def _in_cells(
    key: Tensor, value: Tensor, rows: tuple[int, int, int], columns: tuple[int, int, int]
) -> Tensor:
    """Return what is attended to within equal cells, as maps of the rectangle they fill."""
    (top, down, height), (left, across, width) = rows, columns
    keys, values = (
        x[..., top : top + down * height, left : left + across * width]
        .reshape(*x.shape[:2], down, height, across, width)
        .permute(0, 2, 4, 1, 3, 5)
        .reshape(-1, x.shape[1], height * width)  # (B down across, C, height width)
        for x in (key, value)
    )
    out = softmax_attention(keys, keys, values, key.shape[1] ** -0.5)
    return (
        out.reshape(len(key), down, across, -1, height, width)
        .permute(0, 3, 1, 4, 2, 5)
        .reshape(len(key), -1, down * height, across * width)
    )
