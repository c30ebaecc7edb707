from itertools import product

import pytest
import torch
from attending import assert_equal, count, normal, varied
from expect import refused
from torch import Tensor, nn

from glimpse.soft_baselines import FeaturePyramidAttention, GlobalAttentionUpsample


def _convolved(layer: nn.Module, maps: Tensor, stride: int) -> Tensor:
    """Return a convolution of an image (C, H, W), tap by tap."""
    weight, (_, height, width) = layer.weight, maps.shape
    assert isinstance(weight, Tensor)
    half = weight.shape[-1] // 2
    size = (len(weight), -(-height // stride), -(-width // stride))
    made = torch.zeros(size, dtype=torch.float64)
    for y, x in product(range(size[1]), range(size[2])):
        for i, j in product(range(2 * half + 1), range(2 * half + 1)):
            at_y, at_x = stride * y + i - half, stride * x + j - half
            if 0 <= at_y < height and 0 <= at_x < width:
                made[:, y, x] += weight[:, :, i, j] @ maps[:, at_y, at_x]
    return made


def _spread(layer: nn.Module, maps: Tensor) -> Tensor:
    """Return a transposed convolution 4 x 4 of stride 2, its outermost ring cut."""
    weight, (_, height, width) = layer.weight, maps.shape
    assert isinstance(weight, Tensor)
    made = torch.zeros(weight.shape[1], 2 * height + 2, 2 * width + 2, dtype=torch.float64)
    for y, x, i, j in product(range(height), range(width), range(4), range(4)):
        made[:, 2 * y + i, 2 * x + j] += weight[:, :, i, j].mT @ maps[:, y, x]
    return made[:, 1:-1, 1:-1]


def _after(block: nn.Module, maps: Tensor, *, stride: int = 1, relu: bool = True) -> Tensor:
    """Return a block of convolution, batch normalisation of kept statistics and ReLU."""
    assert isinstance(block, nn.Sequential)
    layer, norm = block[0], block[1]
    enlarging = isinstance(layer, nn.ConvTranspose2d)
    made = _spread(layer, maps) if enlarging else _convolved(layer, maps, stride)
    shift, variance = norm.running_mean[:, None, None], norm.running_var[:, None, None]
    gain, bias = norm.weight[:, None, None], norm.bias[:, None, None]
    made = (made - shift) / (variance + 1e-5).sqrt() * gain + bias
    return made.clamp(min=0) if relu else made


def _pooled(maps: Tensor) -> Tensor:
    """Return the largest of every 2 x 2 pixels, of fewer at the last row and column."""
    rows = torch.stack([part.amax(1) for part in maps.split(2, dim=1)], dim=1)
    return torch.stack([part.amax(2) for part in rows.split(2, dim=2)], dim=2)


def _enlarged(maps: Tensor, height: int, width: int) -> Tensor:
    """Return maps of another size, between the centres of four pixels."""
    made = torch.zeros(len(maps), height, width, dtype=torch.float64)
    for y, x in product(range(height), range(width)):
        at_y = max((y + 0.5) * maps.shape[1] / height - 0.5, 0.0)
        at_x = max((x + 0.5) * maps.shape[2] / width - 0.5, 0.0)
        for i, j in product((0, 1), (0, 1)):
            to_y, to_x = (
                min(int(at_y) + i, maps.shape[1] - 1),
                min(int(at_x) + j, maps.shape[2] - 1),
            )
            share = abs(1 - i - at_y % 1) * abs(1 - j - at_x % 1)
            made[:, y, x] += share * maps[:, to_y, to_x]
    return made


@torch.no_grad()
def _by_hand(module: FeaturePyramidAttention, image: Tensor) -> Tensor:
    """Return what is made of an image (C, H, W), from figure 3."""
    pools = module.pyramid == "map"
    down7, down5, down3 = module.down
    level3, level5, level7 = module.level
    fine = _after(down7, _pooled(image) if pools else image, stride=1 if pools else 2)
    middle = _after(down5, _pooled(fine) if pools else fine, stride=1 if pools else 2)
    coarse = _after(down3, _pooled(middle) if pools else middle, stride=1 if pools else 2)

    def up(number: int, maps: Tensor, height: int, width: int) -> Tensor:
        if pools:
            return _enlarged(maps, height, width)
        return _after(module.up[number], maps)[:, :height, :width]

    made = _after(level5, middle) + up(0, _after(level3, coarse), *middle.shape[1:])
    made = _after(level7, fine) + up(1, made, *fine.shape[1:])
    mean = image.mean((1, 2), keepdim=True)
    return up(2, made, *image.shape[1:]) * _after(module.master, image) + _after(
        module.context, mean
    )


@pytest.mark.parametrize("size", [(8, 8), (5, 7), (1, 2)])
@pytest.mark.parametrize("pyramid", ["map", "maps"])
def test_it_is_the_figure(pyramid: str, size: tuple[int, int]) -> None:
    module = FeaturePyramidAttention(8, out_channels=3, pyramid=pyramid)  # type: ignore[arg-type]
    module, maps = varied(module), normal(1, 8, *size)
    made = module(maps)
    sides = [block[0].weight.shape[-1] for block in (*module.down, *module.level)]
    assert sides == [7, 5, 3, 3, 5, 7]
    assert_equal(made[0], _by_hand(module, maps[0]))


@pytest.mark.parametrize("pyramid", ["map", "maps"])
def test_gradients_are_those_of_differences(pyramid: str) -> None:
    module = varied(FeaturePyramidAttention(4, pyramid=pyramid))  # type: ignore[arg-type]
    names = [name for name, _ in module.named_parameters()]

    def made(maps: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(module, dict(zip(names, weights, strict=True)), (maps,))

    given = (normal(2, 4, 3, 5).requires_grad_(), *module.parameters())
    assert torch.autograd.gradcheck(made, given, fast_mode=True)


@pytest.mark.parametrize("pyramid", ["map", "maps"])
def test_every_parameter_learns(pyramid: str) -> None:
    torch.manual_seed(0)
    module = FeaturePyramidAttention(16, pyramid=pyramid).double()  # type: ignore[arg-type]
    module(normal(8, 16, 11, 13)).square().sum().backward()
    idle = [name for name, weights in module.named_parameters() if not weights.grad.any()]
    assert idle == []


def test_it_has_the_published_size() -> None:
    # Public code with one channel counts 231 751: 70 more, biases that normalisation takes away.
    assert count(FeaturePyramidAttention(2048, out_channels=32)) == 231_751 - (2 * 32 + 6)
    with torch.device("meta"):
        assert count(FeaturePyramidAttention(2048, pyramid="maps")) == 115_625_984
        assert count(FeaturePyramidAttention(2048)) == 2 * 2048 * 2050 + 49 * 2049 + 2 * 34 + 12


@torch.no_grad()
@pytest.mark.parametrize("gate", ["relu", "sigmoid"])
@pytest.mark.parametrize("sizes", [((5, 7), (3, 4)), ((4, 4), (4, 4)), ((3, 2), (4, 1))], ids=str)
def test_deep_maps_gate_shallow_ones(gate: str, sizes: tuple[tuple[int, int], ...]) -> None:
    module = GlobalAttentionUpsample(4, low_channels=3, gate=gate)  # type: ignore[arg-type]
    module, low, high = varied(module), normal(2, 3, *sizes[0]), normal(2, 4, *sizes[1])
    made = module(low, high)
    for image in range(2):
        context = _after(module.context, high[image].mean((1, 2), keepdim=True), relu=False)
        gain = context.clamp(min=0) if gate == "relu" else 1 / (1 + (-context).exp())
        detail = _after(module.detail, low[image], relu=False)
        assert_equal(made[image], gain * detail + _enlarged(high[image], *sizes[0]))


def test_the_gates_differ() -> None:
    low, high = normal(2, 4, 4, 4), normal(2, 4, 2, 2)
    paper, common = varied(GlobalAttentionUpsample(4)), GlobalAttentionUpsample(4, gate="sigmoid")
    common.double().eval().load_state_dict(paper.state_dict())
    assert not torch.allclose(paper(low, high), common(low, high))
    assert count(paper) == 4 * 4 + 9 * 4 * 4 + 2 * 2 * 4


@pytest.mark.parametrize("gate", ["relu", "sigmoid"])
def test_both_maps_get_their_gradients(gate: str) -> None:
    module = varied(GlobalAttentionUpsample(3, low_channels=2, gate=gate))  # type: ignore[arg-type]
    given = normal(2, 2, 4, 5).requires_grad_(), normal(2, 3, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(module, given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_upsampling_can_be_exported(dtype: torch.dtype) -> None:
    module = GlobalAttentionUpsample(4).to(dtype).eval()
    low, high = torch.randn(2, 4, 5, 3, dtype=dtype), torch.randn(2, 4, 3, 2, dtype=dtype)
    made = module(low, high)
    assert made.dtype == dtype
    torch.testing.assert_close(torch.export.export(module, (low, high)).module()(low, high), made)


def test_one_image_has_no_variance_to_train_on() -> None:
    message = (
        "must be at least 2 images in training, got 1: batch normalisation of one value is not"
    )
    with refused(f"`maps` {message}"):
        FeaturePyramidAttention(4)(torch.randn(1, 4, 6, 6))
    with refused(f"`high` {message}"):
        GlobalAttentionUpsample(4)(torch.randn(1, 4, 6, 6), torch.randn(1, 4, 3, 3))


def test_what_does_not_fit_is_refused() -> None:
    with refused("`channels` must be at least 4, got 3: a pyramid of maps has a quarter"):
        FeaturePyramidAttention(3, pyramid="maps")
    with refused("`out_channels` must be a whole number from 1, got 0: choose another"):
        FeaturePyramidAttention(3, out_channels=0)
    with refused("`low_channels` must be a whole number from 1, got 0: choose another"):
        GlobalAttentionUpsample(3, low_channels=0)
    module = GlobalAttentionUpsample(3, low_channels=2)
    mend = "give the channels that it was made for"
    with refused(f"`low` must be (B, 2, H, W), got (2, 3, 4, 4): {mend}"):
        module(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 2, 2))
    with refused(f"`high` must be (B, 3, H, W), got (2, 2, 2, 2): {mend}"):
        module(torch.zeros(2, 2, 4, 4), torch.zeros(2, 2, 2, 2))


@pytest.mark.plain
def test_other_batches_and_unknown_names_are_refused() -> None:
    with refused("`high` must be as many images as `low`, 2, got 1: give both maps of the same"):
        GlobalAttentionUpsample(3)(torch.zeros(2, 3, 4, 4), torch.zeros(1, 3, 2, 2))
    with refused("`pyramid` must be one of map, maps, got 'u': choose one"):
        FeaturePyramidAttention(4, pyramid="u")  # type: ignore[arg-type]
    with refused("`gate` must be one of relu, sigmoid, got 'tanh': choose one"):
        GlobalAttentionUpsample(4, gate="tanh")  # type: ignore[arg-type]
