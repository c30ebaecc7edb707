"""Selective kernel."""

import math

import pytest
import torch
from attention import convolved, dense, drawn, normalised, parameters, some_maps
from expect import refused
from torch import Tensor

from glimpse.soft_baselines import SelectiveKernel


def _by_hand(module: SelectiveKernel, image: Tensor, groups: int) -> Tensor:
    """Return equations 1 to 6 of one image."""
    channels = len(image)
    features = []
    for number, branch in enumerate(module.branches):
        convolution, norm = branch.get_submodule("convolve"), branch.get_submodule("norm")
        feature = convolved(convolution, image, dilation=number + 1, groups=groups)
        for place in torch.cartesian_prod(*(torch.arange(size) for size in feature.shape)):
            c, y, x = place.tolist()
            feature[c, y, x] = max(0.0, normalised(norm, c, float(feature[c, y, x])))
        features.append(feature)
    fused = sum(features, torch.zeros_like(image))
    means = [float(channel.mean()) for channel in fused]
    hidden = [
        max(0.0, normalised(module.norm, unit, value))
        for unit, value in enumerate(dense(module.squeeze, means))
    ]
    logits = dense(module.select, hidden)
    out = torch.zeros_like(image)
    for c in range(channels):
        scores = [math.exp(logits[k * channels + c]) for k in range(len(features))]
        for score, feature in zip(scores, features, strict=True):
            out[c] += score / sum(scores) * feature[c]
    return out


@pytest.mark.parametrize(("branches", "groups"), [(1, 1), (2, 2), (3, 4)])
def test_it_is_the_formula(branches: int, groups: int) -> None:
    module = drawn(SelectiveKernel(4, branches=branches, groups=groups, minimum=3))
    maps = some_maps(2, 4, 5, 3)
    wanted = torch.stack([_by_hand(module, image, groups) for image in maps])
    torch.testing.assert_close(module(maps), wanted, rtol=1e-10, atol=1e-10)


def test_counts() -> None:
    assert parameters(SelectiveKernel(64, groups=2, minimum=8)) == 38_672
    for channels in (32, 1024):
        narrow = max(channels // 16, 32)
        branch = 9 * channels**2 // 32 + 2 * channels
        wanted = 2 * branch + 3 * channels * narrow + 2 * narrow
        assert parameters(SelectiveKernel(channels)) == wanted


def test_sknet_50_has_the_published_parameters() -> None:
    """ResNeXt-50 of 32 x 4 channels, every 3 x 3 convolution and its norm replaced."""
    total = 25_028_904
    with torch.device("meta"):
        for channels, blocks in [(128, 3), (256, 4), (512, 6), (1024, 3)]:
            replaced = 9 * channels**2 // 32 + 2 * channels
            total += blocks * (parameters(SelectiveKernel(channels)) - replaced)
    assert total == 27_479_784


def test_what_is_refused() -> None:
    with refused(
        "`groups` must be a divisor of 48, got 32: choose one of 1, 2, 3, 4, 6, 8, 12, 16, 24, 48"
    ):
        SelectiveKernel(48)
    with refused("`branches` must be a whole number from 1, got 0"):
        SelectiveKernel(32, branches=0)
    with refused("`maps` must be at least 2 images in training, got 1"):
        SelectiveKernel(32)(torch.zeros(1, 32, 4, 4))
