"""The spatial transformer: held to the sum over all pixels of the paper's equation 5."""

import math
from typing import Any

import pytest
import torch
from expect import generator, refused
from torch import Tensor
from torch.nn import functional as F

from glimpse.soft_baselines import SpatialTransformer
from glimpse.soft_baselines.spatial_transformer import transform

KINDS = {"affine": 6, "attention": 3, "projective": 8}


def _maps(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=generator(), dtype=torch.float64).to(dtype)


def _matrices(number: int, scale: float = 0.3) -> Tensor:
    noise = torch.randn(number, 3, 3, generator=generator(1), dtype=torch.float64)
    noise[:, 2, 2] = 0
    return torch.eye(3, dtype=torch.float64) + scale * noise


def _summed(maps: Tensor, matrix: Tensor, rows: int, columns: int) -> Tensor:
    """Return sum_nm U_nm max(0, 1 - |x_s - m|) max(0, 1 - |y_s - n|), behind the viewer zero."""
    batch, channels, height, width = maps.shape
    out = torch.zeros(batch, channels, rows, columns, dtype=torch.float64)
    for b in range(batch):
        for row in range(rows):
            for column in range(columns):
                x = 2 * column / (columns - 1) - 1 if columns > 1 else 0.0
                y = 2 * row / (rows - 1) - 1 if rows > 1 else 0.0
                a, c, depth = (matrix[b] @ torch.tensor([x, y, 1.0], dtype=torch.float64)).tolist()
                if depth <= 0:
                    continue
                across, down = (a / depth + 1) / 2 * (width - 1), (c / depth + 1) / 2 * (height - 1)
                for n in range(height):
                    for m in range(width):
                        share = max(0, 1 - abs(across - m)) * max(0, 1 - abs(down - n))
                        out[b, :, row, column] += share * maps[b, :, n, m]
    return out


@pytest.mark.parametrize("size", [(5, 7), (4, 4), (1, 6), (3, 1), (1, 1)], ids=str)
@pytest.mark.parametrize("scale", [0.1, 2.0])
def test_numbers_are_those_of_the_sum(size: tuple[int, int], scale: float) -> None:
    maps, matrix = _maps(3, 2, *size), _matrices(3, scale)
    torch.testing.assert_close(transform(maps, matrix), _summed(maps, matrix, *size))


@pytest.mark.parametrize("size", [(3, 8), (1, 1), (9, 1)], ids=str)
def test_the_result_may_be_of_another_size(size: tuple[int, int]) -> None:
    maps, matrix = _maps(2, 2, 6, 5), _matrices(2)
    torch.testing.assert_close(transform(maps, matrix, size), _summed(maps, matrix, *size))


def test_some_positions_were_outside_and_behind() -> None:
    """What the tests above compare are not only zeros, and not only what is seen."""
    matrix = _matrices(3, 2.0)
    corners = torch.tensor([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)], dtype=torch.float64)
    depth = (matrix @ corners.t())[:, 2]
    assert bool((depth < 0).any())
    assert bool((depth > 0).any())
    assert bool(transform(_maps(3, 2, 5, 7), matrix).any())


def test_it_is_affine_grid_and_grid_sample_with_aligned_corners() -> None:
    maps, matrix = _maps(2, 3, 6, 9), _matrices(2)
    matrix[:, 2] = torch.tensor([0.0, 0, 1])
    grid = {
        aligned: F.affine_grid(matrix[:, :2], [2, 3, 6, 9], align_corners=aligned)
        for aligned in (True, False)
    }
    got = transform(maps, matrix)
    torch.testing.assert_close(F.grid_sample(maps, grid[True], align_corners=True), got)
    torch.testing.assert_close(transform(maps, matrix[:, :2]), got)
    other = F.grid_sample(maps, grid[False], align_corners=False)
    assert (got - other).abs().max() > 0.1


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_it_starts_as_the_identity_to_the_last_bit(kind: str, dtype: torch.dtype) -> None:
    module = SpatialTransformer(3, kind=kind).to(dtype)
    for side in range(1, 40):
        maps = _maps(2, 3, side, 50 - side, dtype=dtype)
        assert torch.equal(module(maps), maps)


