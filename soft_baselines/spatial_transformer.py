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
from .sampling import sample

# What the localisation network says at first: the matrix row by row, as far as it is free, or the
# scale and the two shifts of an attention (equation 2).
_IDENTITY: Mapping[str, list[float]] = {
    "affine": [1, 0, 0, 0, 1, 0],
    "attention": [1, 0, 0],
    "projective": [1, 0, 0, 0, 1, 0, 0, 0],
}

_FAR = 4.0  # from any pixel to outside, where the maps are 2 wide


def transform(
    maps: Float[Tensor, "B C H W"],
    matrix: Float[Tensor, "B R 3"],
    size: tuple[int, int] | None = None,
) -> Float[Tensor, "B C h w"]:
    """Return maps read at other positions, bilinear between pixels (equation 5).

    The identity returns the same numbers to the last bit. A projective matrix may put positions
    behind the viewer (a third coordinate of zero or less): what is read there is zero.

    Args:
        maps: What is read.
        matrix: Takes (x, y, 1) of the result to (x, y) of the maps, R = 2 rows, affine; or to
            (x, y, 1) times any positive number, R = 3, projective.
        size: Height and width of the result, those of the maps by default.

    Raises:
        ValueError: The shape of the matrices is another, or there is not one for each map.

    Example:
        >>> mirror = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]])
        >>> transform(torch.tensor([[[[1.0, 2, 3]]]]), mirror)
        tensor([[[[3., 2., 1.]]]])
    """
    check_shape("maps", maps, "B C H W", mend="use maps[None] for one image")
    affine = matrix.ndim == 3 and matrix.shape[1] == 2
    wanted = f"{maps.shape[0]} {2 if affine else 3} 3"
    check_shape("matrix", matrix, wanted, mend="give one for each map")
    (height, width), (rows, columns) = maps.shape[2:], size or maps.shape[2:]
    check_count(1, rows=rows, columns=columns)
    # From the identity on: positions of whole pixels stay whole, and small steps keep their digits.
    kind = torch.float64 if maps.dtype == torch.float64 else torch.float32
    moved = matrix.to(kind) - torch.eye(matrix.shape[1], 3, dtype=kind, device=maps.device)
    tall, wide = _span(height), _span(width)
    steps = (width - 1) / wide, (height - 1) / tall
    step = (_affine if affine else _projective)(moved, steps, rows, columns)
    y, x = torch.meshgrid(
        _pixels(rows, height, tall, moved), _pixels(columns, width, wide, moved), indexing="ij"
    )
    at = torch.stack([x, y], dim=-1)  # (h, w, 2)
    return sample(maps.to(kind), at + step, tall, wide).to(maps.dtype)


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

    def matrix(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B R 3"]:
        """Return what the localisation network says: 2 rows, or 3 if it is projective."""
        told: Tensor = self.locate(torch.relu(self.hidden(self.see(maps).flatten(1))))
        if self.kind == "attention":
            scale, x, y = told.unbind(1)
            none = torch.zeros_like(x)
            told = torch.stack([scale, none, x, none, scale, y], dim=1)
        if self.kind == "projective":
            told = F.pad(told, (0, 1), value=1.0)
        return torch.unflatten(told, 1, (-1, 3))

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the maps, transformed.

        Raises:
            ValueError: They are of another shape.
        """
        check_maps(maps, self.channels)
        return transform(maps, self.matrix(maps))


def _span(side: int) -> int:
    """Return the smallest power of two from a side on."""
    return 1 << (int(side) - 1).bit_length()


def _pixels(number: int, side: int, span: int, like: Tensor) -> Float[Tensor, " number"]:
    """Return where so many pixels lie on a side, evenly, as edge to edge of `span` pixels is 2."""
    if number == 1:
        return like.new_full((1,), side / span - 1)
    return torch.linspace(
        1 / span - 1, (2 * side - 1) / span - 1, number, dtype=like.dtype, device=like.device
    )


def _affine(
    moved: Float[Tensor, "B 2 3"], steps: tuple[float, float], rows: int, columns: int
) -> Float[Tensor, "B h w 2"]:
    """Return by how much positions differ from those of the identity, times the steps."""
    scaled = torch.stack([row * step for row, step in zip(moved.unbind(1), steps, strict=True)], 1)
    return _everywhere(scaled, rows, columns)


def _projective(
    moved: Float[Tensor, "B 3 3"], steps: tuple[float, float], rows: int, columns: int
) -> Float[Tensor, "B h w 2"]:
    """Return the same; what is behind the viewer goes far beyond the maps."""
    still = torch.eye(2, 3, dtype=moved.dtype, device=moved.device)[None]
    at, by = (_everywhere(matrix, rows, columns) for matrix in (still, moved[:, :2]))
    along = _everywhere(moved[:, 2:].expand(-1, 2, -1), rows, columns)
    seen = along > -1
    step = (by - at * along) / torch.where(seen, 1 + along, 1)
    scaled = [part * size for part, size in zip(step.unbind(3), steps, strict=True)]
    return torch.where(seen, torch.stack(scaled, dim=3), _FAR)


def _everywhere(
    matrix: Float[Tensor, "B 2 3"], rows: int, columns: int
) -> Float[Tensor, "B h w 2"]:
    """Return the product of (x, y, 1) of every pixel of the result."""
    # Not `F.affine_grid`, which warns of a side of one pixel.
    return torch.affine_grid_generator(matrix, [matrix.shape[0], 1, rows, columns], True)
