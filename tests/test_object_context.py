"""Object context against loops over the positions of a cell."""

import itertools
from typing import Any

import pytest
import torch
from attended import Largest, assert_compiles, count, linear, maps_of, normed, randomised, softmax
from expect import refused
from torch import Tensor, nn
from torch.nn import functional as F

from glimpse.soft_baselines import (
    AtrousObjectContext,
    BaseObjectContext,
    ObjectContext,
    PyramidObjectContext,
)
from glimpse.soft_baselines import softmax_attention as attention_file


def _leaky(vector: Tensor) -> Tensor:
    return torch.where(vector > 0, vector, 0.01 * vector)


def _layer(layer: nn.Sequential, vector: Tensor) -> Tensor:
    """Return what convolution, normalisation and leaky ReLU make of one position."""
    return _leaky(normed(layer[1], linear(layer[0], vector)))


def _fused(layer: nn.Sequential, parts: list[Tensor]) -> Tensor:
    maps = torch.cat(parts, dim=1)
    columns = [
        [_layer(layer, maps[b, :, y, x]) for x in range(maps.shape[3])]
        for b, y in itertools.product(range(len(maps)), range(maps.shape[2]))
    ]
    rows = torch.stack([torch.stack(column, dim=1) for column in columns])  # (B H, C, W)
    return rows.unflatten(0, (len(maps), -1)).transpose(1, 2)


def _cell(at: int, length: int, cells: int) -> int:
    """Return in which cell a place lies: the last takes what is left over."""
    step = length // cells
    return min(at // step, cells - 1) if step else cells - 1


def _by_loop(module: ObjectContext, maps: Tensor) -> Tensor:
    out = torch.zeros_like(maps)
    height, width = maps.shape[2:]
    places = list(itertools.product(range(height), range(width)))
    cell_of = {
        (y, x): (_cell(y, height, module.cells), _cell(x, width, module.cells)) for y, x in places
    }
    for image, result in zip(maps, out, strict=True):
        key = {at: _layer(module.key, image[(slice(None), *at)]) for at in places}
        value = {at: linear(module.value, image[(slice(None), *at)]) for at in places}
        for at in places:
            seen = [other for other in places if cell_of[other] == cell_of[at]]
            scale = len(key[at]) ** -0.5
            weights = softmax([scale * key[at] @ key[other] for other in seen])
            context = sum(w * value[other] for w, other in zip(weights, seen, strict=True))
            assert isinstance(context, Tensor)
            result[(slice(None), *at)] = linear(module.out, context)
    return out


@pytest.mark.parametrize("cells", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(1, 1), (6, 4), (5, 7), (2, 9)], ids=str)
@torch.no_grad()
def test_it_is_the_equation_within_every_cell(cells: int, size: tuple[int, int]) -> None:
    module, maps = randomised(ObjectContext(6, values=4, cells=cells)), maps_of(2, 6, *size)
    torch.testing.assert_close(module(maps), _by_loop(module, maps))


