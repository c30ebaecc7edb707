"""The losses: by hand, by their analytic gradients, and without bias on a bandit of one step."""

import math

import pytest
import torch
from torch import Tensor

from glimpse.agents.losses import (
    answer_loss,
    baseline_loss,
    leave_one_out,
    policy_loss,
    returns_to_go,
)
from glimpse.agents.policies import GaussianPolicy


def _random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


# Returns


@pytest.mark.parametrize(
    ("actions", "wanted"),
    [
        (4, [[10.0, 9.0, 7.0, 4.0], [-1.0, -1.0, 0.0, 0.5]]),
        (3, [[9.0, 7.0, 4.0], [-1.0, 0.0, 0.5]]),
        (1, [[4.0], [0.5]]),
        (0, [[], []]),
    ],
)
def test_returns_are_what_follows_each_action(actions: int, wanted: list[list[float]]) -> None:
    reward = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, -1.0, -0.5, 0.5]])
    returns = returns_to_go(reward, actions)
    assert returns.shape == (2, actions)
    assert returns.tolist() == wanted


def test_the_reward_of_a_glimpse_nobody_chose_follows_no_action() -> None:
    """With A = T - 1 the first glimpse is given: its reward is nobody's merit."""
    reward = torch.tensor([[5.0, 1.0, 1.0]])
    other = torch.tensor([[-7.0, 1.0, 1.0]])
    assert torch.equal(returns_to_go(reward, 2), returns_to_go(other, 2))
    assert not torch.equal(returns_to_go(reward, 3), returns_to_go(other, 3))


# The other copies as a baseline

every_grouping = pytest.mark.parametrize(
    ("images", "copies", "actions"), [(1, 2, 1), (3, 2, 4), (4, 5, 3)]
)


@every_grouping
def test_the_baseline_is_the_mean_of_the_other_copies(
    images: int, copies: int, actions: int
) -> None:
    returns = _random(images * copies, actions)
    got = leave_one_out(returns, copies)
    assert got.shape == returns.shape
    for row in range(images * copies):
        first = row - row % copies
        others = [k for k in range(first, first + copies) if k != row]
        for a in range(actions):
            wanted = sum(returns[k, a].item() for k in others) / (copies - 1)
            assert got[row, a].item() == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_the_baseline_of_copies_by_hand() -> None:
    returns = torch.tensor([[1.0, 0.0], [2.0, 0.0], [6.0, 3.0], [0.0, 8.0], [0.0, 4.0], [4.0, 0.0]])
    wanted = [[4.0, 1.5], [3.5, 1.5], [1.5, 0.0], [2.0, 2.0], [2.0, 4.0], [0.0, 6.0]]
    assert leave_one_out(returns, 3).tolist() == wanted
    assert leave_one_out(returns[:2], 2).tolist() == [[2.0, 0.0], [1.0, 0.0]]


@every_grouping
def test_no_copy_s_own_return_is_in_its_baseline(images: int, copies: int, actions: int) -> None:
    returns = _random(images * copies, actions)
    before = leave_one_out(returns, copies)
    for row in range(images * copies):
        perturbed = returns.clone()
        perturbed[row] += 1
        moved = leave_one_out(perturbed, copies) - before
        first = row - row % copies
        wanted = torch.zeros_like(moved)
        wanted[first : first + copies] = 1 / (copies - 1)
        wanted[row] = 0
        torch.testing.assert_close(moved, wanted, rtol=0, atol=1e-12)


@every_grouping
def test_an_image_s_advantages_sum_to_zero(images: int, copies: int, actions: int) -> None:
    returns = _random(images * copies, actions)
    advantage = returns - leave_one_out(returns, copies)
    total = advantage.view(images, copies, actions).sum(dim=1)
    torch.testing.assert_close(total, torch.zeros_like(total), rtol=0, atol=1e-12)
    alike = torch.full((images * copies, actions), 0.7, dtype=torch.float64)
    torch.testing.assert_close(leave_one_out(alike, copies), alike)


# Terms by hand


def test_policy_loss_by_hand() -> None:
    log_prob = torch.tensor([[-1.0, 2.0], [0.5, -3.0]])
    returns = torch.tensor([[1.0, 1.0], [0.0, 2.0]])
    value = torch.tensor([[0.5, 2.0], [1.0, 0.0]])
    # -1/2 * ((-1 * 0.5 + 2 * -1) + (0.5 * -1 + -3 * 2))
    assert (
        policy_loss(log_prob, returns, value, torch.ones_like(returns, dtype=torch.bool)).item()
        == 4.5
    )


