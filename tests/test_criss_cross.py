"""Criss-cross attention against a loop over the positions in line."""

import itertools
from typing import Any

import pytest
import torch
from attended import Largest, assert_compiles, count, linear, maps_of, randomised, softmax
from expect import refused
from torch import Tensor

from glimpse.soft_baselines import CrissCross, RCCAHead


def _round_by_loop(module: CrissCross, maps: Tensor) -> Tensor:
    out = maps.clone()
    places = list(itertools.product(range(maps.shape[2]), range(maps.shape[3])))
    for image, result in zip(maps, out, strict=True):
        for y, x in places:
            seen = [image[:, v, u] for v, u in places if v == y or u == x]
            assert len(seen) == maps.shape[2] + maps.shape[3] - 1
            query = linear(module.query, image[:, y, x])
            weights = softmax([query @ linear(module.key, vector) for vector in seen])
            for weight, vector in zip(weights, seen, strict=True):
                result[:, y, x] += module.gamma[0] * weight * linear(module.value, vector)
    return out


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 4), (4, 2)], ids=str)
@torch.no_grad()
def test_it_is_the_equation_round_after_round(size: tuple[int, int]) -> None:
    wanted = maps = maps_of(2, 6, *size)
    for rounds in (1, 2, 3):
        module = randomised(CrissCross(6, reduction=3, rounds=rounds))
        wanted = _round_by_loop(module, wanted)
        torch.testing.assert_close(module(maps), wanted)


@pytest.mark.parametrize("rounds", [1, 2])
def test_one_round_reaches_what_is_in_line_and_two_reach_all(rounds: int) -> None:
    module, (height, width) = randomised(CrissCross(8, rounds=rounds)), (5, 7)
    for y, x in ((0, 0), (2, 3), (4, 1)):
        maps = 0.1 * maps_of(1, 8, height, width)
        (gradient,) = torch.autograd.grad(module(maps.requires_grad_())[0, :, y, x].sum(), maps)
        reached = gradient.abs().sum(dim=1)[0] > 0
        if rounds == 1:
            assert int(reached.sum()) == height + width - 1
            assert bool(reached[y].all())
            assert bool(reached[:, x].all())
        else:
            assert bool(reached.all())


def test_two_rounds_are_the_default_and_share_their_weights() -> None:
    maps = maps_of(2, 8, 3, 4)
    one, two, default = (
        randomised(CrissCross(8, **options)) for options in ({"rounds": 1}, {"rounds": 2}, {})
    )
    torch.testing.assert_close(default(maps), one(one(maps)))
    assert torch.equal(default(maps), two(maps))
    assert list(one.state_dict()) == list(two.state_dict())


def test_it_is_the_identity_at_first() -> None:
    module, maps = CrissCross(8), maps_of(2, 8, 5, 4).float()
    assert torch.equal(module(maps), maps)
    assert not torch.allclose(randomised(module)(maps.double()), maps.double())


@torch.no_grad()
def test_rows_and_columns_may_be_swapped() -> None:
    module, maps = randomised(CrissCross(8)), maps_of(2, 8, 3, 5)
    torch.testing.assert_close(module(maps.mT), module(maps).mT)


def test_gradients_are_those_of_differences() -> None:
    module, maps = randomised(CrissCross(8)), 0.3 * maps_of(2, 8, 2, 3)
    assert torch.autograd.gradcheck(module, maps.requires_grad_(), fast_mode=True)


def test_no_tensor_has_a_number_for_every_pair() -> None:
    module, maps = CrissCross(8), maps_of(1, 8, 20, 20).float()
    with Largest() as largest:
        module(maps).sum().backward()
    assert largest.numbers == 400 * 40


@pytest.mark.plain
def test_it_compiles() -> None:
    assert_compiles(randomised(CrissCross(8)), maps_of(2, 8, 3, 5))


def test_parameters_are_counted_as_in_the_authors_code() -> None:
    assert count(lambda: CrissCross(64)) == 2 * (64 * 8 + 8) + 64 * 64 + 64 + 1 == 5201
    assert count(lambda: RCCAHead(2048, 19)) == 23_934_100
    assert count(lambda: RCCAHead(2048, 19, rounds=1)) == 23_934_100


def test_the_head_sees_the_features_beside_their_context() -> None:
    head, maps = randomised(RCCAHead(32, 3, width=5)), maps_of(2, 32, 4, 6)
    fused: list[Tensor] = []
    handle = head.fuse.register_forward_pre_hook(lambda _, given: fused.append(given[0]))
    assert head(maps).shape == (2, 3, 4, 6)
    handle.remove()
    features, context = fused[0].split([32, 8], dim=1)
    assert torch.equal(features, maps)
    attended = head.attention(head.before(maps))
    torch.testing.assert_close(context, head.after(attended))
    assert bool((context < 0).any())  # the ReLU leaks


def test_the_head_drops_channels_in_training_only() -> None:
    head, maps = randomised(RCCAHead(32, 3, width=8, dropout=0.5)), maps_of(2, 32, 4, 6)
    assert torch.equal(head(maps), head(maps))
    head.train()
    torch.manual_seed(0)
    assert not torch.equal(head(maps), head(maps))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (CrissCross, {"channels": 7}, "`reduction` must be in [1, 7], got 8: of 7 channels"),
        (CrissCross, {"channels": 8, "rounds": 0}, "`rounds` must be a whole number from 1, got 0"),
        (RCCAHead, {"channels": 64, "classes": 0}, "`classes` must be a whole number from 1"),
        (
            RCCAHead,
            {"channels": 64, "classes": 2, "width": 0},
            "`width` must be a whole number from 1, got 0: choose another",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(
    kind: Any, options: dict[str, Any], message: str
) -> None:
    with refused(message):
        kind(**options)


@pytest.mark.plain
@pytest.mark.parametrize("shape", [(32, 5, 4), (2, 31, 5, 4)], ids=str)
def test_maps_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    for module in (CrissCross(32), RCCAHead(32, 3)):
        with refused(f"`maps` must be (B, 32, H, W), got {shape}: give the channels that it was"):
            module(torch.zeros(shape))
