"""Soft attention as its papers print it: what `benchmarks/soft_attention.py` compares with.

Every function takes a module of the table for its weights, and feature maps `(B, C, H, W)`, and
computes the equations one after the other, as anybody would write them down. Where they speak of
all pairs of positions there is a tensor of all pairs. Default options only.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from textbook_pairs import PAIRS
from torch import Tensor
from torch.nn import functional as F


def squeeze_excitation(m: Any, x: Tensor) -> Tensor:
    gain = torch.sigmoid(m.excite(F.relu(m.squeeze(x.mean((2, 3))))))
    return x * gain[:, :, None, None]


def efficient_channel(m: Any, x: Tensor) -> Tensor:
    gain = torch.sigmoid(m.convolve(x.mean((2, 3))[:, None]))[:, 0]
    return x * gain[:, :, None, None]


def convolutional_block(m: Any, x: Tensor) -> Tensor:
    mean, most = x.mean((2, 3)), x.amax((2, 3))
    said = [m.channel.excite(F.relu(m.channel.squeeze(pooled))) for pooled in (mean, most)]
    x = x * torch.sigmoid(said[0] + said[1])[:, :, None, None]
    pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1)
    return x * torch.sigmoid(m.spatial.norm(m.spatial.convolve(pooled)))


def bottleneck(m: Any, x: Tensor) -> Tensor:
    of_channels = m.channel(x.mean((2, 3)))[:, :, None, None]
    gain = torch.sigmoid(of_channels * m.spatial(x))
    return x + x * gain


def coordinate(m: Any, x: Tensor) -> Tensor:
    rows, columns = x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose(2, 3)
    both = F.hardswish(m.norm(m.squeeze(torch.cat([rows, columns], dim=2))))
    down, across = both.split([x.shape[2], x.shape[3]], dim=2)
    return x * torch.sigmoid(m.rows(down)) * torch.sigmoid(m.columns(across)).transpose(2, 3)


def global_context(m: Any, x: Tensor) -> Tensor:
    weights = m.score(x).flatten(2).softmax(dim=2)  # (B, 1, N)
    context = torch.einsum("bcn,bn->bc", x.flatten(2), weights[:, 0])
    return x + m.add(context[:, :, None, None])


def selective_kernel(m: Any, x: Tensor) -> Tensor:
    branches = torch.stack([branch(x) for branch in m.branches], dim=1)  # (B, K, C, H, W)
    hidden = F.relu(m.norm(m.squeeze(branches.sum(1).mean((2, 3)))))
    shares = m.select(hidden).unflatten(1, branches.shape[1:3]).softmax(dim=1)
    return (branches * shares[..., None, None]).sum(dim=1)


def residual_unit(m: Any, x: Tensor) -> Tensor:
    inside = F.relu(m.norm_2(m.conv_1(F.relu(m.norm_1(x)))))
    return x + m.conv_3(F.relu(m.norm_3(m.conv_2(inside))))


def residual_units(units: Any, x: Tensor) -> Tensor:
    for unit in units:
        x = residual_unit(unit, x)
    return x


def hourglass(m: Any, x: Tensor) -> Tensor:
    small = residual_units(m.down, F.max_pool2d(x, 3, 2, ceil_mode=True))
    if m.deeper is not None:
        small = hourglass(m.deeper, small) + residual_unit(m.skip, small)
    small = residual_units(m.up, small)
    return F.interpolate(small, x.shape[2:], mode="bilinear", align_corners=True)


def residual(m: Any, x: Tensor) -> Tensor:
    x = residual_units(m.before, x)
    mask = torch.sigmoid(m.mask(hourglass(m.hourglass, x)))
    return residual_units(m.after, (1 + mask) * residual_units(m.trunk, x))


def spatial_transformer(m: Any, x: Tensor) -> Tensor:
    theta = m.locate(F.relu(m.hidden(F.adaptive_avg_pool2d(x, 4).flatten(1))))
    grid = F.affine_grid(theta.view(-1, 2, 3), list(x.shape), align_corners=True)
    return F.grid_sample(x, grid, align_corners=True)


def draw(m: Any, x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    seen = F.adaptive_avg_pool2d(x, 4).flatten(1)
    number = torch.arange(1, m.size + 1, device=x.device)

    def bank(centre: Tensor, stride: Tensor, variance: Tensor, side: int) -> Tensor:
        means = (side + 1) / 2 * (centre[:, None] + 1) + (number - m.size / 2 - 0.5) * stride
        pixels = torch.arange(1, side + 1, device=x.device)
        near = torch.exp(-((pixels - means[:, :, None]) ** 2) / (2 * variance[:, None]))
        return near / near.sum(dim=2, keepdim=True)

    def window(told: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        stride = (max(height, width) - 1) / (m.size - 1) * torch.exp(told[:, 3:4])
        variance = torch.exp(told[:, 2:3])
        down = bank(told[:, 1], stride, variance, height)
        across = bank(told[:, 0], stride, variance, width)
        return down, across, torch.exp(told[:, 4])[:, None, None, None]

    down, across, gain = window(m.read_at(seen))
    patch = m.mix(gain * torch.einsum("bih,bchw,bjw->bcij", down, x, across))
    down, across, gain = window(m.write_at(seen))
    return x + torch.einsum("bih,bcij,bjw->bchw", down, patch, across) / gain


def feature_pyramid(m: Any, x: Tensor) -> Tensor:
    levels = [x]
    for down in m.down:
        levels.append(down(F.max_pool2d(levels[-1], 2, ceil_mode=True)))
    made = torch.zeros_like(levels[-1])
    for level, finer, coarse in zip(m.level, levels[-2::-1], levels[:0:-1], strict=True):
        made = F.interpolate(level(coarse) + made, finer.shape[2:], mode="bilinear")
    return made * m.master(x) + m.context(x.mean((2, 3), keepdim=True))


def sampled(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Return maps between pixels, the sum over the four around (zero outside)."""
    height, width = x.shape[2:]
    total = torch.zeros_like(x)
    for row in (down.floor(), down.floor() + 1):
        for column in (right.floor(), right.floor() + 1):
            weight = (1 - (down - row).abs()) * (1 - (right - column).abs())
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            at = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            index = at.long().flatten(1)[:, None].expand(-1, x.shape[1], -1)
            read = x.flatten(2).gather(2, index).unflatten(2, (height, width))
            total = total + (weight * inside)[:, None] * read
    return total


