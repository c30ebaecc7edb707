"""Layers as loops over positions, for one image: what tests hold modules to."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
State = Mapping[str, Any]


def normed(state: State, name: str, maps: Array) -> Array:
    """Return ReLU(BN(maps)) with the averages that were kept, for maps (C, H, W)."""
    mean, variance, gain, bias = (
        state[f"{name}.{part}"].numpy()[:, None, None]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return np.maximum(0, (maps - mean) / np.sqrt(variance + 1e-5) * gain + bias)


def convolved(state: State, name: str, maps: Array, stride: int = 1) -> Array:
    """Return the maps convolved, zero outside, as large as they were but for the stride."""
    weight = state[f"{name}.weight"].numpy()
    reach = weight.shape[2] // 2
    _, height, width = maps.shape
    out = np.zeros((len(weight), -(-height // stride), -(-width // stride)))
    for y in range(out.shape[1]):
        for x in range(out.shape[2]):
            for dy in range(-reach, reach + 1):
                for dx in range(-reach, reach + 1):
                    row, column = y * stride + dy, x * stride + dx
                    if 0 <= row < height and 0 <= column < width:
                        tap = weight[:, :, dy + reach, dx + reach]
                        out[:, y, x] += tap @ maps[:, row, column]
    return out


def pooled(maps: Array) -> Array:
    """Return maxima over rows 2y to 2y + 2 and columns 2x to 2x + 2, what there is of them."""
    height, width = (-(-(side - 3) // 2) + 1 for side in maps.shape[1:])
    return np.stack(
        [
            [maps[:, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3].max(axis=(1, 2)) for x in range(width)]
            for y in range(height)
        ]
    ).transpose(2, 0, 1)


def enlarged(maps: Array, height: int, width: int) -> Array:
    """Return the maps at height x width positions, corners on corners."""
    out = np.zeros((len(maps), height, width))
    for y in range(height):
        for x in range(width):
            at = (
                y * (maps.shape[1] - 1) / (height - 1) if height > 1 else 0.0,
                x * (maps.shape[2] - 1) / (width - 1) if width > 1 else 0.0,
            )
            for row in range(maps.shape[1]):
                for column in range(maps.shape[2]):
                    share = max(0, 1 - abs(at[0] - row)) * max(0, 1 - abs(at[1] - column))
                    out[:, y, x] += share * maps[:, row, column]
    return out
