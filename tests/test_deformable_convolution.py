from itertools import product

import pytest
import torch
from attending import assert_equal, count, normal, varied
from expect import refused
from torch import Tensor
from torch.nn import functional as F

from glimpse.soft_baselines import DeformableConvolution


@torch.no_grad()
def _by_hand(module: DeformableConvolution, image: Tensor) -> Tensor:
    """Return what is made of an image (C, H, W), pair by pair: each pixel q counts G(q, p)."""
    side, dilation = module.kernel, module.dilation
    offsets = F.conv2d(
        image[None], module.offset.weight, module.offset.bias,
        padding=dilation * (side // 2), dilation=dilation,
    )[0]  # fmt: skip
    _, height, width = image.shape
    made = torch.zeros_like(image)
    for y, x, i, j in product(range(height), range(width), range(side), range(side)):
        down, right = offsets[2 * (i * side + j) : 2 * (i * side + j) + 2, y, x].tolist()
        at_y = y + dilation * (i - side // 2) + down
        at_x = x + dilation * (j - side // 2) + right
        seen = torch.zeros_like(image[:, 0, 0])
        for to_y, to_x in product(range(height), range(width)):
            share = max(0.0, 1 - abs(to_y - at_y)) * max(0.0, 1 - abs(to_x - at_x))
            seen += share * image[:, to_y, to_x]
        made[:, y, x] += module.convolve.weight[:, :, i, j] @ seen
    return made


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (3, 2), (1, 1), (5, 1)])
@pytest.mark.parametrize("size", [(3, 4), (1, 1), (2, 1)])
def test_it_is_the_equations(kernel: int, dilation: int, size: tuple[int, int]) -> None:
    module = varied(DeformableConvolution(4, kernel=kernel, dilation=dilation))
    maps = normal(1, 4, *size)
    assert_equal(module(maps)[0], _by_hand(module, maps[0]))


@pytest.mark.parametrize("dilation", [1, 2])
def test_at_first_it_is_the_plain_convolution(dilation: int) -> None:
    module = DeformableConvolution(4, dilation=dilation).double()
    maps = normal(2, 4, 5, 7)
    assert_equal(module(maps), module.convolve(maps))


def test_whole_offsets_move_the_maps() -> None:
    module, maps = DeformableConvolution(4).double(), normal(1, 4, 5, 7)
    with torch.no_grad():
        assert module.offset.bias is not None
        module.offset.bias[0::2], module.offset.bias[1::2] = 1.0, -2.0  # one down, two to the left
    moved = F.pad(maps, (2, -2, -1, 1))
    assert torch.equal(moved[0, :, 2, 3], maps[0, :, 3, 1])
    assert_equal(module(maps)[..., 1:-1, 1:-1], module.convolve(moved)[..., 1:-1, 1:-1])


def test_gradients_are_those_of_differences() -> None:
    module, maps = varied(DeformableConvolution(2)), normal(1, 2, 3, 4).requires_grad_()

    def made(maps: Tensor, *weights: Tensor) -> Tensor:
        named = dict(zip([name for name, _ in module.named_parameters()], weights, strict=True))
        return torch.func.functional_call(module, named, (maps,))

    assert torch.autograd.gradcheck(made, (maps, *module.parameters()))


def test_half_precision_finds_the_pixels_of_large_maps() -> None:
    module = DeformableConvolution(1, kernel=1).bfloat16()
    with torch.no_grad():
        module.convolve.weight.fill_(1.0)
    maps = torch.arange(700).remainder(2).bfloat16().expand(1, 1, 2, 700)
    torch.testing.assert_close(module(maps), maps, rtol=0, atol=1e-3)


def test_it_has_a_second_convolution_for_the_offsets() -> None:
    assert count(DeformableConvolution(32)) == 9 * 32**2 + 18 * 9 * 32 + 18
    assert count(DeformableConvolution(8, kernel=1)) == 8**2 + 2 * 8 + 2


def test_what_does_not_fit_is_refused() -> None:
    with refused("`kernel` must be odd, got 2: use 3"):
        DeformableConvolution(4, kernel=2)
    with refused("`dilation` must be a whole number from 1, got 0: choose another"):
        DeformableConvolution(4, dilation=0)
