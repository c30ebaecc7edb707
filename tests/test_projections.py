import pytest
import torch
from attended import maps_of, randomised
from torch.nn import functional as F

from glimpse.soft_baselines.projections import normed_conv


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("slope", [0.0, 0.01])
def test_height_and_width_stay(kernel: int, slope: float) -> None:
    layer = randomised(normed_conv(3, 4, kernel, dilation=2, bias=True, slope=slope))
    conv, norm = layer.convolve, layer.norm
    maps = maps_of(2, 3, 5, 4)
    linear = F.conv2d(maps, conv.weight, conv.bias, padding=kernel - 1, dilation=2)
    spread = (norm.running_var + 1e-5).sqrt()[:, None, None]
    linear = (linear - norm.running_mean[:, None, None]) / spread
    linear = linear * norm.weight[:, None, None] + norm.bias[:, None, None]
    wanted = torch.where(linear > 0, linear, slope * linear)
    torch.testing.assert_close(layer(maps), wanted)


def test_a_bias_is_there_if_asked_for() -> None:
    assert list(normed_conv(2, 3).state_dict())[:2] == ["convolve.weight", "norm.weight"]
    assert list(normed_conv(2, 3, bias=True).state_dict())[:2] == [
        "convolve.weight",
        "convolve.bias",
    ]
