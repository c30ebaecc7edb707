"""Object context (OCNet): a position is described by the positions that look like it.

Convention:
    Feature maps are `(B, C, H, W)`.

Source: Y. Yuan, J. Wang, "OCNet: object context network for scene parsing", arXiv 1809.00916,
2018, section 3; sizes, and where the paper is silent all else, as in the authors' code. Its
InPlaceABN is batch normalisation and a leaky ReLU of slope 0.01 here. The code calls the layer that
queries and keys share twice, which moves the running statistics twice in a step; we call it once.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from glimpse.checks import check_count

from .attend import attend
from .maps import check_maps
from .projections import narrowed, normed_conv

_SLOPE = 0.01  # of InPlaceABN


class ObjectContext(nn.Module):
    """Return W sum_j w_ij value_j, w_i = softmax_j(k_i . k_j / sqrt(D)): queries are keys.

    Zero at first: W is. There is no residual; the modules below put the maps beside it.

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
        self.key = normed_conv(channels, keys, bias=True, slope=_SLOPE)
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


class BaseObjectContext(nn.Module):
    """Fuse the context and the maps: [context, x] to C channels, 1 x 1.

    Args:
        channels: C, of the maps and of the result.
        keys: How many channels keys have, half of C if None.
        values: How many values have, half of C if None.
        dropout: Which share of channels is dropped in training.

    Raises:
        ValueError: A number is too small.
    """

    def __init__(
        self,
        channels: int,
        *,
        keys: int | None = None,
        values: int | None = None,
        dropout: float = 0.05,
    ) -> None:
        super().__init__()
        self.context = ObjectContext(channels, keys=keys, values=values)
        self.fuse = normed_conv(2 * channels, channels, bias=True, slope=_SLOPE)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the fused maps.

        Raises:
            ValueError: They are of another shape.
        """
        fused: Tensor = self.dropout(self.fuse(torch.cat([self.context(maps), maps], dim=1)))
        return fused


class PyramidObjectContext(nn.Module):
    """Fuse contexts within the cells of several grids, and the maps widened as much.

    Args:
        channels: C, of the maps and of the result; at least 2.
        grids: How many rows and columns each grid has.
        dropout: Which share of channels is dropped in training.

    Raises:
        ValueError: There is no grid, or too few channels.
    """

    def __init__(
        self, channels: int, *, grids: Sequence[int] = (1, 2, 3, 6), dropout: float = 0.05
    ) -> None:
        super().__init__()
        check_count(1, grids=len(grids))
        self.contexts = nn.ModuleList(
            ObjectContext(channels, values=channels, cells=cells) for cells in grids
        )
        wide = channels * len(grids)
        self.widen = normed_conv(channels, wide, bias=True, slope=_SLOPE)
        self.fuse = normed_conv(2 * wide, channels, bias=True, slope=_SLOPE)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the fused maps.

        Raises:
            ValueError: They are of another shape.
        """
        contexts = [context(maps) for context in self.contexts]
        together = torch.cat([self.widen(maps), *contexts], dim=1)
        fused: Tensor = self.dropout(self.fuse(together))
        return fused


class AtrousObjectContext(nn.Module):
    """Fuse the context and convolutions, 1 x 1 and dilated 3 x 3, to 2 `width` channels (ASP-OC).

    Args:
        channels: C, of the maps.
        width: How many channels each of the five has; at least 2.
        dilations: Of the dilated convolutions, in pixels.
        dropout: Which share of channels is dropped in training.

    Raises:
        ValueError: A number is too small.
    """

    def __init__(
        self,
        channels: int,
        *,
        width: int = 256,
        dilations: Sequence[int] = (12, 24, 36),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_count(1, channels=channels)
        self.channels = channels
        self.context = nn.Sequential(
            normed_conv(channels, width, 3, bias=True, slope=_SLOPE),
            ObjectContext(width, values=width, pool=2),
            normed_conv(width, width, bias=True, slope=_SLOPE),
        )
        self.plain = normed_conv(channels, width, slope=_SLOPE)
        self.dilated = nn.ModuleList(
            normed_conv(channels, width, 3, dilation=dilation, slope=_SLOPE)
            for dilation in dilations
        )
        self.fuse = normed_conv((2 + len(dilations)) * width, 2 * width, slope=_SLOPE)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        """Return the fused maps.

        Raises:
            ValueError: They are of another shape.
        """
        check_maps(maps, self.channels)
        seen = [layer(maps) for layer in (self.context, self.plain, *self.dilated)]
        fused: Tensor = self.dropout(self.fuse(torch.cat(seen, dim=1)))
        return fused


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
    out = attend(keys, keys, values, key.shape[1] ** -0.5)
    return (
        out.reshape(len(key), down, across, -1, height, width)
        .permute(0, 3, 1, 4, 2, 5)
        .reshape(len(key), -1, down * height, across * width)
    )
