import math
from itertools import product

import pytest
import torch
from attending import assert_equal, count, normal, varied
from expect import refused
from torch import Tensor

from glimpse.soft_baselines import DynamicConvolution


@torch.no_grad()
def _by_hand(module: DynamicConvolution, image: Tensor) -> Tensor:
    """Return what is made of an image (C, H, W), tap by tap."""
    channels, height, width = image.shape
    side, share = module.kernel, channels // module.groups
    places = list(product(range(height), range(width)))
    gated = torch.zeros_like(image)
    assert module.gate.bias is not None
    for y, x in places:
        both = module.gate.weight[:, :, 0, 0] @ image[:, y, x] + module.gate.bias
        for channel in range(channels):
            gate = 1 / (1 + math.exp(-both[channels + channel]))
            gated[channel, y, x] = both[channel] * gate
    made = torch.zeros_like(image)
    for (y, x), channel in product(places, range(channels)):
        first = channel // share * side**2
        logits = module.weigh.weight[first : first + side**2, :, 0, 0] @ gated[:, y, x]
        weights = logits.exp() / logits.exp().sum()
        for i, j in product(range(side), range(side)):
            to_y, to_x = y + i - side // 2, x + j - side // 2
            if 0 <= to_y < height and 0 <= to_x < width:
                made[channel, y, x] += weights[i * side + j] * gated[channel, to_y, to_x]
    assert module.project.bias is not None
    projected = torch.einsum("oc,cyx->oyx", module.project.weight[:, :, 0, 0], made)
    return projected + module.project.bias[:, None, None]


@pytest.mark.parametrize("size", [(3, 4), (1, 1), (4, 1)])
@pytest.mark.parametrize(("kernel", "groups"), [(3, 2), (1, 4), (5, 1)])
def test_it_is_the_equations(kernel: int, groups: int, size: tuple[int, int]) -> None:
    module = varied(DynamicConvolution(4, kernel=kernel, groups=groups))
    maps = normal(2, 4, *size)
    assert_equal(module(maps), torch.stack([_by_hand(module, image) for image in maps]))


def test_gradients_are_those_of_differences() -> None:
    module, maps = varied(DynamicConvolution(4, groups=2)), normal(1, 4, 2, 3).requires_grad_()

    def made(maps: Tensor, *weights: Tensor) -> Tensor:
        named = dict(zip([name for name, _ in module.named_parameters()], weights, strict=True))
        return torch.func.functional_call(module, named, (maps,))

    assert torch.autograd.gradcheck(made, (maps, *module.parameters()), fast_mode=True)


def test_weights_move_with_the_content() -> None:
    module = varied(DynamicConvolution(4, groups=2))
    patch, maps = normal(4, 3, 3), torch.zeros(2, 4, 9, 9, dtype=torch.float64)
    maps[0, :, 1:4, 1:4], maps[1, :, 5:8, 4:7] = patch, patch
    made = module(maps)
    assert_equal(made[0, :, 1:4, 1:4], made[1, :, 5:8, 4:7])


def test_equal_positions_inside_are_averaged_to_themselves() -> None:
    module = varied(DynamicConvolution(4, groups=2))
    made = module(normal(1, 4, 1, 1).expand(1, 4, 5, 5))[0]
    single = varied(DynamicConvolution(4, kernel=1, groups=2))
    single.load_state_dict({**module.state_dict(), "weigh.weight": single.weigh.weight})
    alone = single(normal(1, 4, 1, 1))[0]
    assert_equal(made[:, 1:4, 1:4], alone.expand(4, 3, 3))
    assert not torch.allclose(made[:, 0, 0], alone[:, 0, 0])


def test_it_has_three_projections() -> None:
    assert count(DynamicConvolution(32)) == (2 * 32**2 + 64) + 16 * 9 * 32 + (32**2 + 32)
    assert count(DynamicConvolution(8, kernel=5, groups=4)) == 144 + 4 * 25 * 8 + 72


def test_what_does_not_fit_is_refused() -> None:
    with refused("`kernel` must be odd, got 4: use 5"):
        DynamicConvolution(16, kernel=4)
    with refused("`groups` must be a divisor of 8, got 16: choose one of 1, 2, 4, 8"):
        DynamicConvolution(8)
