"""What inserted modules do to images: ratios of norms, and windows, by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from glimpse.soft_baselines import After, SmallResNet, SoftConfig, observe
from glimpse.soft_baselines.attention_maps import _windows
from glimpse.soft_baselines.draw import DrawAttention
from glimpse.soft_baselines.spatial_transformer import SpatialTransformer, transform


class _Half(nn.Module):
    """Leaves the left column, halves the others."""

    def forward(self, maps: Tensor) -> Tensor:
        gain = torch.full((maps.shape[3],), 0.5)
        gain[0] = 1.0
        return maps * gain


def test_change_is_the_ratio_of_norms_over_channels() -> None:
    network = SmallResNet((2, 3, 4), 2, width=2)
    network.input = After(network.input, _Half())
    images = torch.rand(5, 2, 3, 4) + 0.1
    images[1, :, 2, 3] = 0
    (did,) = observe(network, images)
    assert did.place == "input"
    assert did.windows == {}
    assert torch.equal(did.given, images)
    wanted = torch.tensor([1, 0.5, 0.5, 0.5]).expand(5, 3, 4).clone()
    wanted[1, 2, 3] = math.nan
    torch.testing.assert_close(did.change, wanted, equal_nan=True)


def test_all_modules_are_told_in_order_and_nothing_is_left_behind() -> None:
    network = SoftConfig(attention="cbam", blocks=2).network((1, 12, 16), 3).train()
    told = observe(network, torch.rand(2, 1, 12, 16))
    assert [did.place for did in told] == list(network.branches)
    assert [tuple(did.change.shape) for did in told[::2]] == [(2, 12, 16), (2, 6, 8), (2, 3, 4)]
    assert not any(did.change.requires_grad for did in told)
    assert not any(module._forward_hooks for module in network.modules())
    assert observe(SoftConfig(attention="none").network((1, 8, 8), 3), torch.rand(1, 1, 8, 8)) == []


def _transformer(*numbers: float) -> SpatialTransformer:
    module = SpatialTransformer(1, kind="affine")
    module.locate.bias.data = torch.tensor(numbers, dtype=torch.float32)
    return module.requires_grad_(False)


def test_the_identity_reads_the_whole_image() -> None:
    (corners,) = _windows(_transformer(1, 0, 0, 0, 1, 0), torch.rand(1, 1, 5, 9)).values()
    wanted = torch.tensor([[[-1.0, -1], [1, -1], [1, 1], [-1, 1]]])
    torch.testing.assert_close(corners, wanted)


def test_a_transformer_reads_where_its_window_is() -> None:
    """Of 5 x 5 pixels the middle 3 x 3: its outer centres are half as far out, -0.5 and 0.5."""
    maps = torch.arange(25.0).view(1, 1, 5, 5)
    module = _transformer(0.5, 0, 0.5, 0, 0.5, 0)  # one pixel to the right of the middle
    (corners,) = _windows(module, maps).values()
    shown = transform(maps, module.matrix(maps))[0, 0]
    assert shown[0].tolist() == pytest.approx([7, 7.5, 8, 8.5, 9])  # pixels 2 to 4 of row 1
    left, right = corners[0, 0, 0], corners[0, 1, 0]
    # Half a result's pixel, a quarter of the image's, beyond the centres of pixels 2 and 4.
    assert float((left + 1) / 2 * 5) == pytest.approx(2.5 - 0.25)
    assert float((right + 1) / 2 * 5) == pytest.approx(4.5 + 0.25)
    assert float((corners[0, 0, 1] + 1) / 2 * 5) == pytest.approx(1.5 - 0.25)


def test_draw_reads_and_writes_rectangles() -> None:
    module = DrawAttention(1, size=3)
    for layer, x in ((module.read_at, 0.5), (module.write_at, -0.5)):
        nn.init.zeros_(layer.weight)
        # Centre (x, 0), narrow filters, a stride of half the map's longer side, over two filters.
        layer.bias.data = torch.tensor([x, 0.0, -6.0, math.log(0.5), 0.0])
    windows = _windows(module.requires_grad_(False), torch.rand(2, 1, 9, 9))
    assert list(windows) == ["reads", "writes"]
    # g = (9 + 1) / 2 * (0.5 + 1) = 7.5, stride 2: filters at 5.5, 7.5 and 9.5, the last of which
    # can only see pixel 9. Pixel p of 9 has its centre at (2 p - 1) / 9 - 1.
    left, right = ((2 * p - 1) / 9 - 1 for p in (5.5, 9))
    top, bottom = ((2 * p - 1) / 9 - 1 for p in (3, 7))
    wanted = torch.tensor([[left, top], [right, top], [right, bottom], [left, bottom]])
    torch.testing.assert_close(windows["reads"], wanted.expand(2, 4, 2), atol=1e-4, rtol=0)
    left, right = ((2 * p - 1) / 9 - 1 for p in (1, 4.5))
    assert windows["writes"][0, :, 0].tolist() == pytest.approx([left, right, right, left], abs=0.2)