def test_the_common_way_is_not_the_identity() -> None:
    """Which is why positions are counted from whole pixels on."""
    maps = _maps(1, 1, 24, 24, dtype=torch.float32)
    grid = F.affine_grid(torch.eye(3)[None, :2], [1, 1, 24, 24], align_corners=True)
    assert not torch.equal(F.grid_sample(maps, grid, align_corners=True), maps)


def test_a_shift_brings_zeros_in() -> None:
    """By 2 / (W - 1), one pixel."""
    maps = _maps(1, 2, 4, 5)
    matrix = torch.eye(3, dtype=torch.float64)[None].clone()
    matrix[0, 0, 2] = 0.5
    wanted = torch.cat([maps[..., 1:], torch.zeros_like(maps[..., :1])], dim=3)
    torch.testing.assert_close(transform(maps, matrix), wanted)


def test_a_quarter_turn() -> None:
    maps = _maps(1, 2, 5, 5)
    sine, cosine = math.sin(math.pi / 2), math.cos(math.pi / 2)
    turn = torch.tensor([[[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]]).double()
    torch.testing.assert_close(transform(maps, turn), maps.rot90(1, (2, 3)))


def test_a_matrix_is_the_same_at_any_positive_length() -> None:
    maps, matrix = _maps(2, 2, 5, 6), _matrices(2)
    torch.testing.assert_close(transform(maps, 3 * matrix), transform(maps, matrix))
    assert not transform(maps, -matrix).any()


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_matrix_is_made_of_what_the_network_says(kind: str) -> None:
    module = SpatialTransformer(3, kind=kind).double()
    told = 1.0 + torch.arange(KINDS[kind], dtype=torch.float64)
    with torch.no_grad():
        module.locate.bias.copy_(told)
    wanted = {
        "affine": [[1, 2, 3], [4, 5, 6]],
        "attention": [[1, 0, 2], [0, 1, 3]],
        "projective": [[1, 2, 3], [4, 5, 6], [7, 8, 1]],
    }[kind]
    assert module.matrix(_maps(2, 3, 5, 5)).tolist() == [wanted, wanted]


@pytest.mark.parametrize("kind", list(KINDS))
def test_gradients_are_those_of_differences(kind: str) -> None:
    torch.manual_seed(0)
    module = SpatialTransformer(2, kind=kind, cells=2, hidden=4).double()
    torch.nn.init.normal_(module.locate.weight, std=0.3)
    maps = _maps(2, 2, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(module, maps)
    where = _matrices(2)[:, : 3 if kind == "projective" else 2].requires_grad_()
    assert torch.autograd.gradcheck(lambda matrix: transform(maps.detach(), matrix), where)


@pytest.mark.parametrize("kind", list(KINDS))
def test_number_of_weights(kind: str) -> None:
    module = SpatialTransformer(6, kind=kind, cells=3, hidden=5)
    number = sum(weights.numel() for weights in module.parameters())
    assert number == (6 * 9 + 1) * 5 + (5 + 1) * KINDS[kind]
    assert set(module.state_dict()) == {
        *("hidden.weight", "hidden.bias", "locate.weight", "locate.bias")
    }


def test_what_does_not_fit_is_refused() -> None:
    wrong: Any = (0, 3)
    with refused("`kind` must be one of affine, attention, projective, got 'spline': choose one"):
        SpatialTransformer(3, kind="spline")
    with refused("`cells` must be a whole number from 1, got 0: choose another"):
        SpatialTransformer(3, cells=0)
    with refused("`rows` must be a whole number from 1, got 0: choose another"):
        transform(torch.zeros(1, 1, 2, 2), torch.eye(3)[None], wrong)


@pytest.mark.plain
def test_another_shape_is_refused() -> None:
    with refused("`matrix` must be (1, 3, 3), got (1, 1, 3): give one for each map"):
        transform(torch.zeros(1, 1, 2, 2), torch.eye(3)[None, :1])
    with refused("`matrix` must be (2, 2, 3), got (1, 2, 3): give one for each map"):
        transform(torch.zeros(2, 1, 2, 2), torch.eye(3)[None, :2])
    with refused("`maps` must be (B, C, H, W), got (1, 2, 2): use maps[None] for one image"):
        transform(torch.zeros(1, 2, 2), torch.eye(3)[None])
    with refused("`matrix` must be (2, 3, 3), got (1, 3, 3): give one for each map"):
        transform(torch.zeros(2, 1, 2, 2), torch.eye(3)[None])
