"""Bottleneck attention: two branches at once."""

from typing import Literal

import pytest
import torch
from attention import convolved, dense, drawn, logistic, normalised, parameters, some_maps
from expect import refused
from torch import Tensor, nn

from glimpse.soft_baselines import BottleneckAttention

Variant = Literal["paper", "official"]
both = pytest.mark.parametrize("variant", ["paper", "official"])


def _of_channels(branch: nn.Sequential, image: Tensor, variant: Variant) -> list[float]:
    values = dense(branch.get_submodule("squeeze"), [float(channel.mean()) for channel in image])
    norm = branch.get_submodule("norm")
    if variant == "official":
        values = [normalised(norm, unit, value) for unit, value in enumerate(values)]
    values = dense(branch.get_submodule("excite"), [max(0.0, value) for value in values])
    if variant == "paper":
        values = [normalised(norm, unit, value) for unit, value in enumerate(values)]
    return values


def _of_places(branch: nn.Sequential, image: Tensor, dilation: int, variant: Variant) -> Tensor:
    for name in ("squeeze", "first", "second"):
        image = convolved(
            branch.get_submodule(name), image, dilation=1 if name == "squeeze" else dilation
        )
        for c, channel in enumerate(image):
            if variant == "official":
                norm = branch.get_submodule(f"{name}_norm")
                channel.copy_(channel.clone().apply_(lambda v, c=c, n=norm: normalised(n, c, v)))
        image = image.clamp(min=0)
    logits = convolved(branch.get_submodule("project"), image)[0]
    if variant == "paper":
        logits.apply_(lambda value: normalised(branch.get_submodule("norm"), 0, value))
    return logits


@both
@pytest.mark.parametrize("combine", [None, "sum", "product"])
def test_it_is_the_formula(variant: Variant, combine: Literal["sum", "product"] | None) -> None:
    module = drawn(
        BottleneckAttention(4, reduction=2, dilation=2, variant=variant, combine=combine)
    )
    adds = combine == "sum" or (combine is None and variant == "paper")
    maps = some_maps(2, 4, 3, 5)
    wanted = torch.empty_like(maps)
    for image, out in zip(maps, wanted, strict=True):
        channels = _of_channels(module.channel, image, variant)
        places = _of_places(module.spatial, image, 2, variant)
        for c, of_channel in enumerate(channels):
            for y in range(3):
                for x in range(5):
                    place = float(places[y, x])
                    logit = of_channel + place if adds else of_channel * place
                    out[c, y, x] = image[c, y, x] * (1 + logistic(logit))
    torch.testing.assert_close(module(maps), wanted, rtol=1e-10, atol=1e-10)


def test_a_dilation_of_four_reaches_eight_pixels() -> None:
    module = drawn(BottleneckAttention(32, reduction=2))
    maps = some_maps(1, 32, 1, 24).requires_grad_()
    (gradient,) = torch.autograd.grad(module.spatial(maps)[0, 0, 0, 12], maps)
    assert gradient[0, :, 0].abs().sum(dim=0).nonzero().flatten().tolist() == [4, 8, 12, 16, 20]


@pytest.mark.parametrize(
    ("channels", "count"), [(64, 1173), (256, 17_361), (512, 68_513), (1024, 272_193)]
)
def test_counts(channels: int, count: int) -> None:
    assert parameters(BottleneckAttention(channels)) == count
    narrow = channels // 16
    moved = 2 * channels - 2 * narrow + 2 - 6 * narrow
    assert parameters(BottleneckAttention(channels, variant="paper")) == count + moved


def test_gains_lie_between_one_and_two() -> None:
    module, maps = drawn(BottleneckAttention(16, variant="paper")), some_maps(2, 16, 4, 7)
    gains = (module(maps) / maps).detach()
    assert 1 < float(gains.min()) < 1.5 < float(gains.max()) < 2


@pytest.mark.plain
def test_what_is_refused() -> None:
    with refused("`reduction` must be in [1, 8], got 16"):
        BottleneckAttention(8)
    with refused("`dilation` must be a whole number from 1, got 0"):
        BottleneckAttention(32, dilation=0)
    with refused("`variant` must be one of official, paper, got 'best'"):
        BottleneckAttention(32, variant="best")  # type: ignore[arg-type]
    with refused("`combine` must be one of product, sum, got 'mean'"):
        BottleneckAttention(32, combine="mean")  # type: ignore[arg-type]
    with refused("`maps` must be at least 2 images in training, got 1"):
        BottleneckAttention(32)(torch.zeros(1, 32, 4, 4))
