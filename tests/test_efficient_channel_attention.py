"""Efficient channel attention."""

import pytest
import torch
from attention import drawn, logistic, parameters, some_maps
from expect import refused

from glimpse.soft_baselines import EfficientChannelAttention


@pytest.mark.parametrize(("channels", "kernel"), [(5, 3), (4, 5), (1, 1), (2, 7)])
def test_it_is_the_formula(channels: int, kernel: int) -> None:
    module = drawn(EfficientChannelAttention(channels, kernel=kernel))
    weights = module.convolve.weight.flatten().tolist()
    maps = some_maps(2, channels, 3, 2)
    wanted = torch.empty_like(maps)
    for image, out in zip(maps, wanted, strict=True):
        means = [float(channel.sum()) / 6 for channel in image]
        for c in range(channels):
            seen = [c + k - kernel // 2 for k in range(kernel)]
            logit = sum(
                weight * means[at]
                for weight, at in zip(weights, seen, strict=True)
                if 0 <= at < channels
            )
            out[c] = image[c] * logistic(logit)
    torch.testing.assert_close(module(maps), wanted, rtol=1e-12, atol=1e-12)


def test_the_paper_s_kernel_grows_with_the_logarithm_of_the_channels() -> None:
    counts = [1, 2, 8, 16, 64, 127, 128, 256, 512, 1024, 2047, 2048]
    kernels = [parameters(EfficientChannelAttention(count)) for count in counts]
    assert kernels == [1, 1, 3, 3, 3, 3, 5, 5, 5, 5, 5, 7]


def test_the_released_network_s_kernels() -> None:
    counts = [256, 512, 1024, 2048]
    modules = [EfficientChannelAttention(count, variant="official") for count in counts]
    assert [parameters(module) for module in modules] == [3, 5, 5, 7]


def test_there_is_no_bias() -> None:
    module = EfficientChannelAttention(64)
    assert list(module.state_dict()) == ["convolve.weight"]
    maps = some_maps(1, 64, 2, 2).float()
    maps -= maps.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(module(maps), maps / 2)  # means of zero: a logit of zero


@pytest.mark.plain
def test_what_is_refused() -> None:
    with refused("`kernel` must be odd, got 4: a channel has as many neighbours on both sides"):
        EfficientChannelAttention(8, kernel=4)
    with refused("`kernel` must be a whole number from 1, got 0"):
        EfficientChannelAttention(8, kernel=0)
    with refused("`channels` must be a whole number from 1, got 0"):
        EfficientChannelAttention(0)
    with refused("`channels` of the official variant must be one of 256, 512, 1024, 2048, got 64"):
        EfficientChannelAttention(64, variant="official")
    with refused("`variant` must be one of official, paper, got 'best'"):
        EfficientChannelAttention(64, variant="best")  # type: ignore[arg-type]
