"""Convolutional block attention: the two gates, alone and in turn."""

from typing import Literal

import pytest
import torch
from attention import convolved, dense, drawn, logistic, normalised, parameters, some_maps
from expect import refused
from torch import Tensor, nn

from glimpse.soft_baselines import ChannelGate, ConvolutionalBlockAttention, SpatialGate

Variant = Literal["paper", "official"]
both = pytest.mark.parametrize("variant", ["paper", "official"])


def _channels_scaled(gate: ChannelGate, image: Tensor) -> Tensor:
    mean = [float(channel.sum()) / channel.numel() for channel in image]
    maximum = [float(channel.max()) for channel in image]
    logits = [0.0] * len(image)
    for pooled in (mean, maximum):
        hidden = [max(0.0, value) for value in dense(gate.squeeze, pooled)]
        logits = [a + b for a, b in zip(logits, dense(gate.excite, hidden), strict=True)]
    return torch.stack([c * logistic(logit) for c, logit in zip(image, logits, strict=True)])


def _places_scaled(gate: SpatialGate, image: Tensor, variant: Variant) -> Tensor:
    mean, maximum = image.sum(dim=0) / len(image), image.max(dim=0).values
    read = [mean, maximum] if variant == "paper" else [maximum, mean]
    logits = convolved(gate.convolve, torch.stack(read))[0]
    out = torch.empty_like(image)
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            logit = float(logits[y, x])
            if variant == "official":
                logit = normalised(gate.norm, 0, logit)
            out[:, y, x] = image[:, y, x] * logistic(logit)
    return out


def test_the_channel_gate_is_the_formula() -> None:
    gate, maps = drawn(ChannelGate(5, reduction=2)), some_maps(2, 5, 3, 4)
    wanted = torch.stack([_channels_scaled(gate, image) for image in maps])
    torch.testing.assert_close(gate(maps), wanted, rtol=1e-12, atol=1e-12)


@both
@pytest.mark.parametrize("kernel", [3, 7])
def test_the_spatial_gate_is_the_formula(variant: Variant, kernel: int) -> None:
    gate, maps = drawn(SpatialGate(3, kernel=kernel, variant=variant)), some_maps(2, 3, 4, 5)
    wanted = torch.stack([_places_scaled(gate, image, variant) for image in maps])
    torch.testing.assert_close(gate(maps), wanted, rtol=1e-12, atol=1e-12)


@both
def test_channels_come_first(variant: Variant) -> None:
    module = drawn(ConvolutionalBlockAttention(4, reduction=2, variant=variant))
    maps = some_maps(2, 4, 3, 5)
    wanted = torch.stack(
        [
            _places_scaled(module.spatial, _channels_scaled(module.channel, image), variant)
            for image in maps
        ]
    )
    torch.testing.assert_close(module(maps), wanted, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(module(maps), module.channel(module.spatial(maps)))


@both
def test_weights_of_zero_leave_a_quarter(variant: Variant) -> None:
    module = ConvolutionalBlockAttention(32, variant=variant).double()
    for weights in module.parameters():
        nn.init.zeros_(weights)
    maps = some_maps(2, 32, 4, 5)
    torch.testing.assert_close(module(maps), maps / 4)


def test_at_first_the_official_spatial_gate_is_a_half() -> None:
    maps = some_maps(2, 32, 4, 5).float()
    torch.testing.assert_close(SpatialGate(32)(maps), maps / 2)
    assert not torch.allclose(SpatialGate(32, variant="paper")(maps), maps / 2)


@pytest.mark.parametrize("channels", [64, 100])
def test_counts(channels: int) -> None:
    narrow = channels // 16
    layers = 2 * channels * narrow + channels + narrow
    assert parameters(ChannelGate(channels)) == layers
    assert parameters(ConvolutionalBlockAttention(channels)) == layers + 100
    assert parameters(ConvolutionalBlockAttention(channels, variant="paper")) == layers + 99
    assert parameters(SpatialGate(channels, kernel=3)) == 20


def test_statistics_move_as_the_authors_do() -> None:
    gate = SpatialGate(3).double()
    maps = some_maps(2, 3, 4, 5)
    logits = torch.stack(
        [convolved(gate.convolve, torch.stack([i.max(dim=0).values, i.mean(dim=0)])) for i in maps]
    )
    gate.train()(maps)
    torch.testing.assert_close(gate.norm.running_mean, 0.01 * logits.mean()[None])


@pytest.mark.plain
def test_what_is_refused() -> None:
    with refused("`reduction` must be in [1, 8], got 16"):
        ConvolutionalBlockAttention(8)
    with refused("`kernel` must be odd, got 4: the gate must fit the maps"):
        ConvolutionalBlockAttention(32, kernel=4)
    with refused("`variant` must be one of official, paper, got 'best'"):
        ConvolutionalBlockAttention(32, variant="best")  # type: ignore[arg-type]
    with refused("`maps` must be (B, 32, H, W), got (1, 31, 4, 4)"):
        SpatialGate(32)(torch.zeros(1, 31, 4, 4))
    with refused("`maps` must be more than one pixel in training, got (1, 32, 1, 1)"):
        SpatialGate(32)(torch.zeros(1, 32, 1, 1))
    assert SpatialGate(32, variant="paper")(torch.zeros(1, 32, 1, 1)).shape == (1, 32, 1, 1)