@pytest.mark.parametrize("size", [(1, 5), (4, 6), (5, 7)], ids=str)
@torch.no_grad()
def test_pooled_it_is_enlarged_again(size: tuple[int, int]) -> None:
    module, maps = randomised(ObjectContext(4, pool=2)), maps_of(1, 4, *size)
    halves = [max(1, side // 2) for side in size]
    pooled = torch.stack([
        maps[:, :, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].amax(dim=(2, 3))
        for y, x in itertools.product(*map(range, halves))
    ], dim=2).reshape(1, 4, *halves)  # fmt: skip
    small = _by_loop(module, pooled)
    out = module(maps)
    for y, x in itertools.product(*map(range, size)):
        wanted = torch.zeros(4, dtype=torch.float64)
        for v, u in itertools.product(*map(range, halves)):
            weight = 1.0
            for at, near, side, half in zip((y, x), (v, u), size, halves, strict=True):
                place = at * (half - 1) / (side - 1) if side > 1 else 0.0  # corners meet corners
                weight *= max(0.0, 1 - abs(place - near))
            wanted += weight * small[0, :, v, u]
        torch.testing.assert_close(out[0, :, y, x], wanted)


def test_queries_are_keys() -> None:
    """One shared layer: with keys of no length, every position gets the mean of the values."""
    module, maps = randomised(ObjectContext(6)), maps_of(2, 6, 3, 4)
    assert [name for name, _ in module.named_children()] == ["key", "value", "out"]
    module.key.norm.weight.data.zero_()
    module.key.norm.bias.data.zero_()
    mean = module.out(module.value(maps).mean(dim=(2, 3), keepdim=True))
    torch.testing.assert_close(module(maps), mean.expand_as(maps))


def test_there_is_no_context_at_first() -> None:
    assert not ObjectContext(6, cells=2)(maps_of(2, 6, 3, 4).float()).any()


@torch.no_grad()
def test_base_fuses_context_and_maps() -> None:
    module, maps = randomised(BaseObjectContext(6)), maps_of(2, 6, 3, 4)
    wanted = _fused(module.fuse, [_by_loop(module.context, maps), maps])
    torch.testing.assert_close(module(maps), wanted)


@torch.no_grad()
def test_pyramid_fuses_wide_maps_and_the_context_of_every_grid() -> None:
    module, maps = randomised(PyramidObjectContext(4)), maps_of(1, 4, 7, 6)
    contexts = []
    for cells, context in zip((1, 2, 3, 6), module.contexts, strict=True):
        assert isinstance(context, ObjectContext)
        assert context.cells == cells
        contexts.append(_by_loop(context, maps))
    widened = [_fused(layer, [maps]) for layer in module.widen]
    wanted = _fused(module.fuse, [*widened, *contexts])
    torch.testing.assert_close(module(maps), wanted)


@torch.no_grad()
def test_atrous_fuses_context_and_convolutions() -> None:
    module, maps = (
        randomised(AtrousObjectContext(5, width=4, dilations=(1, 2, 3))),
        maps_of(2, 5, 6, 5),
    )

    def convolved(layer: Any, dilation: int) -> Tensor:
        options = {"padding": dilation, "dilation": dilation}
        out = F.conv2d(maps, layer.convolve.weight, layer.convolve.bias, **options).movedim(1, -1)
        return _leaky(normed(layer.norm, out)).movedim(-1, 1)

    before, attention, after = module.context
    assert isinstance(attention, ObjectContext)
    assert (attention.pool, attention.key.convolve.out_channels, attention.cells) == (2, 2, 1)
    context = _fused(after, [attention(convolved(before, 1))])
    dilated = [convolved(layer, d) for d, layer in enumerate(module.dilated, start=1)]
    module.plain.convolve.bias = nn.Parameter(torch.zeros(4, dtype=torch.float64))
    plain = _fused(module.plain, [maps])
    module.fuse.convolve.bias = nn.Parameter(torch.zeros(8, dtype=torch.float64))
    wanted = _fused(module.fuse, [context, plain, *dilated])
    torch.testing.assert_close(module(maps), wanted)


def test_dilations_are_the_authors() -> None:
    dilated = AtrousObjectContext(5, width=4).dilated
    assert [layer.convolve.dilation for layer in dilated] == [(12, 12), (24, 24), (36, 36)]


def test_parameters_are_counted_as_in_the_authors_code() -> None:
    assert count(lambda: ObjectContext(32, keys=16, values=32)) == 2672
    assert count(lambda: BaseObjectContext(32)) == 3776
    assert count(lambda: PyramidObjectContext(16)) == 6096
    assert count(lambda: AtrousObjectContext(32, width=16)) == 22_744
    assert count(lambda: BaseObjectContext(512)) == 920_576
    assert count(lambda: AtrousObjectContext(2048)) == 20_288_896
    assert count(lambda: PyramidObjectContext(512)) == 5_782_016


every_module = pytest.mark.parametrize(
    "module",
    [
        ObjectContext(4, cells=2),
        ObjectContext(4, pool=2),
        BaseObjectContext(4),
        PyramidObjectContext(4, grids=(1, 2)),
        AtrousObjectContext(4, width=2, dilations=(1, 2)),
    ],
    ids=["cells", "pool", "base", "pyramid", "atrous"],
)


@every_module
def test_gradients_are_those_of_differences(module: nn.Module) -> None:
    maps = 0.3 * maps_of(1, 4, 3, 4)
    assert torch.autograd.gradcheck(randomised(module), maps.requires_grad_(), fast_mode=True)


@pytest.mark.plain
@every_module
def test_it_compiles(module: nn.Module) -> None:
    assert_compiles(randomised(module), 0.3 * maps_of(1, 4, 3, 4))


@pytest.mark.parametrize("kind", [BaseObjectContext, PyramidObjectContext, AtrousObjectContext])
def test_channels_are_dropped_in_training_only(kind: Any) -> None:
    module, maps = randomised(kind(8, dropout=0.5)), maps_of(2, 8, 4, 6)
    assert torch.equal(module(maps), module(maps))
    module.train()
    torch.manual_seed(0)
    assert not torch.equal(module(maps), module(maps))


@pytest.mark.parametrize("training", [True, False])
def test_no_tensor_has_a_number_for_every_pair(
    training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_file, "WEIGHTS", 4000)
    module, maps = BaseObjectContext(8), maps_of(1, 8, 20, 20).float()
    with Largest() as largest, torch.set_grad_enabled(training):
        out = module(maps)
        if training:
            out.sum().backward()
    assert largest.numbers <= 400 * 16 < 400**2  # [context, x]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (ObjectContext, {"channels": 1}, "`channels` must be a whole number from 2, got 1"),
        (ObjectContext, {"channels": 4, "keys": 0}, "`keys` must be a whole number from 1, got 0"),
        (ObjectContext, {"channels": 4, "cells": 0}, "`cells` must be a whole number from 1, got"),
        (ObjectContext, {"channels": 4, "pool": 0}, "`pool` must be a whole number from 1, got 0"),
        (BaseObjectContext, {"channels": 4, "values": 0}, "`values` must be a whole number from"),
        (PyramidObjectContext, {"channels": 4, "grids": ()}, "`grids` must be a whole number from"),
        (AtrousObjectContext, {"channels": 4, "width": 1}, "`width` must be a whole number from 2"),
        (AtrousObjectContext, {"channels": 0}, "`channels` must be a whole number from 1, got 0"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    kind: Any, options: dict[str, Any], message: str
) -> None:
    with refused(message):
        kind(**options)


@pytest.mark.plain
@pytest.mark.parametrize("shape", [(8, 5, 4), (2, 7, 5, 4)], ids=str)
def test_maps_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    for kind in (ObjectContext, BaseObjectContext, PyramidObjectContext, AtrousObjectContext):
        with refused(f"`maps` must be (B, 8, H, W), got {shape}: give the channels that it was"):
            kind(8)(torch.zeros(shape))
