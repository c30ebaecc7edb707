"""Self-attention as its papers print it, tensors of all pairs of positions included.

Like `benchmarks/textbook.py`, of which this is a part.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


def attended(query: Tensor, key: Tensor, value: Tensor, scale: float = 1.0) -> Tensor:
    """Return sum_j softmax_j(scale q_i . k_j) v_j of columns, (..., D, N) and (..., V, N)."""
    weights = (scale * query.mT @ key).softmax(dim=-1)  # (..., N, N)
    return value @ weights.mT


def non_local(m: Any, x: Tensor) -> Tensor:
    theta, phi, g = (layer(x).flatten(2) for layer in (m.theta, m.phi, m.g))
    y = attended(theta, phi, g, theta.shape[1] ** -0.5).unflatten(2, x.shape[2:])
    return x + m.norm(m.out(y))


def criss_cross(m: Any, x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    for _ in range(m.rounds):
        query, key, value = m.query(x), m.key(x), m.value(x)
        # (B, W, D, H): columns of the maps, and (B, H, D, W): rows
        of_columns = [part.permute(0, 3, 1, 2) for part in (query, key, value)]
        of_rows = [part.permute(0, 2, 1, 3) for part in (query, key, value)]
        itself = torch.eye(height, dtype=torch.bool, device=x.device)
        column = (of_columns[0].mT @ of_columns[1]).masked_fill(itself, -torch.inf)  # (B, W, H, H)
        row = of_rows[0].mT @ of_rows[1]  # (B, H, W, W)
        weights = torch.cat([column.transpose(1, 2), row], dim=3).softmax(dim=3)
        down, across = weights.split([height, width], dim=3)
        from_column = of_columns[2] @ down.transpose(1, 2).mT  # (B, W, C, H)
        from_row = of_rows[2] @ across.mT  # (B, H, C, W)
        x = m.gamma * (from_column.permute(0, 2, 3, 1) + from_row.permute(0, 2, 1, 3)) + x
    return x


def position(m: Any, x: Tensor) -> Tensor:
    query, key, value = (layer(x).flatten(2) for layer in (m.query, m.key, m.value))
    return m.gamma * attended(query, key, value).unflatten(2, x.shape[2:]) + x


def channel(m: Any, x: Tensor) -> Tensor:
    flat = x.flatten(2)
    energy = flat @ flat.mT  # (B, C, C)
    weights = (energy.amax(dim=2, keepdim=True) - energy).softmax(dim=2)
    return m.gamma * (weights @ flat).unflatten(2, x.shape[2:]) + x


def object_context(m: Any, x: Tensor) -> Tensor:
    key, value = m.key(x), m.value(x)
    context = torch.empty_like(value)
    bounds = [
        [*range(0, m.cells * (side // m.cells), side // m.cells), side] for side in x.shape[2:]
    ]
    for top, bottom in zip(bounds[0], bounds[0][1:], strict=False):
        for left, right in zip(bounds[1], bounds[1][1:], strict=False):
            cell = (..., slice(top, bottom), slice(left, right))
            keys, values = key[cell].flatten(2), value[cell].flatten(2)
            made = attended(keys, keys, values, key.shape[1] ** -0.5)
            context[cell] = made.unflatten(2, (bottom - top, right - left))
    return m.out(context)


def base_object_context(m: Any, x: Tensor) -> Tensor:
    return m.dropout(m.fuse(torch.cat([object_context(m.context, x), x], dim=1)))


def pyramid_object_context(m: Any, x: Tensor) -> Tensor:
    contexts = [object_context(context, x) for context in m.contexts]
    widened = [widen(x) for widen in m.widen]
    return m.dropout(m.fuse(torch.cat([*widened, *contexts], dim=1)))


def interaction_aware(m: Any, x: Tensor) -> Tensor:
    flat = x.flatten(2)
    unit = flat / flat.norm(dim=1, keepdim=True)
    components = m.bases[0](unit.mT)  # (B, N, D)
    attention = (m.sharpness * (components**2).sum(dim=2)).softmax(dim=1)
    return (flat.shape[2] * attention[:, None] * flat).unflatten(2, x.shape[2:])


def multi_head(m: Any, x: Tensor) -> Tensor:
    parts = m.query_key_value(x).chunk(3, dim=1)
    query, key, value = (part.flatten(2).unflatten(1, (m.heads, -1)) for part in parts)
    made = attended(query, key, value, query.shape[2] ** -0.5)
    return m.project(made.flatten(1, 2).unflatten(2, x.shape[2:]))


def augmented(m: Any, x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    parts = m.query_key_value(x).split([m.key_width, m.key_width, m.value_width], dim=1)
    query, key, value = (part.unflatten(1, (m.heads, -1)) for part in parts)  # (B, M, D, H, W)

    def relative(embeddings: Tensor, side: int) -> Tensor:
        at = torch.arange(side, device=x.device)
        return embeddings[at - at[:, None] + len(embeddings) // 2]  # (query, key, D)

    logits = torch.einsum("bmdyx,bmdkl->bmyxkl", query, key)
    logits = (
        logits + torch.einsum("bmdyx,xld->bmyxl", query, relative(m.across, width))[..., None, :]
    )
    logits = logits + torch.einsum("bmdyx,ykd->bmyxk", query, relative(m.down, height))[..., None]
    weights = (
        (logits * query.shape[2] ** -0.5).flatten(4).softmax(dim=-1).unflatten(4, (height, -1))
    )
    made = torch.einsum("bmyxkl,bmdkl->bmdyx", weights, value)
    return torch.cat([m.convolve(x), m.project(made.flatten(1, 2))], dim=1)


def generalised(m: Any, x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    parts = (m.query(x), m.key(x), m.value(x))
    query, key, value = (part.unflatten(1, (m.heads, -1)) for part in parts)  # (B, M, D, H, W)

    def encoded(project: Any, side: int) -> Tensor:
        count = project.in_features // 2
        at = torch.arange(side, device=x.device, dtype=torch.float64)
        waves = 1000 ** (torch.arange(count, device=x.device, dtype=torch.float64) / count)
        angles = (at - at[:, None])[..., None] / waves
        codes = torch.cat([angles.sin(), angles.cos()], dim=-1).to(x.dtype)
        return (project(codes) / 2**0.5).unflatten(2, (m.heads, -1))  # (query, key, M, D)

    across, down = encoded(m.across, width), encoded(m.down, height)
    u, v = m.of_content[0, :, 0], m.of_offset[0, :, 0]  # (M, D)
    logits = torch.einsum("bmdyx,bmdkl->bmyxkl", query, key)
    logits = logits + torch.einsum("bmdyx,xlmd->bmyxl", query, across)[..., None, :]
    logits = logits + torch.einsum("bmdyx,ykmd->bmyxk", query, down)[..., None]
    logits = logits + torch.einsum("md,bmdkl->bmkl", u, key)[:, :, None, None]
    logits = logits + torch.einsum("md,xlmd->mxl", v, across)[:, None, :, None]
    logits = logits + torch.einsum("md,ykmd->myk", v, down)[:, :, None, :, None]
    weights = logits.flatten(4).softmax(dim=-1).unflatten(4, (height, -1))
    made = torch.einsum("bmyxkl,bmdkl->bmdyx", weights, value)
    return x + m.gamma * m.project(made.flatten(1, 2))


def compact(m: Any, x: Tensor) -> Tensor:
    parts = [layer(x).flatten(2) for layer in (m.theta, m.phi, m.value)]
    groups = zip(*(part.chunk(m.groups, dim=1) for part in parts), strict=True)
    made = []
    for theta, phi, value in groups:
        number = phi.flatten(1)[:, None] @ value.flatten(1)[:, :, None]  # (B, 1, 1)
        made.append(number * theta)
    return x + m.norm(m.project(torch.cat(made, dim=1).unflatten(2, x.shape[2:])))


PAIRS: Mapping[str, Callable[[Any, Tensor], Tensor]] = {
    "aa_conv": augmented,
    "base_object_context": base_object_context,
    "cgnl": compact,
    "criss_cross": criss_cross,
    "danet_channel": channel,
    "danet_position": position,
    "generalised": generalised,
    "interaction_aware": interaction_aware,
    "mhsa": multi_head,
    "non_local": non_local,
    "pyramid_object_context": pyramid_object_context,
}
