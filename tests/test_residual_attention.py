"""The residual attention module: held to its definition, computed number by number."""

from typing import Any

import numpy as np
import pytest
import torch
from expect import generator, refused
from loops import Array, State, convolved, enlarged, normed, pooled
from torch import nn

from glimpse.soft_baselines import ResidualAttention
from glimpse.soft_baselines.residual_attention import ACTIVATIONS, ResidualUnit


def _unit(state: State, name: str, maps: Array) -> Array:
    inside = convolved(state, f"{name}.conv_1", normed(state, f"{name}.norm_1", maps))
    inside = convolved(state, f"{name}.conv_2", normed(state, f"{name}.norm_2", inside))
    inside = convolved(state, f"{name}.conv_3", normed(state, f"{name}.norm_3", inside))
    return maps + inside


def _branch(state: State, maps: Array) -> Array:
    """Return what a mask branch of depth 2 gives to its last two layers."""
    first = _unit(state, "hourglass.down.0", pooled(maps))
    bottom = _unit(state, "hourglass.deeper.down.0", pooled(first))
    bottom = _unit(state, "hourglass.deeper.up.0", bottom)
    up = enlarged(bottom, *first.shape[1:]) + _unit(state, "hourglass.skip", first)
    return enlarged(_unit(state, "hourglass.up.0", up), *maps.shape[1:])


def _attended(state: State, maps: Array, branch: Any) -> Array:
    maps = _unit(state, "before.0", maps)
    trunk = _unit(state, "trunk.1", _unit(state, "trunk.0", maps))
    mask = convolved(state, "mask.conv_1", normed(state, "mask.norm_1", branch(state, maps)))
    mask = convolved(state, "mask.conv_2", normed(state, "mask.norm_2", mask))
    return _unit(state, "after.0", (1 + 1 / (1 + np.exp(-mask))) * trunk)


def _module(**options: Any) -> ResidualAttention:
    """Return a module in eval mode no two of whose numbers are alike."""
    torch.manual_seed(0)
    module = ResidualAttention(8, **options).double().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
    return module


def _maps(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(), dtype=torch.float64)


def test_a_unit_that_changes_size_projects_what_is_active() -> None:
    torch.manual_seed(0)
    unit, maps = ResidualUnit(3, 5, width=2, stride=2).double().eval(), _maps(1, 3, 5, 6)
    state = {f"unit.{name}": weights for name, weights in unit.state_dict().items()}
    active = normed(state, "unit.norm_1", maps[0].numpy())
    inside = normed(state, "unit.norm_2", convolved(state, "unit.conv_1", active))
    inside = normed(state, "unit.norm_3", convolved(state, "unit.conv_2", inside, stride=2))
    wanted = convolved(state, "unit.conv_3", inside)
    wanted += convolved(state, "unit.project", active, stride=2)
    np.testing.assert_allclose(unit(maps)[0].detach().numpy(), wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [(7, 5), (6, 10)])
def test_numbers_are_those_of_the_definition(size: tuple[int, int]) -> None:
    module, maps = _module(), _maps(2, 8, *size)
    wanted = [_attended(module.state_dict(), image, _branch) for image in maps.numpy()]
    np.testing.assert_allclose(module(maps).detach().numpy(), wanted, rtol=1e-10, atol=1e-10)


def test_one_pixel_has_a_mask_of_its_own_numbers() -> None:
    module, maps = _module(), _maps(1, 8, 1, 1)
    wanted = [_attended(module.state_dict(), image, lambda _, same: same) for image in maps.numpy()]
    np.testing.assert_allclose(module(maps).detach().numpy(), wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("size", "levels"), [((1, 1), 0), ((1, 9), 0), ((2, 2), 1), ((3, 9), 1), ((4, 4), 2)]
)
def test_the_map_cuts_the_depth(size: tuple[int, int], levels: int) -> None:
    """A level that is not reached may hold anything."""
    module, maps = _module(depth=3), _maps(1, 8, *size)
    out = module(maps)
    level: Any = module.hourglass
    for _ in range(levels - 1):
        level = level.deeper
    beyond = [level.deeper, level.skip] if levels else [level]
    for part in beyond:
        for weights in part.parameters():
            nn.init.constant_(weights, torch.nan)
    assert torch.equal(module(maps), out)
    nn.init.constant_(level.up[0].conv_3.weight, torch.nan)
    assert bool(module(maps).isnan().any()) == (levels > 0)