def deformable(m: Any, x: Tensor) -> Tensor:
    offsets = m.offset(x).unflatten(1, (-1, 2))  # (B, T, 2, H, W)
    rows = torch.arange(x.shape[2], device=x.device)[:, None]
    columns = torch.arange(x.shape[3], device=x.device)
    made = torch.zeros_like(x)
    for tap in range(m.kernel**2):
        i, j = divmod(tap, m.kernel)
        down = rows + i - m.kernel // 2 + offsets[:, tap, 0]
        right = columns + j - m.kernel // 2 + offsets[:, tap, 1]
        made = made + F.conv2d(sampled(x, down, right), m.convolve.weight[:, :, i, j, None, None])
    return made


def dynamic(m: Any, x: Tensor) -> Tensor:
    a, b = m.gate(x).chunk(2, dim=1)
    z = a * torch.sigmoid(b)
    weights = m.weigh(z).unflatten(1, (m.groups, -1)).softmax(dim=2)  # (B, G, T, H, W)
    wide = F.pad(z, [m.kernel // 2] * 4).unflatten(1, (m.groups, -1))
    made = torch.zeros_like(wide[..., : x.shape[2], : x.shape[3]])
    for tap in range(m.kernel**2):
        i, j = divmod(tap, m.kernel)
        shifted = wide[..., i : i + x.shape[2], j : j + x.shape[3]]
        made = made + weights[:, :, tap, None] * shifted
    return m.project(made.flatten(1, 2))


TEXTBOOK: Mapping[str, Callable[[Any, Tensor], Tensor]] = {
    "bam": bottleneck,
    "cbam": convolutional_block,
    "coordinate": coordinate,
    "deformable_conv": deformable,
    "draw": draw,
    "dynamic_conv": dynamic,
    "eca": efficient_channel,
    "fpa": feature_pyramid,
    "gc": global_context,
    "residual": residual,
    "se": squeeze_excitation,
    "sk": selective_kernel,
    "spatial_transformer": spatial_transformer,
    **PAIRS,
}
