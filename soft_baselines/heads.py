"""What modules of several attention heads share: how maps become heads, and how heads attend.

Convention:
    The channels of a map are head-major: of 8 channels in 2 heads the first 4 are head 0. Positions
    are in reading order: position `i` of a map of width W lies in row `i // W`, column `i % W`.
    Axis letters: B batch, M heads, N positions asking, K positions asked, D features, V features
    of a value.

No function here makes the table of N x K weights: each is one call of
`F.scaled_dot_product_attention` in the one form that its kernel knows (features next to each other
in memory, as many of a value as of a key); every other form silently falls back to the table.
That kernel has no second derivatives: for those run the module inside
`torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`, which does make the table.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def check_divides(name: str, parts: int, whole: int) -> None:
    """Refuse a number of heads or groups into which the channels do not fall evenly.

    Raises:
        ValueError: `parts` is no divisor of `whole`.
    """
    if parts < 1 or whole % parts:
        known = ", ".join(str(part) for part in range(1, whole + 1) if whole % part == 0)
        raise ValueError(
            f"`{name}` must be a divisor of {whole}, got {parts}: choose one of {known or 'none'}"
        )


def split_heads(maps: Float[Tensor, "B C H W"], heads: int) -> Float[Tensor, "B M N D"]:
    """Return every head's features of every position."""
    return torch.unflatten(maps, 1, (heads, -1)).flatten(3).mT.contiguous()


def join_heads(values: Float[Tensor, "B M N V"], size: tuple[int, int]) -> Float[Tensor, "B C H W"]:
    """Return what was split as maps of `size` (H, W)."""
    return torch.unflatten(values.mT.flatten(1, 2), 2, size)


def attend(
    queries: Float[Tensor, "B M N D"],
    keys: Float[Tensor, "B M K D"],
    values: Float[Tensor, "B M K V"],
    *,
    scale: float,
) -> Float[Tensor, "B M N V"]:
    """Return softmax(scale q k^T) v; what is shorter, a key or a value, is filled up with zeros."""
    wanted, length = values.shape[-1], max(values.shape[-1], keys.shape[-1])
    queries, keys, values = (
        F.pad(given, (0, length - given.shape[-1])) if given.shape[-1] < length else given
        for given in (queries, keys, values)
    )
    return F.scaled_dot_product_attention(queries, keys, values, scale=scale)[..., :wanted]


def attend_along_axes(
    queries: Float[Tensor, "B M N D"],
    keys: Float[Tensor, "B M K D"],
    values: Float[Tensor, "B M K V"],
    down: Float[Tensor, "B M N Y"],
    across: Float[Tensor, "B M N X"],
    *,
    scale: float,
) -> Float[Tensor, "B M N V"]:
    """Return softmax(scale (q k^T + down[row of k] + across[column of k])) v.

    What is added depends on a key's row and on its column, not on both at once. So it is a product
    of `(q, down, across)` and `(k, row of k as one of Y, column of k as one of X)`.

    Args:
        queries: May have no features, D = 0, where only positions count.
        keys: Of K = Y * X positions.
        values: Of the same positions.
        down: What every query adds for a key of each of Y rows.
        across: What every query adds for a key of each of X columns.
        scale: Of the sum.
    """
    height, width = down.shape[-1], across.shape[-1]
    rows = torch.eye(height, dtype=keys.dtype, device=keys.device)
    columns = torch.eye(width, dtype=keys.dtype, device=keys.device)
    places = torch.cat([rows.repeat_interleave(width, dim=0), columns.repeat(height, 1)], dim=1)
    return attend(
        torch.cat([queries, down, across], dim=-1),
        torch.cat([keys, places.expand(*keys.shape[:2], -1, -1)], dim=-1),
        values,
        scale=scale,
    )
