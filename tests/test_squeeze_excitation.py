"""Squeeze-and-excitation against its equation, and the published number of parameters."""

import math

import pytest
import torch

from glimpse.soft_baselines import SqueezeExcitation


def _by_loop(block: SqueezeExcitation, maps: torch.Tensor) -> torch.Tensor:
    """Return s_c x_c, s = sigmoid(W_2 max(0, W_1 z + b_1) + b_2), number by number."""
    out = torch.empty_like(maps)
    for image, scaled in zip(maps, out, strict=True):
        z = [float(channel.sum()) / channel.numel() for channel in image]
        hidden = [
            max(0.0, sum(w * x for w, x in zip(row.tolist(), z, strict=True)) + float(b))
            for row, b in zip(block.squeeze.weight, block.squeeze.bias, strict=True)
        ]
        for at, (row, b) in enumerate(zip(block.excite.weight, block.excite.bias, strict=True)):
            score = sum(w * x for w, x in zip(row.tolist(), hidden, strict=True)) + float(b)
            scaled[at] = image[at] / (1 + math.exp(-score))
    return out


@torch.no_grad()
def test_channels_are_scaled_as_the_equation_says() -> None:
    torch.manual_seed(0)
    block = SqueezeExcitation(12, reduction=3).double()
    maps = torch.randn(3, 12, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(block(maps), _by_loop(block, maps), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("channels", "wanted"), [(64, 580), (256, 8464)])
def test_parameters_are_those_published(channels: int, wanted: int) -> None:
    """2 C^2 / r + C / r + C with r = 16: the layers have biases."""
    assert sum(weights.numel() for weights in SqueezeExcitation(channels).parameters()) == wanted


@pytest.mark.parametrize("reduction", [9, 80])
def test_a_reduction_that_leaves_no_unit_is_refused(reduction: int) -> None:
    with pytest.raises(
        ValueError, match=f"`reduction` must be in \\[1, 8\\], got {reduction}: of 8"
    ):
        SqueezeExcitation(8, reduction=reduction)
