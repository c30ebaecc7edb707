"""Policies: what is drawn, how probable it was, and what is chosen when it counts."""

import math

import pytest
import torch
from torch import Tensor

from glimpse.agents.policies import CentrePolicy, GaussianPolicy, Policy, UniformPolicy

POLICIES = [GaussianPolicy(0.3), UniformPolicy(), CentrePolicy()]
every_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)


def _noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _means(count: int) -> Tensor:
    return torch.rand(count, 2, generator=_noise(9)) * 2 - 1


def _moments(drawn: Tensor, mean: Tensor | float, variance: float, fourth: float) -> None:
    """Check mean and variance within 4 standard errors, axes by themselves and uncorrelated."""
    count = len(drawn)
    centred = drawn.double() - mean
    bound = 4 * math.sqrt(variance / count)
    assert centred.mean(dim=0).abs().max() < bound
    bound = 4 * math.sqrt((fourth - variance**2) / count)
    assert (centred.square().mean(dim=0) - variance).abs().max() < bound
    assert centred.prod(dim=1).mean().abs() < 4 * variance / math.sqrt(count)


@every_policy
def test_every_policy_is_one(policy: Policy) -> None:
    assert isinstance(policy, Policy)
    assert not isinstance(object(), Policy)


@every_policy
def test_draws_are_a_function_of_the_generator(policy: Policy) -> None:
    mean = _means(50)
    for choose in (policy.sample, policy.best):
        first, second = _noise(1), _noise(1)
        assert torch.equal(choose(mean, first), choose(mean, second))
        assert torch.equal(choose(mean, first), choose(mean, second))  # the next draws too
    if not isinstance(policy, CentrePolicy):
        assert not torch.equal(policy.sample(mean, _noise(1)), policy.sample(mean, _noise(2)))
        one = _noise(1)
        assert not torch.equal(policy.sample(mean, one), policy.sample(mean, one))


@every_policy
def test_draws_do_not_touch_the_global_generator(policy: Policy) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    policy.sample(_means(5), _noise())
    policy.best(_means(5), _noise())
    assert torch.equal(torch.get_rng_state(), before)


@every_policy
def test_no_gradient_reaches_the_mean_through_a_location(policy: Policy) -> None:
    mean = _means(4).requires_grad_()
    for choose in (policy.sample, policy.best):
        location = choose(mean, _noise())
        assert not location.requires_grad
        assert location.shape == (4, 2)
        assert location.dtype == torch.float32


# Gaussian


@pytest.mark.parametrize("std", [0.05, 0.3, 1.0])
def test_the_log_probability_is_the_gaussians(std: float) -> None:
    """log N(l; m, s^2 I) = -|l - m|^2 / (2 s^2) - 2 log s - log 2 pi."""
    generator = _noise()
    location = 3 * torch.randn(5, 4, 2, generator=generator, dtype=torch.float64)
    mean = torch.rand(5, 4, 2, generator=generator, dtype=torch.float64)
    got = GaussianPolicy(std).log_prob(location, mean)
    squares = (location - mean).square().sum(dim=-1)
    wanted = -squares / (2 * std**2) - 2 * math.log(std) - math.log(2 * math.pi)
    assert got.shape == (5, 4)
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


def test_the_log_probability_by_hand() -> None:
    policy = GaussianPolicy(0.5)
    location, mean = torch.tensor([[1.5, 0.0]]), torch.tensor([[1.0, 0.0]])
    wanted = -0.5 + 2 * math.log(2) - math.log(2 * math.pi)
    assert policy.log_prob(location, mean).item() == pytest.approx(wanted, rel=1e-6)


def test_the_density_of_the_gaussian_sums_to_one() -> None:
    axis = torch.linspace(-3, 3, 301, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    mean = torch.tensor([0.4, -0.2], dtype=torch.float64).expand(len(grid), 2)
    density = GaussianPolicy(0.3).log_prob(grid, mean).exp()
    assert density.sum().item() * 0.02**2 == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("std", [0.05, 0.7])
def test_gaussian_draws_have_its_moments(std: float) -> None:
    mean = torch.tensor([0.25, -0.5]).expand(100_000, 2)
    drawn = GaussianPolicy(std).sample(mean, _noise())
    _moments(drawn, mean, std**2, 3 * std**4)


def test_gaussian_draws_follow_each_its_mean() -> None:
    mean = _means(1000)
    drawn = GaussianPolicy(0.01).sample(mean, _noise())
    assert (drawn - mean).abs().max() < 0.06
    assert not torch.equal(drawn, mean)


def test_what_lies_beyond_the_border_is_not_clipped() -> None:
    mean = torch.tensor([[1.0, -1.0]]).expand(1000, 2)
    drawn = GaussianPolicy(0.2).sample(mean, _noise())
    beyond = (drawn.abs() > 1).float().mean().item()
    assert beyond == pytest.approx(0.5, abs=0.05)
    assert drawn.abs().max() > 1.4
    at_border = drawn.clamp(-1, 1)
    policy = GaussianPolicy(0.2)
    assert not torch.equal(policy.log_prob(drawn, mean), policy.log_prob(at_border, mean))


def test_a_deviation_that_changes_is_read_anew() -> None:
    """As a tensor it may be annealed between calls."""
    std, mean = torch.full((), 0.5), _means(20)
    changing = GaussianPolicy(std)
    location = changing.sample(mean, _noise())
    for value in (0.5, 0.1, 2.0):
        std.fill_(value)
        fixed = GaussianPolicy(value)
        torch.testing.assert_close(changing.sample(mean, _noise()), fixed.sample(mean, _noise()))
        got, wanted = (policy.log_prob(location, mean) for policy in (changing, fixed))
        torch.testing.assert_close(got, wanted)
    assert isinstance(changing, Policy)


def test_the_best_of_the_gaussian_is_its_mean() -> None:
    mean = _means(20)
    assert torch.equal(GaussianPolicy(0.3).best(mean, _noise()), mean)


def test_the_gradient_of_the_log_probability_is_the_score() -> None:
    policy = GaussianPolicy(0.25)
    mean = _means(20).double().requires_grad_()
    location = policy.sample(mean, _noise()).double()
    policy.log_prob(location, mean).sum().backward()
    assert mean.grad is not None
    wanted = (location - mean.detach()) / 0.25**2
    torch.testing.assert_close(mean.grad, wanted, rtol=1e-10, atol=1e-10)


# Controls


@pytest.mark.parametrize("way", ["sample", "best"])
def test_uniform_draws_have_its_moments_and_its_range(way: str) -> None:
    mean = torch.full((100_000, 2), 0.9)
    drawn = getattr(UniformPolicy(), way)(mean, _noise())
    _moments(drawn, 0.0, 1 / 3, 1 / 5)
    assert -1 <= drawn.min() < -0.999
    assert 0.999 < drawn.max() <= 1


def test_the_centre_is_the_centre() -> None:
    for choose in (CentrePolicy().sample, CentrePolicy().best):
        assert torch.equal(choose(_means(7), _noise()), torch.zeros(7, 2))