def test_baseline_loss_by_hand() -> None:
    value = torch.tensor([[0.5, 2.0], [1.0, 0.0]])
    returns = torch.tensor([[1.0, 1.0], [0.0, 2.0]])
    assert (
        baseline_loss(value, returns, torch.ones_like(returns, dtype=torch.bool)).item()
        == (0.25 + 1 + 1 + 4) / 4
    )


@pytest.mark.parametrize(("early", "wanted"), [(0.0, 3.0), (0.5, 3 + 0.5 * 2.25), (1.0, 3 + 2.25)])
def test_answer_loss_by_hand(early: float, wanted: float) -> None:
    loss = torch.tensor([[1.0, 2.0, 4.0], [2.0, 4.0, 2.0]])
    assert answer_loss(loss, early).item() == wanted


@pytest.mark.parametrize("early", [0.0, 0.5])
def test_one_glimpse_has_no_early_answers(early: float) -> None:
    assert answer_loss(torch.tensor([[1.0], [4.0]]), early).item() == 2.5


def test_without_early_weight_earlier_answers_get_no_gradient() -> None:
    loss = _random(3, 4).requires_grad_()
    answer_loss(loss, 0.0).backward()
    assert loss.grad is not None
    wanted = torch.zeros(3, 4, dtype=torch.float64)
    wanted[:, -1] = 1 / 3
    torch.testing.assert_close(loss.grad, wanted)


# Gradients


def test_the_policy_losss_gradient_is_the_score_functions() -> None:
    """dL/dm = -(l - m) / s^2 * (G - b) / B."""
    policy = GaussianPolicy(0.2)
    mean = _random(6, 3, 2).requires_grad_()
    location = mean.detach() + 0.2 * _random(6, 3, 2, seed=1)
    returns, value = _random(6, 3, seed=2), _random(6, 3, seed=3)
    policy_loss(
        policy.log_prob(location, mean), returns, value, torch.ones_like(returns, dtype=torch.bool)
    ).backward()
    advantage = (returns - value)[..., None]
    wanted = -(location - mean.detach()) / 0.2**2 * advantage / 6
    assert mean.grad is not None
    torch.testing.assert_close(mean.grad, wanted, rtol=1e-10, atol=1e-12)


def test_the_policy_loss_teaches_neither_baseline_nor_answers() -> None:
    log_prob = _random(4, 3).requires_grad_()
    returns, value = _random(4, 3, seed=1).requires_grad_(), _random(4, 3, seed=2).requires_grad_()
    policy_loss(log_prob, returns, value, torch.ones_like(returns, dtype=torch.bool)).backward()
    assert value.grad is None
    assert returns.grad is None
    assert log_prob.grad is not None
    assert bool((log_prob.grad != 0).all())


def test_the_baseline_loss_teaches_the_baseline_only() -> None:
    value, returns = _random(4, 3).requires_grad_(), _random(4, 3, seed=1).requires_grad_()
    baseline_loss(value, returns, torch.ones_like(returns, dtype=torch.bool)).backward()
    assert returns.grad is None
    wanted = 2 * (value.detach() - returns.detach()) / 12
    torch.testing.assert_close(value.grad, wanted)


def test_gradients_against_differences() -> None:
    returns, value = _random(3, 2, seed=1), _random(3, 2, seed=2)
    leaf = _random(3, 2).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: policy_loss(x, returns, value, torch.ones_like(returns, dtype=torch.bool)), leaf
    )
    assert torch.autograd.gradcheck(
        lambda x: baseline_loss(x, returns, torch.ones_like(returns, dtype=torch.bool)), leaf
    )
    assert torch.autograd.gradcheck(lambda x: answer_loss(x, 0.3), leaf)


# REINFORCE on a bandit of one step

DRAWS = 200_000


def _estimates(
    mean: Tensor,
    drawn: Tensor,
    judged: Tensor,
    reward: Tensor,
    std: float,
    value: float | Tensor,
) -> Tensor:
    """Return one estimate of the gradient of the expected return per draw: (DRAWS, 2)."""
    leaf = mean.double().expand(DRAWS, 1, 2).clone().requires_grad_()
    log_prob = GaussianPolicy(std).log_prob(judged.double()[:, None], leaf)
    baseline = torch.zeros(DRAWS, 1, dtype=torch.float64) + value
    policy_loss(
        log_prob, reward[:, None], baseline, torch.ones_like(log_prob, dtype=torch.bool)
    ).backward()
    assert leaf.grad is not None
    return -DRAWS * leaf.grad[:, 0]


