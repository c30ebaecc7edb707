"""Maxout networks against a loop straight from the equation."""

import itertools
from typing import Any

import pytest
import torch
from expect import refused
from nets import CLASSES, ODD, ONE, SHAPE, TWO, floats, maxout
from torch import Tensor

from glimpse.maxout import SIZES, Dense, MaxoutNetwork, MaxoutStage, Sizes, Stage

every_sizes = pytest.mark.parametrize("sizes", [ODD, TWO, ONE], ids=["odd", "two", "one"])


def _stage_by_loop(stage: MaxoutStage, image: Tensor) -> Tensor:
    """h_i(x) = max_j x . W_ij + b_ij, and of a window of these the largest."""
    maps, kernel, padding, pool, stride, pieces = stage.sizes
    channels, height, width = image.shape
    padded = torch.zeros(channels, height + 2 * padding, width + 2 * padding)
    padded[:, padding : padding + height, padding : padding + width] = image
    weight, bias = stage.filters.weight, stage.filters.bias
    assert bias is not None
    rows, columns = (side - kernel + 1 for side in padded.shape[1:])
    units = torch.zeros(maps, rows, columns)
    for unit, y, x in itertools.product(range(maps), range(rows), range(columns)):
        seen = padded[:, y : y + kernel, x : x + kernel]
        every = range(unit, pieces * maps, maps)
        units[unit, y, x] = max(float((seen * weight[at]).sum() + bias[at]) for at in every)
    out = torch.zeros(maps, (rows - pool) // stride + 1, (columns - pool) // stride + 1)
    for y, x in itertools.product(range(out.shape[1]), range(out.shape[2])):
        window = units[:, y * stride : y * stride + pool, x * stride : x * stride + pool]
        out[:, y, x] = window.flatten(1).amax(dim=1)
    return out


@every_sizes
@torch.no_grad()
def test_logits_are_those_of_the_equation(sizes: Sizes) -> None:
    network, images = maxout(sizes), floats(2)
    for image, logits in zip(images, network(images), strict=True):
        features = image
        for stage in network.convolutions:
            features = _stage_by_loop(stage, features)
        if network.dense is not None:
            units, pieces = network.dense.sizes
            filters = network.dense.filters
            linear = filters.weight.flatten(1) @ features.flatten() + filters.bias
            features = torch.stack(
                [linear[[unit + k * units for k in range(pieces)]].max() for unit in range(units)]
            )
        wanted = network.classifier(features.flatten())
        torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-5)


@every_sizes
def test_layers_name_how_many_maps_they_have(sizes: Sizes) -> None:
    network = maxout(sizes)
    modules = dict(network.named_modules())
    for name, maps in network.layers.items():
        seen: list[Tensor] = []
        hook = modules[name].register_forward_hook(lambda *given, s=seen: s.append(given[2]))
        network(floats(1))
        hook.remove()
        assert seen[0].shape[1] == maps
    assert list(network.layers) == [
        *(f"stages.{at}" for at in range(len(sizes.stages))),
        *(["dense"] if sizes.dense else []),
    ]
    assert (network.shape, network.sizes) == (SHAPE, sizes)


def test_the_sizes_called_paper_have_its_parameters() -> None:
    """On 32x32 pixels the last maps are 4x4: (side + 2 padding - kernel + 1 - pool) // 2 + 1."""
    network = MaxoutNetwork((3, 32, 32), 10, sizes="paper")
    stages = 2 * (96 * (3 * 8 * 8 + 1) + 192 * (96 * 8 * 8 + 1) + 192 * (192 * 5 * 5 + 1))
    answers = 500 * 5 * (192 * 4 * 4 + 1) + 10 * (500 + 1)
    assert sum(weights.numel() for weights in network.parameters()) == stages + answers
    assert network.layers == {"stages.0": 96, "stages.1": 192, "stages.2": 192, "dense": 500}


@pytest.mark.parametrize("side", [28, 32])
def test_the_sizes_called_small_see_digits_and_cifar(side: int) -> None:
    network = MaxoutNetwork((3, side, side), 10)
    assert network.sizes is SIZES["small"]
    assert network(torch.rand(2, 3, side, side)).shape == (2, 10)


def test_pixels_and_hidden_layers_are_dropped_in_training_only() -> None:
    images = floats(2) + 1
    for options in ({"dropout": 0.9}, {"input_dropout": 0.9}):
        network = MaxoutNetwork(
            SHAPE, CLASSES, sizes=ODD, **{"dropout": 0.0, "input_dropout": 0.0, **options}
        )
        first = network.eval()(images)
        torch.testing.assert_close(network(images), first)
        assert not torch.allclose(network.train()(images), first)
    without = MaxoutNetwork(SHAPE, CLASSES, sizes=ODD, dropout=0.0, input_dropout=0.0)
    torch.testing.assert_close(without.train()(images), without.eval()(images))


def test_the_gradient_reaches_every_weight() -> None:
    network = MaxoutNetwork(SHAPE, CLASSES, sizes=TWO, dropout=0.0, input_dropout=0.0)
    network(floats(8)).square().sum().backward()
    assert all(bool(weights.grad.any()) for weights in network.parameters())  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("shape", "sizes", "message"),
    [
        ((1, 3, 40), "small", "images must be large enough for 2 stages, got 3x40 pixels: choose"),
        ((1, 40, 3), "small", "images must be large enough for 2 stages, got 40x3 pixels: choose"),
        ((1, 28, 28), "huge", "`sizes` must be one of paper, small, got 'huge': choose one"),
        ((1, 28, 28), Sizes(()), "`stages` must be a whole number from 1, got 0: choose another"),
        ((1, 28, 28), Sizes((Stage(0, 3, 1, 2, 2),)), "`maps` must be a whole number from 1, got"),
        ((1, 28, 28), Sizes((Stage(2, 3, -1, 2, 2),)), "`padding` must be a whole number from 0"),
        ((1, 28, 28), Sizes((Stage(2, 3, 1, 2, 2),), Dense(4, 0)), "`pieces` must be a whole num"),
    ],
    ids=str,
)
def test_sizes_that_do_not_fit_are_refused(shape: Any, sizes: Any, message: str) -> None:
    with refused(message):
        MaxoutNetwork(shape, 10, sizes=sizes)
