"""Dual attention against loops over pairs of positions and of channels."""

import itertools

import pytest
import torch
from attended import Largest, assert_compiles, count, linear, maps_of, randomised, softmax
from expect import refused
from torch import Tensor, nn

from glimpse.soft_baselines import ChannelAttention, DANetHead, PositionAttention
from glimpse.soft_baselines import softmax_attention as attention_file

VARIANTS = ("paper", "official")
every_variant = pytest.mark.parametrize("variant", VARIANTS)


def _positions_by_loop(module: PositionAttention, maps: Tensor) -> Tensor:
    out = maps.clone()
    places = list(itertools.product(range(maps.shape[2]), range(maps.shape[3])))
    for image, result in zip(maps, out, strict=True):
        x = [image[:, y, z] for y, z in places]
        keys, values = [linear(module.key, v) for v in x], [linear(module.value, v) for v in x]
        for (y, z), vector in zip(places, x, strict=True):
            query = linear(module.query, vector)
            weights = softmax([query @ key for key in keys])
            for weight, value in zip(weights, values, strict=True):
                result[:, y, z] += module.gamma[0] * weight * value
    return out


def _channels_by_loop(module: ChannelAttention, maps: Tensor, sign: int) -> Tensor:
    out = maps.clone()
    for image, result in zip(maps, out, strict=True):
        for i, channel in enumerate(image):
            weights = softmax([sign * (channel * other).sum() for other in image])
            for weight, other in zip(weights, image, strict=True):
                result[i] += module.gamma[0] * weight * other
    return out


@torch.no_grad()
def test_position_attention_is_the_equation() -> None:
    module, maps = randomised(PositionAttention(9, reduction=4)), maps_of(2, 9, 3, 4)
    torch.testing.assert_close(module(maps), _positions_by_loop(module, maps))


@every_variant
@torch.no_grad()
def test_channel_attention_is_the_equation(variant: str) -> None:
    """The paper's softmax is of E, the authors' of max E - E: that of -E."""
    module, maps = randomised(ChannelAttention(5, variant=variant)), 0.3 * maps_of(2, 5, 3, 4)
    sign = 1 if variant == "paper" else -1
    torch.testing.assert_close(module(maps), _channels_by_loop(module, maps, sign))
    assert not torch.allclose(module(maps), _channels_by_loop(module, maps, -sign))


def test_the_default_is_that_of_the_authors() -> None:
    module, maps = randomised(ChannelAttention(5)), maps_of(2, 5, 3, 4)
    other = randomised(ChannelAttention(5, variant="official"))
    assert torch.equal(module(maps), other(maps))


@pytest.mark.parametrize("kind", [PositionAttention, ChannelAttention])
def test_both_are_the_identity_at_first(kind: type[nn.Module]) -> None:
    module, maps = kind(8), maps_of(2, 8, 5, 4).float()
    assert torch.equal(module(maps), maps)
    assert not torch.allclose(randomised(module)(maps.double()), maps.double())


@torch.no_grad()
def test_the_order_does_not_matter() -> None:
    """Of positions for both; of channels for channel attention."""
    maps, draw = maps_of(2, 8, 3, 4), torch.Generator().manual_seed(0)
    order = torch.randperm(12, generator=draw)
    for module in (randomised(PositionAttention(8)), randomised(ChannelAttention(8))):
        shuffled = maps.flatten(2)[..., order].reshape(maps.shape)
        wanted = module(maps).flatten(2)[..., order].reshape(maps.shape)
        torch.testing.assert_close(module(shuffled), wanted)
    order = torch.randperm(8, generator=draw)
    torch.testing.assert_close(module(maps[:, order]), module(maps)[:, order])


@pytest.mark.parametrize("kind", [PositionAttention, ChannelAttention])
def test_gradients_are_those_of_differences(kind: type[nn.Module]) -> None:
    module, maps = randomised(kind(8)), 0.3 * maps_of(2, 8, 2, 3)
    assert torch.autograd.gradcheck(module, maps.requires_grad_(), fast_mode=True)