@pytest.mark.parametrize(
    ("channels", "depth", "wanted"), [(256, 3, 976_896), (512, 2, 3_046_912), (1024, 1, 8_804_352)]
)
def test_number_of_weights(channels: int, depth: int, wanted: int) -> None:
    """Units of 17 C^2 / 16 + 3 C, and 2 C^2 + 4 C of the mask."""
    with torch.device("meta"):
        module = ResidualAttention(channels, depth=depth)
    assert sum(weights.numel() for weights in module.parameters()) == wanted
    unit = 17 * channels**2 // 16 + 3 * channels
    assert wanted == (3 + 3 * depth) * unit + 2 * channels**2 + 4 * channels


def test_units_are_as_many_as_asked() -> None:
    module = ResidualAttention(8, depth=1, before=2, trunk=3, mask=4, reduction=2)
    units = [part for part in module.modules() if isinstance(part, ResidualUnit)]
    assert len(units) == 2 + 3 + 2 * 4 + 2
    assert {unit.conv_2.in_channels for unit in units} == {4}


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activations(name: str) -> None:
    maps = _maps(2, 3, 4, 5)
    out = ACTIVATIONS[name](maps).numpy()
    for b, c, y, x in np.ndindex(*maps.shape):
        here = maps[b, c, y, x].item()
        plane = maps[b, c].numpy()
        deviation = np.sqrt(((plane - plane.mean()) ** 2).mean() + 1e-5)
        wanted = {
            "mixed": 1 / (1 + np.exp(-here)),
            "channel": here / np.sqrt((maps[b, :, y, x].numpy() ** 2).sum()),
            "spatial": 1 / (1 + np.exp(-(here - plane.mean()) / deviation)),
        }[name]
        assert out[b, c, y, x] == pytest.approx(wanted, rel=1e-12)


def test_activations_hold_what_they_restrict() -> None:
    maps = _maps(2, 3, 4, 5)
    moved = maps * torch.tensor([2.0, 3, 4])[:, None, None] + 5
    spatial, channel = ACTIVATIONS["spatial"], ACTIVATIONS["channel"]
    torch.testing.assert_close(spatial(moved), spatial(maps), rtol=0, atol=1e-5)
    torch.testing.assert_close(channel(7 * maps), channel(maps))
    assert bool((spatial(maps[..., :1, :1]) == 0.5).all())


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_gradients_are_those_of_differences(activation: str) -> None:
    module = _module(activation=activation)
    maps = _maps(1, 8, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(module, maps, fast_mode=True)


def test_a_mask_of_zero_leaves_the_trunk() -> None:
    module, maps = _module(activation="channel"), _maps(1, 8, 6, 5)
    nn.init.zeros_(module.mask[-1].weight)
    assert torch.equal(module(maps), module.after(module.trunk(module.before(maps))))


def test_weights_are_in_the_order_of_computation() -> None:
    parts = [name.split(".")[0] for name, _ in ResidualAttention(8).named_parameters()]
    assert list(dict.fromkeys(parts)) == ["before", "trunk", "hourglass", "mask", "after"]
    inside = [name.split(".")[0] for name, _ in ResidualAttention(8).hourglass.named_parameters()]
    assert list(dict.fromkeys(inside)) == ["down", "deeper", "skip", "up"]


def test_what_does_not_fit_is_refused() -> None:
    with refused("`depth` must be a whole number from 1, got 0: choose another"):
        ResidualAttention(8, depth=0)
    with refused("`activation` must be one of channel, mixed, spatial, got 'softmax': choose one"):
        ResidualAttention(8, activation="softmax")
    with refused("`reduction` must be in [1, 3], got 4: of 3 channels at least one must be left"):
        ResidualAttention(3)
