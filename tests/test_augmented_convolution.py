import math
from copy import deepcopy

import pytest
import torch
from attending import assert_equal, count, normal, varied
from expect import refused
from torch import Tensor
from torch.nn import functional as F

from glimpse.soft_baselines import AugmentedConvolution

RESNETS = {
    50: (25_557_032, (4, 6, 3)),
    101: (44_549_160, (4, 23, 3)),
    152: (60_192_808, (8, 36, 3)),
}
AUGMENTED = {50: 25_781_872, 101: 45_359_208, 152: 61_558_496}


def _small(**options: int | float | tuple[int, int]) -> AugmentedConvolution:
    made = {"heads": 2, "key_share": 0.5, "value_share": 0.5, "key_least": 1, "size": (4, 5)}
    return varied(AugmentedConvolution(8, **{**made, **options}))


@torch.no_grad()
def _by_hand(module: AugmentedConvolution, image: Tensor) -> Tensor:
    """Return what attention makes of an image (C, H, W), pair by pair, from the equations."""
    heads, (_, height, width) = module.heads, image.shape
    key, value = module.key_width // heads, module.value_width // heads
    projected = torch.einsum("oc,cyx->oyx", module.query_key_value.weight[:, :, 0, 0], image)
    made = torch.zeros(module.value_width, height, width, dtype=torch.float64)
    places = [(y, x) for y in range(height) for x in range(width)]
    for head in range(heads):
        queries = projected[head * key : (head + 1) * key]
        keys = projected[module.key_width :][head * key : (head + 1) * key]
        values = projected[2 * module.key_width :][head * value : (head + 1) * value]
        for y, x in places:
            query, logits = queries[:, y, x], []
            for to_y, to_x in places:
                across = module.across[to_x - x + module.size[1] - 1]
                down = module.down[to_y - y + module.size[0] - 1]
                logits.append(float(query @ (keys[:, to_y, to_x] + across + down)) / math.sqrt(key))
            total = sum(math.exp(logit) for logit in logits)
            for (to_y, to_x), logit in zip(places, logits, strict=True):
                share = math.exp(logit) / total
                made[head * value : (head + 1) * value, y, x] += share * values[:, to_y, to_x]
    return torch.einsum("oc,cyx->oyx", module.project.weight[:, :, 0, 0], made)


@pytest.mark.parametrize("size", [(4, 5), (4, 2), (1, 5), (3, 3)])
def test_it_is_the_equations(size: tuple[int, int]) -> None:
    module, maps = _small(), normal(2, 8, *size)
    assert module.convolve is not None
    convolved = F.conv2d(maps, module.convolve.weight, padding=1)
    attended = torch.stack([_by_hand(module, image) for image in maps])
    assert_equal(module(maps), torch.cat([convolved, attended], dim=1))


def test_gradients_are_those_of_differences() -> None:
    module, maps = _small(size=(3, 3)), normal(1, 8, 2, 3).requires_grad_()

    def made(maps: Tensor, *weights: Tensor) -> Tensor:
        named = dict(zip([name for name, _ in module.named_parameters()], weights, strict=True))
        return torch.func.functional_call(module, named, (maps,))

    assert torch.autograd.gradcheck(made, (maps, *module.parameters()), fast_mode=True)


def test_larger_embeddings_hold_the_smaller() -> None:
    small, large, maps = _small(size=(3, 4)), _small(size=(6, 9)), normal(2, 8, 3, 4)
    with torch.no_grad():
        large.across.normal_()
        large.down.normal_()
        small.load_state_dict(
            {
                **large.state_dict(),
                "across": large.across[9 - 4 : 9 + 3],
                "down": large.down[6 - 3 : 6 + 2],
            }
        )
    assert_equal(small(maps), large(maps))


def test_mirrored_maps_need_mirrored_embeddings() -> None:
    module = _small(value_share=1.0, size=(4, 4))
    mirrored = deepcopy(module)
    maps = normal(2, 8, 3, 4)
    made = module(maps)
    assert not torch.allclose(module(maps.flip(3)).flip(3), made)
    with torch.no_grad():
        mirrored.across.copy_(module.across.flip(0))
    assert_equal(mirrored(maps.flip(3)).flip(3), made)
    with torch.no_grad():
        mirrored.across.copy_(module.down)
        mirrored.down.copy_(module.across)
    assert_equal(mirrored(maps.mT).mT, made)


def test_attention_may_be_all_of_it() -> None:
    module, maps = _small(value_share=1.0), normal(1, 8, 3, 2)
    assert module.convolve is None
    assert_equal(module(maps)[0], _by_hand(module, maps[0]))


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_residual_networks_have_the_published_size(depth: int) -> None:
    total, blocks = RESNETS[depth]
    for number, width, side in zip(blocks, (128, 256, 512), (28, 14, 7), strict=True):
        module = AugmentedConvolution(width, size=(side, side))
        total += number * (count(module) - 9 * width**2)
    assert total == AUGMENTED[depth]


def test_widths_are_those_of_the_paper() -> None:
    widths = [(m.key_width, m.value_width) for m in map(AugmentedConvolution, (8, 128, 512, 2048))]
    assert widths == [(160, 8), (160, 16), (160, 48), (408, 208)]


def test_embeddings_begin_with_a_spread_of_one_over_the_root_of_their_features() -> None:
    torch.manual_seed(0)
    module = AugmentedConvolution(32, size=(200, 300))
    for embeddings in (module.across, module.down):
        assert embeddings.std().item() == pytest.approx(20**-0.5, rel=0.05)


def test_what_does_not_fit_is_refused() -> None:
    with refused("`maps` must be at most 4 x 5, got 5 x 4: make the module with a larger `size`"):
        _small()(normal(1, 8, 5, 4))
    with refused(
        "`heads` and `value_share` must leave at most 6 channels to attention, got 8: "
        "choose fewer heads or a smaller share"
    ):
        AugmentedConvolution(6)
    with refused("`kernel` must be odd, got 4: use 5"):
        AugmentedConvolution(16, kernel=4)
    with refused("`size` must be a whole number from 1, got 0: choose another"):
        AugmentedConvolution(16, size=(3, 0))
    with refused("`value_share` must be in [0, 1], got -0.1: choose another"):
        AugmentedConvolution(16, value_share=-0.1)
