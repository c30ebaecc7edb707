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

from glimpse.checks import check_count

from .context_cells import SLOPE, ObjectContext
from .maps import check_maps
from .projections import normed_conv


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
        self.fuse = normed_conv(2 * channels, channels, bias=True, slope=SLOPE)
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
        self.widen = normed_conv(channels, wide, bias=True, slope=SLOPE)
        self.fuse = normed_conv(2 * wide, channels, bias=True, slope=SLOPE)
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
            normed_conv(channels, width, 3, bias=True, slope=SLOPE),
            ObjectContext(width, values=width, pool=2),
            normed_conv(width, width, bias=True, slope=SLOPE),
        )
        self.plain = normed_conv(channels, width, slope=SLOPE)
        self.dilated = nn.ModuleList(
            normed_conv(channels, width, 3, dilation=dilation, slope=SLOPE)
            for dilation in dilations
        )
        self.fuse = normed_conv((2 + len(dilations)) * width, 2 * width, slope=SLOPE)
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
