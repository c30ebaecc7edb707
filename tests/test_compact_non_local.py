import math

import pytest
import torch
from attending import assert_equal, count, normal, varied
from expect import refused
from torch import Tensor
from torch.nn import functional as F

from glimpse.soft_baselines import CompactNonLocal
from glimpse.soft_baselines.compact_non_local import dot_kernel, gaussian_kernel


def _pairs(theta: Tensor, phi: Tensor, values: Tensor, terms: list[float]) -> Tensor:
    """Return y_i = sum_j sum_q terms_q (theta_i phi_j)^q v_j, pair by pair."""
    made = torch.zeros_like(theta)
    for image, group, entry in torch.cartesian_prod(*map(torch.arange, theta.shape)).tolist():
        asked = theta[image, group, entry]
        for key, value in zip(phi[image, group], values[image, group], strict=True):
            kernel = sum(term * (asked * key) ** power for power, term in enumerate(terms))
            made[image, group, entry] += kernel * value
    return made


def _taylor(order: int, gamma: float) -> list[float]:
    """Return what multiplies the powers in exp(-2 gamma) exp(2 gamma t p)."""
    return [math.exp(-2 * gamma) * (2 * gamma) ** q / math.factorial(q) for q in range(order + 1)]


def test_the_product_kernel_is_the_sum_over_pairs() -> None:
    given = [normal(2, 2, 5, seed=seed) for seed in (1, 2, 3)]
    assert_equal(dot_kernel(*given), _pairs(*given, [0.0, 1.0]))


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("gamma", [1e-4, 0.3])
def test_the_gaussian_kernel_is_the_sum_over_pairs(order: int, gamma: float) -> None:
    given = [normal(2, 2, 5, seed=seed) for seed in (1, 2, 3)]
    made = gaussian_kernel(*given, order=order, gamma=gamma)
    assert_equal(made, _pairs(*given, _taylor(order, gamma)))


def test_many_terms_are_the_gaussian_of_entries_on_a_circle() -> None:
    theta = normal(1, 1, 6).clamp(-1.3, 1.3)
    phi, values = (2 - theta.square()).sqrt(), torch.ones(1, 1, 6, dtype=torch.float64)
    made = gaussian_kernel(theta[..., :1], phi[..., :1], values[..., :1], order=30, gamma=0.4)
    assert_equal(made, torch.exp(-0.4 * (theta - phi).square())[..., :1])


@pytest.mark.parametrize("kernel", ["dot", "gaussian"])
def test_kernels_have_the_gradients_of_differences(kernel: str) -> None:
    given = [normal(1, 2, 4, seed=seed).requires_grad_() for seed in (1, 2, 3)]
    assert torch.autograd.gradcheck(
        dot_kernel if kernel == "dot" else lambda *x: gaussian_kernel(*x, gamma=0.3), given
    )


@torch.no_grad()
@pytest.mark.parametrize("kernel", ["dot", "gaussian"])
@pytest.mark.parametrize("groups", [1, 2])
def test_groups_of_channels_meet_among_themselves(kernel: str, groups: int) -> None:
    module = CompactNonLocal(8, groups=groups, kernel=kernel, order=2, gamma=0.2)  # type: ignore[arg-type]
    maps, module = normal(2, 8, 2, 3), varied(module)
    theta, phi, values = (
        F.conv2d(maps, layer.weight).reshape(2, groups, -1)
        for layer in (module.theta, module.phi, module.value)
    )
    terms = [0.0, 1.0] if kernel == "dot" else _taylor(2, 0.2)
    made = _pairs(theta, phi, values, terms).reshape(2, 4, 2, 3)
    wanted = torch.zeros_like(maps)
    for channel in range(8):
        inputs = slice(channel // (8 // groups) * (4 // groups), None)
        weights = module.project.weight[channel]
        wanted[:, channel] = (made[:, inputs][:, : 4 // groups] * weights).sum(1)
    for part in wanted.split(8 // groups, dim=1):
        mean = part.mean((1, 2, 3), keepdim=True)
        variance = (part - mean).square().mean((1, 2, 3), keepdim=True)
        part.sub_(mean).div_((variance + 1e-5).sqrt())
    wanted = wanted * module.norm.weight[:, None, None] + module.norm.bias[:, None, None]
    assert_equal(module(maps), maps + wanted)


def test_the_norm_leaves_of_the_product_its_sign() -> None:
    module, maps = varied(CompactNonLocal(8, groups=2)), 10 * normal(1, 8, 3, 4)
    made = module(maps)
    with torch.no_grad():
        module.value.weight.mul_(7.0)
        torch.testing.assert_close(module(maps), made, rtol=1e-4, atol=1e-4)
        module.value.weight.neg_()
        assert not torch.allclose(module(maps), made, atol=0.1)


@pytest.mark.parametrize("kernel", ["dot", "gaussian"])
def test_at_first_it_is_the_identity(kernel: str) -> None:
    maps = torch.randn(2, 16, 3, 5)
    module = CompactNonLocal(16, kernel=kernel)  # type: ignore[arg-type]
    assert torch.equal(module(maps), maps)


def test_it_does_not_know_where_positions_lie() -> None:
    module, maps = varied(CompactNonLocal(8, groups=4)), normal(2, 8, 3, 4)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    moved = maps.flatten(2)[:, :, order].reshape(2, 8, 4, 3)
    assert_equal(module(moved).flatten(2), module(maps).flatten(2)[:, :, order])


def test_it_has_the_published_size() -> None:
    assert count(CompactNonLocal(64)) == 3 * 64 * 32 + 64 * 32 // 8 + 2 * 64 == 6528
    assert count(CompactNonLocal(64, kernel="gaussian")) == 6528
    block = count(CompactNonLocal(1024))
    nets = (25_557_032, 44_549_160, 60_192_808)
    assert [net + block for net in nets] == [27_197_480, 46_189_608, 61_833_256]


def test_what_does_not_fit_is_refused() -> None:
    with refused("`groups` must divide the 12 channels and half of them, 6, got 8: choose 6"):
        CompactNonLocal(12)
    with refused("`channels` must be a whole number from 2, got 1: choose another"):
        CompactNonLocal(1)
    with refused("`order` must be a whole number from 0, got -1: choose another"):
        CompactNonLocal(16, order=-1)
    with refused("`gamma` must be finite and at least 0, got -1.0: choose another"):
        CompactNonLocal(16, gamma=-1.0)


@pytest.mark.plain
def test_an_unknown_kernel_is_refused() -> None:
    with refused("`kernel` must be one of dot, gaussian, got 'rbf': choose one"):
        CompactNonLocal(16, kernel="rbf")  # type: ignore[arg-type]
