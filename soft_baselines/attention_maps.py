"""What the modules in a network do to one batch of images: how much they change each position.

Convention:
    Maps are `(B, h, w)`, corners `(B, 4, 2)` in the order of going round, `(x, y)` in [-1, 1] from
    the outer edge of the first pixel to the outer edge of the last (`align_corners=False`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from .draw import DrawAttention, Window
from .insertion import After
from .spatial_transformer import SpatialTransformer

_CORNERS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))


@dataclass(frozen=True, eq=False)
class Attended:
    """What one module did.

    Attributes:
        place: The name of the layer that it stands after.
        given: The maps that came.
        gave: The maps that it made of them.
        windows: Where it read or wrote, by what it did there; empty if it chooses no window.
    """

    place: str
    given: Float[Tensor, "B C h w"]
    gave: Float[Tensor, "B C h w"]
    windows: Mapping[str, Float[Tensor, "B 4 2"]]

    @property
    def change(self) -> Float[Tensor, "B h w"]:
        """Norm over the channels of what went over that of what came; NaN where nothing came."""
        came = self.given.norm(dim=1)
        return torch.where(came > 0, self.gave.norm(dim=1) / came, torch.nan)


@torch.no_grad()
def observe(network: nn.Module, images: Float[Tensor, "B C H W"]) -> list[Attended]:
    """Run a network in evaluation; return what its inserted modules did, in their order.

    Args:
        network: Modules of the table were put into it by `insert`.
        images: Such as it takes.
    """
    found: list[Attended] = []

    def keep(place: str, module: nn.Module, given: tuple[Tensor], gave: Tensor) -> None:
        found.append(Attended(place, given[0], gave, _windows(module, given[0])))

    hooks = [
        layer.attention.register_forward_hook(partial(keep, place))
        for place, layer in network.named_modules()
        if isinstance(layer, After)
    ]
    try:
        network.eval()(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _windows(
    module: nn.Module, maps: Float[Tensor, "B C h w"]
) -> dict[str, Float[Tensor, "B 4 2"]]:
    """Return where a module reads and writes, if it chooses where."""
    height, width = maps.shape[2:]
    if isinstance(module, SpatialTransformer):
        return {"reads": _transformed(module.matrix(maps), height, width)}
    if isinstance(module, DrawAttention):
        read_at, write_at = module.windows(maps)
        return {"reads": _covered(read_at), "writes": _covered(write_at)}
    return {}


def _transformed(matrix: Float[Tensor, "B R 3"], height: int, width: int) -> Float[Tensor, "B 4 2"]:
    """Return where the corners of the result are read from.

    A spatial transformer counts to the centres of the outer pixels; a corner lies beyond.
    """
    lengths = torch.tensor([width, height], device=matrix.device)
    beyond = lengths / (lengths - 1).clamp(min=1)  # the outer edge, where 1 is the outer centre
    corners = torch.tensor(_CORNERS, device=matrix.device) * beyond
    told = F.pad(corners, (0, 1), value=1.0) @ matrix.mT  # (B, 4, R)
    told = F.pad(told, (0, 3 - matrix.shape[1]), value=1.0)  # affine ones have no depth
    return told[..., :2] / told[..., 2:].clamp(min=1e-6) / beyond


def _covered(window: Window) -> Float[Tensor, "B 4 2"]:
    """Return the rectangle from the mean pixel of the first filter to that of the last."""
    sides = []
    for filters in (window.across, window.down):
        length = filters.shape[2]
        centres = (2 * torch.arange(length, device=filters.device) + 1) / length - 1
        sides.append((filters @ centres.to(filters.dtype))[:, [0, -1]])  # (B, 2)
    ends = torch.stack(sides, dim=2)  # (B, 2: first and last, 2: x and y)
    left, top, right, bottom = ends.flatten(1).unbind(1)
    around = [left, top, right, top, right, bottom, left, bottom]
    return torch.stack(around, dim=1).view(-1, 4, 2)