def _errors(estimates: Tensor, exact: Tensor) -> Tensor:
    """Return how many standard errors their mean is off."""
    standard_error = estimates.std(dim=0) / math.sqrt(len(estimates))
    return (estimates.mean(dim=0) - exact).abs() / standard_error


@pytest.mark.parametrize("value", [0.0, -0.4, 3.0])
def test_the_gradient_is_unbiased_whatever_the_baseline(value: float) -> None:
    """E[-|l - c|^2] = -|m - c|^2 - 2 s^2, so its derivative is -2 (m - c)."""
    std, mean, goal = 0.3, torch.tensor([0.2, -0.4]), torch.tensor([0.5, 0.1])
    noise = torch.Generator().manual_seed(0)
    drawn = GaussianPolicy(std).sample(mean.expand(DRAWS, 2), noise)
    reward = -(drawn.double() - goal).square().sum(dim=1)
    estimates = _estimates(mean, drawn, drawn, reward, std, value)
    exact = -2 * (mean - goal).double()
    assert _errors(estimates, exact).max() < 4
    assert (estimates.std(dim=0) / math.sqrt(DRAWS)).max() < 0.1 * exact.abs().max()
    assert _errors(estimates, -exact).max() > 20  # the sign matters, and is seen


def test_the_gradient_is_unbiased_with_the_other_copies_as_baseline() -> None:
    """With the mean of all M copies, its own included, it is (M - 1)/M of what it should be."""
    std, mean, goal = 0.3, torch.tensor([0.2, -0.4]), torch.tensor([0.5, 0.1])
    noise = torch.Generator().manual_seed(0)
    drawn = GaussianPolicy(std).sample(mean.expand(DRAWS, 2), noise)
    reward = 5 - (drawn.double() - goal).square().sum(dim=1)
    exact, copies = -2 * (mean - goal).double(), 4
    every = reward.view(-1, copies).mean(dim=1).repeat_interleave(copies)[:, None]
    others = leave_one_out(reward[:, None], copies)
    none, own, left_out = (
        _estimates(mean, drawn, drawn, reward, std, value).view(-1, copies, 2).mean(dim=1)
        for value in (0.0, every, others)  # copies depend on one another, images do not
    )
    assert _errors(left_out, exact).max() < 4
    assert _errors(own, exact).max() > 20
    assert _errors(own, exact * (copies - 1) / copies).max() < 4
    assert left_out.std(dim=0).max() < none.std(dim=0).max() / 4


def test_a_baseline_makes_the_estimates_quieter() -> None:
    std, mean, goal = 0.3, torch.tensor([0.2, -0.4]), torch.tensor([0.5, 0.1])
    noise = torch.Generator().manual_seed(0)
    drawn = GaussianPolicy(std).sample(mean.expand(DRAWS, 2), noise)
    reward = 5 - (drawn.double() - goal).square().sum(dim=1)
    spread = [
        _estimates(mean, drawn, drawn, reward, std, value).std(dim=0).max()
        for value in (0.0, float(reward.mean()))
    ]
    assert spread[1] < spread[0] / 5


def test_the_log_probability_is_that_of_the_unclipped_sample() -> None:
    """The environment clips, r = clip(x) + 2 clip(y): d E[clip(x)] / dm = P(-1 < x < 1).

    With the clipped location's log-probability the same estimate is off.
    """
    std, mean = 0.3, torch.tensor([0.9, -0.7])
    noise = torch.Generator().manual_seed(0)
    drawn = GaussianPolicy(std).sample(mean.expand(DRAWS, 2), noise)
    seen = drawn.clamp(-1, 1).double()
    assert (drawn.abs() > 1).any(dim=1).float().mean() > 0.4
    reward = seen[:, 0] + 2 * seen[:, 1]
    inside = torch.special.ndtr((1 - mean.double()) / std) - torch.special.ndtr(
        (-1 - mean.double()) / std
    )
    exact = inside * torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert _errors(_estimates(mean, drawn, drawn, reward, std, 0.2), exact).max() < 4
    assert _errors(_estimates(mean, drawn, seen, reward, std, 0.2), exact).max() > 20
