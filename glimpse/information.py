"""Mutual information of numbers, from a sample of them.

Source: A. Kraskov, H. Stögbauer, P. Grassberger, "Estimating mutual information", Physical Review
E 69, 066138, 2004, estimator 1.
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from .checks import check_count, check_shape

# Distances held in memory at once.
_CHUNK = 2**20


def mutual_information(
    x: Float[Tensor, "N P"], y: Float[Tensor, "N Q"], *, neighbours: int = 3
) -> float:
    """Return an estimate of the mutual information of x and y, in nats; it may be just below 0.

    I = ψ(k) + ψ(N) - ⟨ψ(nₓ + 1) + ψ(n_y + 1)⟩ with nₓ the rows that are closer in x than the k-th
    neighbour is in x and y, by the largest difference along an axis. Every axis is divided by its
    standard deviation; a constant one says nothing. Ties (a grid, a clipped border) would break it,
    so each number is moved by some millionth of that deviation, always the same. It is 0 of
    `neighbours + 1` rows or fewer.
    """
    check_shape("x", x, "N P", mend="use x[:, None] for one number a row")
    check_shape("y", y, f"{len(x)} Q", mend="give one row for each row of x")
    check_count(1, neighbours=neighbours)
    count, noise = len(x), torch.Generator().manual_seed(0)
    if count <= neighbours + 1:
        return 0.0
    x, y = _standardised(x, noise), _standardised(y, noise)
    if 0 in (x.shape[1], y.shape[1]):
        return 0.0
    digammas, some = 0.0, max(_CHUNK // count, 1)
    for few_x, few_y in zip(torch.split(x, some), torch.split(y, some), strict=True):
        apart_x = torch.cdist(few_x, x, p=torch.inf)  # (some, N)
        apart_y = torch.cdist(few_y, y, p=torch.inf)
        both = torch.maximum(apart_x, apart_y)
        farthest = both.kthvalue(neighbours + 1, dim=1, keepdim=True).values  # a row is its own
        closer = torch.stack([apart_x < farthest, apart_y < farthest]).sum(dim=2)
        digammas += float(closer.double().digamma().sum())
    constant = torch.tensor([neighbours, count], dtype=torch.float64).digamma().sum()
    return float(constant) - digammas / count


def _standardised(rows: Float[Tensor, "N P"], noise: torch.Generator) -> Float64[Tensor, "N p"]:
    """Return the axes that vary, with a standard deviation of 1 and no ties."""
    rows = rows[:, rows.amin(dim=0) < rows.amax(dim=0)].double()  # a copy
    rows -= rows.mean(dim=0)
    rows /= rows.square().mean(dim=0).sqrt()
    rows += 1e-6 * torch.randn(rows.shape, generator=noise, dtype=rows.dtype).to(rows.device)
    return rows
