"""Object context (OCNet): a position is described by the positions that look like it.

Convention:
    Feature maps are `(B, C, H, W)`.

Source: Y. Yuan, J. Wang, "OCNet: object context network for scene parsing", arXiv 1809.00916,
2018, section 3; sizes, and where the paper is silent all else, as in the authors' code. Its
InPlaceABN is batch normalisation and a leaky ReLU of slope 0.01 here. The code calls the layer that
queries and keys share twice, which moves the running statistics twice in a step; we call it once.
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glimpse.checks import check_count, check_counts, check_share

from .context_cells import SLOPE, ObjectContext
from .limits import check_training_pixels
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
        check_share(dropout=dropout)
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

    The layer that widens is held in as many parts, each of C channels. `fuse` is never called as a
    whole, but part after part: hooks on it are not, and nothing can be inserted after its layers.

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
        check_counts(1, grids=grids)
        check_count(1, grids=len(grids))
        check_share(dropout=dropout)
        self.channels = channels
        self.contexts = nn.ModuleList(
            ObjectContext(channels, values=channels, cells=cells) for cells in grids
        )
        self.widen = nn.ModuleList(
            normed_conv(channels, channels, bias=True, slope=SLOPE) for _ in grids
        )
        both = 2 * channels * len(grids)
        self.fuse = normed_conv(both, channels, bias=True, slope=SLOPE)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the fused maps.

        Raises:
            ValueError: They are of another shape.
        """
        check_maps(maps, self.channels)
        if self.training:
            check_training_pixels(maps)
        parts = (part(maps) for part in (*self.widen, *self.contexts))
        fused: Tensor = self.dropout(_fused(self.fuse, parts))
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
        check_count(2, width=width)
        check_counts(1, dilations=dilations)
        check_share(dropout=dropout)
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
        if self.training:
            check_training_pixels(maps)
        parts = [part(maps) for part in (self.context, self.plain, *self.dilated)]
        fused: Tensor = self.dropout(self.fuse(torch.cat(parts, dim=1)))
        return fused


def _fused(layer: nn.Sequential, parts: Iterable[Float[Tensor, "B _ H W"]]) -> Tensor:
    """Return what a `normed_conv` of one pixel makes of maps side by side, (B, D, H, W).

    They need not be put side by side, nor be there at once: the convolution is a sum over channels.

    Args:
        layer: With the channels of all parts.
        parts: Made one after the other.
    """
    convolve, *after = layer
    assert isinstance(convolve, nn.Conv2d)
    weights, size, made = convolve.weight.flatten(1), None, None
    for part in parts:
        mine, weights = torch.tensor_split(weights, [part.shape[1]], dim=1)
        mine, columns = mine.to(part.dtype).expand(part.shape[0], -1, -1), part.flatten(2)
        if made is None or size is None:
            size = part.shape[2:]
            bias = weights.new_zeros(1) if convolve.bias is None else convolve.bias[:, None]
            made = torch.baddbmm(bias.to(part.dtype), mine, columns)
        else:
            made.baddbmm_(mine, columns)
        del part, columns  # before the next is made
    assert made is not None
    assert size is not None
    made = torch.unflatten(made, 2, size)
    for function in after:
        made = function(made)
    return made
