"""Softmax attention whose memory does not grow with the square of the number of positions.

Convention:
    Queries are `(..., D, N)`, keys `(..., D, K)`, values `(..., V, K)`: columns are positions, as
    in feature maps whose height and width were flattened. What comes before, images and heads, is
    the same in all. D and V may differ. Keys that lie on a map of Y rows and X columns are in
    reading order: key `i` lies in row `i // X`, column `i % X`.

Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, equation 1, with any scale.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

# How many weights are held at once where this file does the work: 8 MiB, which caches can hold.
WEIGHTS = 2**21


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
    the plain formula, which goes through memory for every step, and it can be differentiated
    twice. Elsewhere, and compiled, it is PyTorch's own function, which cannot.

    Args:
        queries: May have no features, D = 0, where only positions count.
        keys: Of K = Y * X positions, where rows and columns add something.
        values: Of the same positions.
        scale: Of the sum.
        down: What every query adds for a key of each of Y rows.
        across: What every query adds for a key of each of X columns; given with `down`.
    """
    leading = queries.shape[:-2]
    given = [scale * queries, keys, values]
    if down is not None and across is not None:
        given += [scale * down, scale * across]
    given = [x.flatten(0, -3).to(values.dtype) for x in given]
    ours = values.is_cpu and not torch.compiler.is_compiling()
    made = _in_pieces(given) if ours else _fused(*given)
    return torch.unflatten(made, 0, leading)


def _in_pieces(given: list[Tensor]) -> Tensor:
    """Serve several images at a time if the weights of one are few, else some queries of one."""
    queries, keys, values = given[:3]
    (images, _, positions), seen = queries.shape, keys.shape[2]
    if images * positions * seen <= WEIGHTS:
        return _plain(*given)
    together = max(1, WEIGHTS // (positions * seen))
    rows = max(1, WEIGHTS // (together * seen))
    at_work = torch.is_grad_enabled() and any(x.requires_grad for x in given)
    groups = zip(*(torch.split(x, together) for x in given), strict=True)
    if at_work:
        made = []
        for group in groups:
            served = [
                checkpoint(_plain, *piece, use_reentrant=False, preserve_rng_state=False)
                for piece in _rows(group, rows)
            ]
            made.append(torch.cat(served, dim=2))
        return torch.cat(made)
    out = values.new_empty(images, values.shape[1], positions)
    for group, whole in zip(groups, torch.split(out, together), strict=True):
        # Into one tensor: a list of small ones splits the memory.
        for piece, part in zip(_rows(group, rows), torch.split(whole, rows, dim=2), strict=True):
            part.copy_(_plain(*piece))
    return out


def _rows(group: tuple[Tensor, ...], rows: int) -> list[tuple[Tensor, ...]]:
    """Return the same for some queries at a time."""
    queries, keys, values, *added = group
    split = [torch.split(queries, rows, dim=2), *(torch.split(x, rows, dim=1) for x in added)]
    return [(query, keys, values, *rest) for query, *rest in zip(*split, strict=True)]


def _plain(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    down: Tensor | None = None,
    across: Tensor | None = None,
) -> Tensor:
    if down is None or across is None:
        logits = torch.bmm(queries.mT, keys)
    else:
        logits = (down[..., None] + across[:, :, None]).flatten(2)
        logits = logits.baddbmm_(queries.mT, keys)  # (B, N, K)
    return torch.bmm(values, logits.softmax(dim=-1).mT)  # (B, V, N)


def _fused(
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
        keys = torch.cat([keys, places.expand(len(keys), -1, -1)], dim=1)
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
    out = F.scaled_dot_product_attention(queries, keys, parts, scale=1.0)  # (B, heads, N, _)
    return out[..., : wanted // heads].mT.flatten(1, 2)  # (B, V, N)
