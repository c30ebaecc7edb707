"""Coordinate attention."""

import torch
from attention import dense, drawn, logistic, normalised, parameters, some_maps
from expect import refused
from torch import Tensor

from glimpse.soft_baselines import CoordinateAttention


def _hidden(module: CoordinateAttention, means: list[float]) -> list[float]:
    values = dense(module.squeeze, means)
    values = [normalised(module.norm, unit, value) for unit, value in enumerate(values)]
    return [value * min(max(value + 3, 0.0), 6.0) / 6 for value in values]


def _by_hand(module: CoordinateAttention, image: Tensor) -> Tensor:
    channels, height, width = image.shape
    out = torch.empty_like(image)
    for y in range(height):
        row = [float(image[c, y].sum()) / width for c in range(channels)]
        of_row = dense(module.rows, _hidden(module, row))
        for x in range(width):
            column = [float(image[c, :, x].sum()) / height for c in range(channels)]
            of_column = dense(module.columns, _hidden(module, column))
            for c in range(channels):
                out[c, y, x] = image[c, y, x] * logistic(of_row[c]) * logistic(of_column[c])
    return out


def test_it_is_the_formula() -> None:
    module = drawn(CoordinateAttention(5, minimum=3))
    maps = some_maps(2, 5, 4, 3)
    wanted = torch.stack([_by_hand(module, image) for image in maps])
    torch.testing.assert_close(module(maps), wanted, rtol=1e-12, atol=1e-12)


def test_the_inner_width() -> None:
    widths = [CoordinateAttention(count).squeeze.out_channels for count in (1, 64, 256, 300, 512)]
    assert widths == [8, 8, 8, 9, 16]
    assert CoordinateAttention(64, reduction=4).squeeze.out_channels == 16
    assert parameters(CoordinateAttention(64)) == 1688


def test_rows_and_columns_change_roles_with_the_axes() -> None:
    module = drawn(CoordinateAttention(6))
    maps = some_maps(2, 6, 4, 7)
    other = drawn(CoordinateAttention(6))
    other.rows, other.columns = other.columns, other.rows
    turned = other(maps.transpose(2, 3)).transpose(2, 3)
    torch.testing.assert_close(module(maps), turned)
    assert not torch.allclose(module(maps), module(maps.transpose(2, 3)).transpose(2, 3))


def test_training_normalises_rows_and_columns_together() -> None:
    module = CoordinateAttention(6).double().train()
    maps = some_maps(2, 6, 4, 7)
    module(maps)
    means = torch.cat([maps.mean(dim=3), maps.mean(dim=2)], dim=2)  # (B, C, H + W)
    weights = module.squeeze.weight.flatten(1)
    pooled = torch.einsum("mc,bcl->mbl", weights, means).flatten(1).mean(dim=1)
    wanted = 0.1 * (pooled + module.squeeze.get_parameter("bias"))
    torch.testing.assert_close(module.norm.running_mean, wanted.detach())


def test_what_is_refused() -> None:
    with refused("`reduction` must be a whole number from 1, got 0"):
        CoordinateAttention(8, reduction=0)
    with refused("`minimum` must be a whole number from 1, got 0"):
        CoordinateAttention(8, minimum=0)
