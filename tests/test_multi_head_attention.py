import pytest
import torch
from attending import assert_equal, count, normal, varied
from expect import refused
from torch import nn

from glimpse.soft_baselines import MultiHeadAttention


@pytest.mark.parametrize("bias", [True, False])
def test_its_numbers_are_those_of_torch(bias: bool) -> None:
    module = varied(MultiHeadAttention(32, heads=4, bias=bias))
    other = nn.MultiheadAttention(32, 4, bias=bias, batch_first=True).double()
    with torch.no_grad():
        other.in_proj_weight.copy_(module.query_key_value.weight[:, :, 0, 0])
        other.out_proj.weight.copy_(module.project.weight[:, :, 0, 0])
        if bias:
            other.in_proj_bias.copy_(module.query_key_value.bias)
            other.out_proj.bias.copy_(module.project.bias)
    maps = normal(2, 32, 3, 5).requires_grad_()
    tokens = maps.flatten(2).mT
    wanted = other(tokens, tokens, tokens)[0].mT.reshape(2, 32, 3, 5)
    assert_equal(module(maps), wanted)
    of = [maps, module.query_key_value.weight, module.project.weight]
    like = [maps, other.in_proj_weight, other.out_proj.weight]
    got = torch.autograd.grad(module(maps).pow(3).sum(), of)
    wanted_gradients = torch.autograd.grad(wanted.pow(3).sum(), like)
    for one, two in zip(got, wanted_gradients, strict=True):
        torch.testing.assert_close(one.flatten(), two.flatten(), rtol=1e-9, atol=1e-9)


def test_every_head_averages_its_own_channels() -> None:
    module, maps = varied(MultiHeadAttention(6, heads=2)), normal(1, 6, 2, 3)
    tokens = maps[0].flatten(1).mT
    weight, bias = module.query_key_value.weight[:, :, 0, 0], module.query_key_value.bias
    assert bias is not None
    asked, keys, values = (tokens @ weight.mT + bias).split(6, dim=1)
    gathered = torch.zeros(6, 6, dtype=torch.float64)
    for channel in range(6):
        head = slice(channel // 3 * 3, channel // 3 * 3 + 3)
        for query in range(6):
            logits = [asked[query, head] @ keys[key, head] / 3**0.5 for key in range(6)]
            total = sum(logit.exp() for logit in logits)
            for key, logit in enumerate(logits):
                gathered[query, channel] += logit.exp() / total * values[key, channel]
    wanted = gathered @ module.project.weight[:, :, 0, 0].mT + module.project.bias
    assert_equal(module(maps)[0].flatten(1).mT, wanted)


def test_it_does_not_know_where_positions_lie() -> None:
    module, maps = varied(MultiHeadAttention(16)), normal(2, 16, 3, 4)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    moved = maps.flatten(2)[:, :, order].reshape(2, 16, 4, 3)
    assert_equal(module(moved).flatten(2), module(maps).flatten(2)[:, :, order])


def test_it_has_four_matrices() -> None:
    assert count(MultiHeadAttention(32)) == count(nn.MultiheadAttention(32, 8)) == 4224
    assert count(MultiHeadAttention(32, bias=False)) == 4 * 32**2


def test_heads_must_divide_the_channels() -> None:
    with refused("`heads` must be a divisor of 30, got 8: choose one of 1, 2, 3, 5, 6, 10, 15, 30"):
        MultiHeadAttention(30)
