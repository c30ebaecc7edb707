"""Global context."""

import math
from typing import Literal

import pytest
import torch
from attention import dense, drawn, logistic, parameters, some_maps
from expect import refused
from torch import Tensor, nn

from glimpse.soft_baselines import GlobalContext

Pooling = Literal["attention", "average"]
Fusion = Literal["add", "multiply", "both"]
poolings = pytest.mark.parametrize("pooling", ["attention", "average"])
fusions = pytest.mark.parametrize("fusion", ["add", "multiply", "both"])


def _context(module: GlobalContext, image: Tensor) -> list[float]:
    pixels = image.flatten(1).T.tolist()
    weights = [1 / len(pixels)] * len(pixels)
    if module.score is not None:
        scores = [math.exp(dense(module.score, pixel)[0]) for pixel in pixels]
        weights = [score / sum(scores) for score in scores]
    return [
        sum(weight * pixel[c] for weight, pixel in zip(weights, pixels, strict=True))
        for c in range(len(image))
    ]


def _transformed(layers: nn.Sequential, context: list[float]) -> list[float]:
    first, norm, last = (layers.get_submodule(name) for name in ("squeeze", "norm", "excite"))
    values = dense(first, context)
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values) + 1e-5)
    gains, offsets = (norm.get_parameter(name).flatten().tolist() for name in ("weight", "bias"))
    hidden = [
        max(0.0, (value - mean) / deviation * gain + offset)
        for value, gain, offset in zip(values, gains, offsets, strict=True)
    ]
    return dense(last, hidden)


@poolings
@fusions
def test_it_is_the_formula(pooling: Pooling, fusion: Fusion) -> None:
    module = drawn(GlobalContext(6, reduction=2, pooling=pooling, fusion=fusion))
    maps = some_maps(2, 6, 3, 4)
    wanted = maps.clone()
    for image, out in zip(maps, wanted, strict=True):
        context = _context(module, image)
        if module.multiply is not None:
            for c, logit in enumerate(_transformed(module.multiply, context)):
                out[c] = out[c] * logistic(logit)
        if module.add is not None:
            for c, offset in enumerate(_transformed(module.add, context)):
                out[c] = out[c] + offset
    torch.testing.assert_close(module(maps), wanted, rtol=1e-12, atol=1e-12)
    assert (module.multiply is None, module.add is None) == (fusion == "add", fusion == "multiply")


@poolings
def test_at_first_adding_changes_nothing(pooling: Pooling) -> None:
    maps = some_maps(2, 32, 4, 5).float()
    assert torch.equal(GlobalContext(32, pooling=pooling)(maps), maps)
    for fusion in ("multiply", "both"):
        halved = GlobalContext(32, pooling=pooling, fusion=fusion)(maps)  # type: ignore[arg-type]
        assert torch.equal(halved, maps / 2)


@pytest.mark.parametrize(
    ("pooling", "fusion", "count"),
    [
        ("attention", "add", 653),
        ("attention", "multiply", 653),
        ("attention", "both", 1241),
        ("average", "add", 588),
        ("average", "multiply", 588),
        ("average", "both", 1176),
    ],
)
def test_counts(pooling: Pooling, fusion: Fusion, count: int) -> None:
    assert parameters(GlobalContext(64, pooling=pooling, fusion=fusion)) == count


def test_counts_of_the_paper_s_block() -> None:
    assert parameters(GlobalContext(1024)) == 133_313


@poolings
def test_where_the_pixels_lie_does_not_matter(pooling: Pooling) -> None:
    module, maps = drawn(GlobalContext(16, reduction=4, pooling=pooling)), some_maps(2, 16, 3, 4)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    moved = maps.flatten(2)[..., order].unflatten(2, (3, 4))
    wanted = module(maps).flatten(2)[..., order].unflatten(2, (3, 4))
    torch.testing.assert_close(module(moved), wanted)


@poolings
def test_the_context_does_not_grow_with_the_maps(pooling: Pooling) -> None:
    module, maps = drawn(GlobalContext(16, reduction=4, pooling=pooling)), some_maps(2, 16, 3, 4)
    torch.testing.assert_close(module(maps.repeat(1, 1, 2, 3)), module(maps).repeat(1, 1, 2, 3))


@pytest.mark.plain
def test_what_is_refused() -> None:
    with refused("`reduction` must be in [1, 8], got 16"):
        GlobalContext(8)
    with refused("`pooling` must be one of attention, average, got 'max'"):
        GlobalContext(32, pooling="max")  # type: ignore[arg-type]
    with refused("`fusion` must be one of add, both, multiply, got 'mix'"):
        GlobalContext(32, fusion="mix")  # type: ignore[arg-type]
