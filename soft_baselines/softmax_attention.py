"""Softmax attention whose memory does not grow with the square of the number of positions.

Convention:
    Queries are `(..., D, N)`, keys `(..., D, K)`, values `(..., V, K)`: columns are positions, as
    in feature maps whose height and width were flattened. What comes before, images and heads, is
    the same in all. D and V may differ. Keys that lie on a map of Y rows and X columns are in
    reading order: key `i` lies in row `i // X`, column `i % X`.

Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, equation 1, with any scale.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

# How many weights are held at once where this file does the work: 4 MiB, which caches can hold.
WEIGHTS = 2**20


def softmax_attention(
    queries: Float[Tensor, "*B D N"],
    keys: Float[Tensor, "*B D K"],
    values: Float[Tensor, "*B V K"],
    scale: float = 1.0,
    *,
    down: Float[Tensor, "*B N Y"] | None = None,
    across: Float[Tensor, "*B N X"] | None = None,
) -> Float[Tensor, "*B V N"]:
    """Return y_i = sum_j w_ij v_j, w_i = softmax_j(scale (q_i . k_j + down_i + across_i)).

    On a CPU some queries are served at a time, and in training their weights are forgotten and
    computed again; where all weights fit in one piece they are kept. That takes less time than
    the plain formula, which goes through memory for every step. It can be differentiated twice,
    then with all weights in memory. Elsewhere, and compiled, it is PyTorch's own function, which
    cannot.

    Args:
        queries: May have no features, D = 0, where only positions count.
        keys: Of K = Y * X positions, where rows and columns add something.
        values: Of the same positions.
        scale: Of the sum.
        down: What every query adds for a key of each of Y rows.
        across: What every query adds for a key of each of X columns; given with `down`.
    """
    leading = queries.shape[:-2]
    added = [] if down is None or across is None else [down, across]
    given = [x.flatten(0, -3).to(values.dtype) for x in (queries, keys, values, *added)]
    if not values.is_cpu or torch.compiler.is_compiling():
        made = _fused(scale, *given)
    elif len(given[0]) * queries.shape[-1] * keys.shape[-1] <= WEIGHTS:
        made = _plain(scale, *given)
    else:
        made = _InPieces.apply(scale, *given)  # type: ignore[no-untyped-call]
    return torch.unflatten(made, 0, leading)


def _logits(
    scale: float, queries: Tensor, keys: Tensor, down: Tensor | None, across: Tensor | None
) -> Tensor:
    queries = scale * queries
    if down is None or across is None:
        return torch.bmm(queries.mT, keys)
    sums = ((scale * down)[..., None] + (scale * across)[:, :, None]).flatten(2)
    return sums.baddbmm_(queries.mT, keys)  # (B, N, K)


def _plain(
    scale: float,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    down: Tensor | None = None,
    across: Tensor | None = None,
) -> Tensor:
    weights = _logits(scale, queries, keys, down, across).softmax(dim=-1)
    return torch.bmm(values, weights.mT)  # (B, V, N)


class _InPieces(torch.autograd.Function):
    """Serve several images at a time if the weights of one are few, else some queries of one.

    Results are written into tensors made beforehand: many small ones between the large ones of the
    weights would keep the memory of those from being used again.
    """

    @staticmethod
    def forward(ctx: Any, scale: float, *given: Tensor) -> Tensor:
        queries, _, values = given[:3]
        ctx.scale = scale
        ctx.save_for_backward(*given)
        out = values.new_empty(len(values), values.shape[1], queries.shape[2])
        for images, rows in _pieces(given):
            out[images, :, rows] = _plain(scale, *_piece(given, images, rows))
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        given, scale = ctx.saved_tensors, ctx.scale
        if torch.is_grad_enabled():  # whoever differentiates again pays for all weights
            # Through aliases: the same may be given twice, or one have come from another.
            given = [x.view_as(x) for x in given]
            wanted = [
                x for x, needed in zip(given, ctx.needs_input_grad[1:], strict=True) if needed
            ]
            found = iter(
                torch.autograd.grad(_plain(scale, *given), wanted, gradient, create_graph=True)
            )
            return tuple(next(found) if needed else None for needed in ctx.needs_input_grad)
        totals = [torch.zeros_like(x, memory_format=torch.contiguous_format) for x in given]
        for images, rows in _pieces(given):
            queries, keys, values, *added = _piece(given, images, rows)
            to_queries, to_keys, to_values, *to_added = _piece(totals, images, rows)
            said = gradient[images, :, rows]
            weights = _logits(scale, queries, keys, *(added or (None, None))).softmax(dim=-1)
            to_values.baddbmm_(said, weights)
            blamed = torch.bmm(said.mT, values)  # (B, N, K)
            blamed = torch._softmax_backward_data(blamed, weights, -1, weights.dtype)
            to_queries.copy_(torch.bmm(keys, blamed.mT).mul_(scale))
            to_keys.baddbmm_(queries, blamed, alpha=scale)
            if added:
                blamed = torch.unflatten(blamed, 2, (added[0].shape[2], -1))
                to_added[0].copy_(blamed.sum(dim=3).mul_(scale))
                to_added[1].copy_(blamed.sum(dim=2).mul_(scale))
        return None, *totals


def _pieces(given: Sequence[Tensor]) -> Iterator[tuple[slice, slice]]:
    """Return which images and which of their queries are served together."""
    (images, _, positions), seen = given[0].shape, given[1].shape[2]
    together = max(1, WEIGHTS // (positions * seen))
    count = max(1, WEIGHTS // (together * seen))
    for first in range(0, images, together):
        for at in range(0, positions, count):
            yield slice(first, first + together), slice(at, at + count)


def _piece(given: Sequence[Tensor], images: slice, rows: slice) -> list[Tensor]:
    queries, keys, values, *added = given
    chosen = [queries[images, :, rows], keys[images], values[images]]
    return [*chosen, *(x[images, rows] for x in added)]


def _fused(
    scale: float,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    down: Tensor | None = None,
    across: Tensor | None = None,
) -> Tensor:
    """Call PyTorch's function, in the one form of which its kernels on a CPU hold no N x K weights.

    That is features next to each other in memory, as many of a value as of a key. What rows and
    columns add is a product, too: of `(q, down, across)` and `(k, row of k as one of Y, column of k
    as one of X)`.
    """
    if down is not None and across is not None:
        height, width = down.shape[2], across.shape[2]
        rows = torch.eye(height, dtype=keys.dtype, device=keys.device)
        columns = torch.eye(width, dtype=keys.dtype, device=keys.device)
        places = torch.cat([rows.repeat_interleave(width, dim=1), columns.repeat(1, height)])
        queries = torch.cat([queries, down.mT, across.mT], dim=1)
        keys = torch.cat([keys, places.expand(keys.shape[0], -1, -1)], dim=1)
    features, wanted = keys.shape[1], values.shape[1]
    heads = wanted // features if features and wanted % features == 0 else 1
    length = max(features, wanted // heads)
    queries, keys = (
        F.pad(x.mT, (0, length - features)).contiguous()[:, None].expand(-1, heads, -1, -1)
        for x in (queries, keys)
    )
    parts = F.pad(
        torch.unflatten(values, 1, (heads, -1)).mT, (0, length - wanted // heads)
    ).contiguous()
    out = F.scaled_dot_product_attention(queries, keys, parts, scale=scale)  # (B, heads, N, _)
    return out[..., : wanted // heads].mT.flatten(1, 2)  # (B, V, N)