@pytest.mark.parametrize("training", [True, False])
def test_no_tensor_has_a_number_for_every_pair(
    training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_file, "WEIGHTS", 4000)
    module, maps = PositionAttention(8), maps_of(1, 8, 20, 20).float()
    with Largest() as largest, torch.set_grad_enabled(training):
        out = module(maps)
        if training:
            out.sum().backward()
    assert largest.numbers <= 4000 < 400**2


@pytest.mark.plain
@pytest.mark.parametrize("kind", [PositionAttention, ChannelAttention])
def test_both_compile(kind: type[nn.Module]) -> None:
    assert_compiles(randomised(kind(8)), maps_of(2, 8, 3, 5))


def test_parameters_are_counted_as_in_the_authors_code() -> None:
    assert count(lambda: PositionAttention(64)) == 2 * (64 * 8 + 8) + 64 * 64 + 64 + 1 == 5201
    assert count(lambda: ChannelAttention(64)) == 1
    assert count(lambda: DANetHead(64, 7)) == 23_867
    assert count(lambda: DANetHead(2048, 19)) == 23_954_619


def test_the_head_says_what_the_sum_and_each_branch_say() -> None:
    head, maps = randomised(DANetHead(32, 3)), 0.3 * maps_of(2, 32, 5, 4)
    same = {"1.weight": maps_of(3, 8, 1, 1), "1.bias": torch.zeros(3)}
    for classifier in (head.classify_both, head.classify_position, head.classify_channel):
        classifier.load_state_dict(same)
    both, position, channel = head(maps)
    assert both.shape == (2, 3, 5, 4)
    torch.testing.assert_close(both, position + channel)
    assert not torch.allclose(position, channel)


def test_each_branch_has_its_own_attention() -> None:
    head, maps = randomised(DANetHead(32, 3)), 0.3 * maps_of(2, 32, 5, 4)
    before = head(maps)
    for branch, attention in (("position", head.position[1]), ("channel", head.channel[1])):
        gamma = attention.gamma.detach().clone()
        attention.gamma.data.zero_()
        after = head(maps)
        attention.gamma.data.copy_(gamma)
        changed = {
            name
            for name in before._fields
            if not torch.allclose(getattr(before, name), getattr(after, name))
        }
        assert changed == {"both", branch}


def test_the_head_passes_its_variant_on() -> None:
    maps = 0.3 * maps_of(2, 32, 5, 4)
    paper, official = (randomised(DANetHead(32, 3, variant=v))(maps) for v in VARIANTS)
    assert torch.equal(paper.position, official.position)
    assert not torch.allclose(paper.channel, official.channel)


def test_the_head_drops_channels_in_training_only() -> None:
    head, maps = randomised(DANetHead(32, 3, dropout=0.5)), maps_of(2, 32, 5, 4)
    assert torch.equal(head(maps).both, head(maps).both)
    head.train()
    torch.manual_seed(0)
    assert not torch.equal(head(maps).both, head(maps).both)


def test_what_does_not_fit_is_refused() -> None:
    with refused("`variant` must be one of official, paper, got 'mine': choose one"):
        ChannelAttention(8, variant="mine")
    with refused("`channels` must be a whole number from 1, got 0: choose another"):
        ChannelAttention(0)
    with refused("`reduction` must be in [1, 7], got 8: of 7 channels at least one must be left"):
        PositionAttention(7)
    with refused("`classes` must be a whole number from 1, got 0: choose another"):
        DANetHead(64, 0)
    with refused("`reduction` must be in [1, 8], got 9: of 8 channels at least one must be left"):
        DANetHead(8, 2, reduction=9)


@pytest.mark.plain
@pytest.mark.parametrize("shape", [(32, 5, 4), (2, 31, 5, 4)], ids=str)
def test_maps_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    for module in (PositionAttention(32), ChannelAttention(32), DANetHead(32, 3)):
        with refused(f"`maps` must be (B, 32, H, W), got {shape}: give the channels that it was"):
            module(torch.zeros(shape))
