"""What modules of several attention heads share: how maps become heads and heads become maps.

Convention:
    The channels of a map are head-major: of 8 channels in 2 heads the first 4 are head 0. Positions
    are in reading order: position `i` of a map of width W lies in row `i // W`, column `i % W`.
    Axis letters: B batch, M heads, N positions, D features.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def split_heads(maps: Float[Tensor, "B C H W"], heads: int) -> Float[Tensor, "B M D N"]:
    """Return every head's features of every position."""
    return torch.unflatten(maps, 1, (heads, -1)).flatten(3)


def join_heads(values: Float[Tensor, "B M D N"], size: tuple[int, int]) -> Float[Tensor, "B C H W"]:
    """Return what was split as maps of `size` (H, W)."""
    return torch.unflatten(values.flatten(1, 2), 2, size)
