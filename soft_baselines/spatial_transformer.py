"""Spatial transformer: the map is sampled anew where a small network says.

Convention:
    Feature maps are `(B, C, H, W)`. Positions are `(x, y)`, x to the right along W and y downwards
    along H, both in [-1, 1] from the *centre* of the first pixel to the centre of the last
    (`align_corners=True`, the paper's; elsewhere in this project -1 and 1 are outer edges): for
    W = 5 the pixels lie at -1, -0.5, 0, 0.5, 1. Along a side of one pixel nothing moves. What lies
    outside the map is zero.

    A matrix takes a position of the result to the one that it is read from: with a scale of 1/2
    the result shows the middle of the map, enlarged.

Source: M. Jaderberg et al., "Spatial transformer networks", NIPS 2015, equations 1, 2 and 5.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from glimpse.checks import check_count, check_name, check_shape

from .maps import check_maps

# What the localisation network says at first: the matrix row by row, as far as it is free, or the
# scale and the two shifts of an attention (equation 2).
_IDENTITY: Mapping[str, list[float]] = {
    "affine": [1, 0, 0, 0, 1, 0],
    "attention": [1, 0, 0],
    "projective": [1, 0, 0, 0, 1, 0, 0, 0],
}


def transform(
    maps: Float[Tensor, "B C H W"],
    matrix: Float[Tensor, "B 3 3"],
    size: tuple[int, int] | None = None,
) -> Float[Tensor, "B C h w"]:
    """Return maps read at other positions, bilinear between pixels (equation 5).

    The identity returns the same numbers to the last bit. A projective matrix may put positions
    behind the viewer (a third coordinate of zero or less): what is read there is zero.

    Args:
        maps: What is read.
        matrix: Takes (x, y, 1) of the result to (x, y, 1) of the maps, times any positive number.
        size: Height and width of the result, those of the maps by default.

    Raises:
        ValueError: The shape of the matrices is another, or there is not one for each map.

    Example:
        >>> mirror = torch.tensor([[[-1.0, 0, 0], [0, 1, 0], [0, 0, 1]]])
        >>> transform(torch.tensor([[[[1.0, 2, 3]]]]), mirror)
        tensor([[[[3., 2., 1.]]]])
    """
    check_shape("maps", maps, "B C H W", mend="use maps[None] for one image")
    check_shape("matrix", matrix, f"{len(maps)} 3 3", mend="give one for each map")
    (height, width), (rows, columns) = maps.shape[2:], size or maps.shape[2:]
    check_count(1, rows=rows, columns=columns)
    # From the identity on: positions of whole pixels stay whole, and small steps keep their digits.
    kind = torch.float64 if maps.dtype == torch.float64 else torch.float32
    moved = matrix.to(kind) - torch.eye(3, dtype=kind, device=maps.device)
    x, left = _positions(columns, width, kind, maps.device)
    y, top = _positions(rows, height, kind, maps.device)
    by_x, by_y, by = (column[:, :, None, None] for column in moved.unbind(2))  # (B, 3, 1, 1)
    step = by_x * x + by_y * y[:, None] + by  # (B, 3, h, w)
    depth = 1 + step[:, 2]
    seen = depth > 0
    depth = torch.where(seen, depth, 1)
    left = left + (step[:, 0] - x * step[:, 2]) / depth * ((width - 1) / 2)
    top = top[:, None] + (step[:, 1] - y[:, None] * step[:, 2]) / depth * ((height - 1) / 2)
    read = _read(maps.to(kind), left, top) * seen[:, None]
    return read.to(maps.dtype)


class SpatialTransformer(nn.Module):
    """Read the map where a localisation network says, at first where it is.

    The network sees the means of `cells` x `cells` parts of the map, then has a layer of ReLU units
    and a linear one, whose weights are zero and whose biases are the identity.

    Args:
        channels: C.
        kind: "affine" (six numbers), "attention" (scale and shift, three) or "projective" (eight).
        cells: Of a side of what the network sees; of smaller maps pixels are seen repeatedly.
        hidden: Number of ReLU units.

    Raises:
        ValueError: There is no such kind, or a number is below 1.
    """

    def __init__(
        self, channels: int, *, kind: str = "affine", cells: int = 4, hidden: int = 32
    ) -> None:
        super().__init__()
        check_name("kind", kind, _IDENTITY)
        check_count(1, cells=cells, hidden=hidden)
        self.channels, self.kind = channels, kind
        self.see = nn.AdaptiveAvgPool2d(cells)
        self.hidden = nn.Linear(channels * cells**2, hidden)
        self.locate = nn.Linear(hidden, len(_IDENTITY[kind]))
        nn.init.zeros_(self.locate.weight)
        with torch.no_grad():
            self.locate.bias.copy_(torch.tensor(_IDENTITY[kind]))

    def matrix(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 3 3"]:
        """Return what the localisation network says."""
        told: Tensor = self.locate(torch.relu(self.hidden(self.see(maps).flatten(1))))
        if self.kind == "attention":
            scale, x, y = told.unbind(1)
            none = torch.zeros_like(x)
            told = torch.stack([scale, none, x, none, scale, y], dim=1)
        told = F.pad(told, (0, 8 - told.shape[1]))
        return F.pad(told, (0, 1), value=1.0).view(-1, 3, 3)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the maps, transformed.

        Raises:
            ValueError: They are of another shape.
        """
        check_maps(maps, self.channels)
        return transform(maps, self.matrix(maps))


def _positions(
    number: int, side: int, kind: torch.dtype, device: torch.device
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Return where so many pixels lie in [-1, 1], and among those of a side."""
    if number == 1:
        middle = torch.zeros(1, dtype=kind, device=device)
        return middle, middle + (side - 1) / 2
    count = torch.arange(number, dtype=kind, device=device)
    return count * (2 / (number - 1)) - 1, count * ((side - 1) / (number - 1))


def _read(
    maps: Float[Tensor, "B C H W"], left: Float[Tensor, "B h w"], top: Float[Tensor, "B h w"]
) -> Float[Tensor, "B C h w"]:
    """Return maps between pixels `left` and `top`, counted from the first.

    `F.grid_sample` counts from -1 to 1, which rounds pixels to fractions unless the side is a power
    of two plus one. With zeros beside them the maps have such sides, and mean the same.
    """
    (height, width), (tall, wide) = maps.shape[2:], map(_span, maps.shape[2:])
    padded = F.pad(maps, (0, wide + 1 - width, 0, tall + 1 - height))
    grid = torch.stack([left * (2 / wide) - 1, top * (2 / tall) - 1], dim=-1)
    return F.grid_sample(padded, grid, "bilinear", "zeros", align_corners=True)


def _span(side: int) -> int:
    """Return the smallest power of two from side - 1 on."""
    span = 1
    while span < side - 1:
        span *= 2
    return span
