"""The options of evolution: what cannot be meant is refused; where its perceiver looks."""

import math
from typing import Any

import pytest
import torch
from expect import generator, refused

from glimpse.agents import EsConfig
from glimpse.agents.es import ShowingPolicy
from glimpse.agents.policies import GaussianPolicy, UniformPolicy


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 1}, "`population` must be at least 2, got 1: individuals are compared"),
        ({"trials": 0}, "`trials` must be a whole number from 1, got 0: choose another"),
        ({"search_std": 0.0}, "`search_std` must be finite and at least 1e-12, got 0"),
        ({"centre_rate": -1.0}, "`centre_rate` must be finite and at least 0, got -1"),
        ({"std_rate": math.nan}, "`std_rate` must be finite"),
        ({"uniform": -0.1}, "`uniform` must be finite and at least 0, got -0.1"),
        ({"uniform": 1.1}, "`uniform` must be at most 1, got 1.1: it is a share of the steps"),
        ({"std": 0.0}, "`std` must be"),
        ({"curriculum": 5000}, "`curriculum` must be below steps="),
        pytest.param({"reward": "dense"}, "`reward` must be one of", marks=pytest.mark.plain),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], message: str) -> None:
    with refused(message):
        EsConfig(**options)


@pytest.mark.parametrize(("uniform", "first"), [(0.0, 0), (0.3, 3), (1.0, 10)])
def test_the_first_share_of_the_steps_does_not_evolve(uniform: float, first: int) -> None:
    config = EsConfig(steps=10, uniform=uniform)
    assert [config.evolves(step) for step in range(10)] == [step >= first for step in range(10)]


def test_the_agents_policy_is_gaussian_as_at_the_end() -> None:
    assert EsConfig(std=0.3, last_std=0.25).policy == GaussianPolicy(0.25)
    assert EsConfig().learns_where


def test_looks_lie_anywhere_or_near_the_mean() -> None:
    mean = torch.full((1000, 2), 0.5)
    anywhere, std = torch.ones(()), torch.full((), 0.01)
    policy = ShowingPolicy(anywhere, std)
    looks = policy.sample(mean, generator())
    assert looks.min() < -0.9
    assert looks.max() > 0.9
    anywhere.fill_(0)
    looks = policy.sample(mean, generator())
    assert ((looks - mean).abs() < 0.06).all()
    assert 0.009 < looks.std() < 0.011
    std.fill_(0.1)
    assert policy.sample(mean, generator()).std() > 0.09
    assert torch.equal(policy.best(mean, generator()), mean)


def test_anywhere_is_where_the_uniform_policy_looks_and_near_where_the_gaussian_does() -> None:
    """So the agent's own policies say what its perceiver sees."""
    mean = torch.rand(5, 2)
    for anywhere in (0.0, 1.0):
        noise = generator(3)
        got = ShowingPolicy(torch.tensor(anywhere), torch.tensor(0.2)).sample(mean, noise)
        again = generator(3)
        near = GaussianPolicy(torch.tensor(0.2)).sample(mean, again)
        wanted = UniformPolicy().sample(mean, again) if anywhere else near
        assert torch.equal(got, wanted)
