"""The residual attention networks: how large they are and what they work on."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from expect import generator, refused
from torch.utils.flop_counter import FlopCounterMode

from glimpse.soft_baselines import ResidualAttentionNetwork, ran_56, ran_92
from glimpse.soft_baselines.residual_attention import ResidualAttention


@pytest.mark.parametrize(
    ("made", "weights", "averages", "multiplications"),
    [
        (ran_56, 31_810_728, 31_883_432, 6.271e9),
        (ran_92, 52_466_344, 52_599_976, 10.534e9),
    ],
    ids=["56", "92"],
)
def test_size_and_cost(
    made: Callable[[], torch.nn.Module], weights: int, averages: int, multiplications: float
) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = made().eval()
        network(torch.empty(1, 3, 224, 224))
    assert sum(weight.numel() for weight in network.parameters()) == weights
    kept = sum(buffer.numel() for buffer in network.buffers() if buffer.ndim)
    assert weights + kept == averages
    assert counter.get_total_flops() / 2 == pytest.approx(multiplications, rel=1e-4)


def _small(**options: Any) -> ResidualAttentionNetwork:
    torch.manual_seed(0)
    return ResidualAttentionNetwork(5, channels=1, width=4, **options)


def test_masks_pool_less_in_every_stage() -> None:
    network, pooled = _small(modules=(1, 2, 3)), []
    for module in network.stages:
        if isinstance(module, ResidualAttention):
            names = {name.rpartition(".")[0] for name, _ in module.named_modules()}
            deepest = max(name.count("deeper") for name in names)
            pooled.append((module.channels, deepest + 1))
    assert pooled == [(16, 3), (32, 2), (32, 2), (64, 1), (64, 1), (64, 1)]


@pytest.mark.parametrize("size", [(33, 20), (3, 3)])
def test_images_of_any_size_get_answers(size: tuple[int, int]) -> None:
    images = torch.randn(3, 1, *size, generator=generator())
    network = _small(activation="spatial").eval()
    answers = network(images)
    assert answers.shape == (3, 5)
    torch.testing.assert_close(network(images[1:2]), answers[1:2])


def test_every_weight_learns() -> None:
    network = _small()
    network(torch.randn(4, 1, 96, 64, generator=generator())).square().sum().backward()
    lost = [
        name
        for name, weights in network.named_parameters()
        if weights.grad is None or not weights.grad.any()
    ]
    assert lost == []


def test_what_does_not_fit_is_refused() -> None:
    with refused("`modules` must be three numbers, got (1, 1): one for a stage"):
        ResidualAttentionNetwork(modules=(1, 1))
    with refused("`modules` must be a whole number from 1, got 0: choose another"):
        _small(modules=(1, 0, 1))
    with refused("`images` must be (B, 1, H, W), got (2, 3, 9, 9): give the channels that it was"):
        _small()(torch.zeros(2, 3, 9, 9))
    with refused("`images` must be at least 3 x 3, got (2, 9): enlarge them"):
        _small()(torch.zeros(1, 1, 2, 9))
