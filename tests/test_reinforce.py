"""REINFORCE: its terms by hand, and a task that only looking in the right place solves."""

import math
from typing import Any

import pytest
import torch
from cue import EYE, cue_task
from expect import refused
from torch import Tensor

from glimpse import Eye, GlimpseBatch, GlimpseSensor, ImageSet
from glimpse.agents import Agent, CentreConfig, ReinforceConfig, control, reinforce
from glimpse.agents.rollout import Rollout
from glimpse.loop import train

STEPS = 300
SIZES: dict[str, Any] = {
    "steps": STEPS,
    "batch": 64,
    "hidden": 32,
    "features": 32,
    "learning_rate": 5e-3,
    "core": "relu",
    "precision": "float32",
}


def _trained(config: Any) -> tuple[Agent, GlimpseBatch]:
    images, _ = cue_task()
    batch = GlimpseBatch(images, EYE, 64, copies=config.copies)
    agent = Agent.for_batch(config, batch)
    make: Any = reinforce if isinstance(config, ReinforceConfig) else control
    train(make(config, batch, agent.model), STEPS)
    return agent, GlimpseBatch(images, EYE, 200)


@pytest.mark.parametrize("reward", ["gain", "correct"])
def test_it_learns_where_to_look(reward: Any) -> None:
    agent, judge = _trained(ReinforceConfig(**SIZES, std=0.3, reward=reward))
    evaluation = agent.evaluate(judge, "test")
    assert evaluation.mean[0].percent > 35  # nothing to be seen yet
    assert evaluation.mean[1].percent < 10
    assert evaluation.sampled[1].percent < 15
    images, side = cue_task()
    test = images.splits["test"]
    x = agent.predict(images.images[test]).locations[:, 1, 0]
    looked_left = x < 0
    assert (looked_left == (side[test] == 0)).float().mean() > 0.95


def test_it_learns_with_every_option_used() -> None:
    """Copies instead of a learned baseline, and all that changes while it learns."""
    options: dict[str, Any] = {
        **SIZES,
        "batch": 16,
        "copies": 4,
        "baseline": "others",
        "joint": 0.3,
        "last_std": 0.1,
        "locator_rate": 2.0,
        "ema": 0.95,
        "warm_up": 20,
        "weight_decay": 0.01,
        "curriculum": 50,
    }
    agent, judge = _trained(ReinforceConfig(**options, std=0.3))
    evaluation = agent.evaluate(judge, "test")
    assert evaluation.mean[0].percent > 35
    assert evaluation.mean[1].percent < 10


def test_the_centre_does_not_do() -> None:
    """The control of the test above: with the same budget it stays at chance."""
    agent, judge = _trained(CentreConfig(**SIZES))
    assert agent.evaluate(judge, "test").mean[1].percent > 35


ROWS = 6


def _rollout(glimpses: int, actions: int) -> Rollout:
    generator = torch.Generator().manual_seed(0)
    means = torch.rand(ROWS, actions, 2, generator=generator) - 0.5
    return Rollout(
        answers=torch.randn(ROWS, glimpses, 3, generator=generator).log_softmax(dim=-1),
        means=means.requires_grad_(),
        actions=means.detach() + 0.2 * torch.randn(means.shape, generator=generator),
        values=torch.randn(ROWS, actions, generator=generator).requires_grad_(),
        chosen=torch.ones(ROWS, actions, dtype=torch.bool),
        glimpses=torch.full((ROWS,), glimpses),
        target=torch.tensor([0, 2, 1, 1, 0, 2]),
    )


def _losses(rollout: Rollout, **options: Any) -> dict[str, Tensor]:
    glimpses, actions = rollout.answers.shape[1], rollout.actions.shape[1]
    first: Any = "agent" if glimpses == actions else "centre"
    eye = Eye(sensor=GlimpseSensor(4), glimpses=glimpses, first=first)
    images = ImageSet.from_arrays(torch.zeros(6, 1, 5, 5), [0, 1, 2, 0, 1, 2])
    copies = options.get("copies", 1)
    batch = GlimpseBatch(images, eye, ROWS, copies=copies)
    config = ReinforceConfig(batch=ROWS // copies, hidden=4, features=4, std=0.2, **options)
    learner = reinforce(config, batch, Agent.for_batch(config, batch).model)
    return dict(learner._loss(rollout))


def _returns(rollout: Rollout, reward: str) -> list[list[float]]:
    """Return what followed each action, by hand."""
    actions, returns = rollout.actions.shape[1], []
    for b, target in enumerate(rollout.target.tolist()):
        of_target = rollout.answers[b, :, target].tolist()
        before = [-math.log(3), *of_target[:-1]]
        rewards = [after - then for after, then in zip(of_target, before, strict=True)]
        if reward == "correct":
            right = int(rollout.answers[b, -1].argmax()) == target
            rewards = [0.0, 0.0, 0.0, float(right)]
        returns.append([sum(rewards[4 - actions + a :]) for a in range(actions)])
    return returns


def _log_prob(rollout: Rollout, b: int, a: int) -> float:
    """Return the logarithm of the density from which an action was drawn, by hand."""
    off = (rollout.actions[b, a] - rollout.means[b, a]).square().sum().item()
    return -off / (2 * 0.04) - math.log(2 * math.pi * 0.04)


@pytest.mark.parametrize("reward", ["gain", "correct"])
@pytest.mark.parametrize("actions", [3, 4])
def test_the_terms_by_hand(actions: int, reward: Any) -> None:
    rollout = _rollout(4, actions)
    losses = _losses(rollout, reward=reward, early=0.5)
    returns = _returns(rollout, reward)
    answer = policy = baseline = 0.0
    for b, target in enumerate(rollout.target.tolist()):
        of_target = rollout.answers[b, :, target].tolist()
        answer += -of_target[-1] - 0.5 * sum(of_target[:-1]) / 3
        for a in range(actions):
            value = rollout.values[b, a].item()
            policy -= _log_prob(rollout, b, a) * (returns[b][a] - value)
            baseline += (value - returns[b][a]) ** 2
    assert losses["answer loss"].item() == pytest.approx(answer / ROWS, rel=1e-5)
    assert losses["policy loss"].item() == pytest.approx(policy / ROWS, rel=1e-4)
    assert losses["baseline loss"].item() == pytest.approx(baseline / (ROWS * actions), rel=1e-5)


@pytest.mark.parametrize("reward", ["gain", "correct"])
@pytest.mark.parametrize("actions", [3, 4])
@pytest.mark.parametrize("copies", [2, 3, 6])
def test_the_other_copies_as_baseline_by_hand(copies: int, actions: int, reward: Any) -> None:
    rollout = _rollout(4, actions)
    losses = _losses(rollout, reward=reward, copies=copies, baseline="others")
    assert set(losses) == {"answer loss", "policy loss"}  # there is no value to be taught
    returns = _returns(rollout, reward)
    policy = 0.0
    for b in range(ROWS):
        image = range(b - b % copies, b - b % copies + copies)
        for a in range(actions):
            others = sum(returns[k][a] for k in image if k != b) / (copies - 1)
            policy -= _log_prob(rollout, b, a) * (returns[b][a] - others)
    assert losses["policy loss"].item() == pytest.approx(policy / ROWS, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("reward", ["gain", "correct"])
def test_rewards_are_constants(reward: Any) -> None:
    """Policy and baseline loss have no gradient to the answers they are rewarded for."""
    rollout = _rollout(4, 3)
    leaf = rollout.answers.clone().requires_grad_()
    losses = _losses(rollout._replace(answers=leaf), reward=reward)
    for name, reached in (("policy loss", rollout.means), ("baseline loss", rollout.values)):
        to_answers, to_its_own = torch.autograd.grad(
            losses[name], [leaf, reached], allow_unused=True
        )
        assert to_answers is None
        assert bool((to_its_own != 0).any())
    (to_values,) = torch.autograd.grad(losses["policy loss"], [rollout.values], allow_unused=True)
    assert to_values is None


def test_without_a_choice_there_are_answers_only() -> None:
    assert set(_losses(_rollout(1, 0))) == {"answer loss"}
    assert set(_losses(_rollout(1, 1))) == {"answer loss", "policy loss", "baseline loss"}


@pytest.mark.parametrize("baseline", ["learned", "others"])
def test_one_given_glimpse_is_learned_from_with_any_baseline(baseline: Any) -> None:
    assert set(_losses(_rollout(1, 0), copies=2, baseline=baseline)) == {"answer loss"}


def test_it_learns_where_to_look_by_its_own_account() -> None:
    assert ReinforceConfig().learns_where


REFUSED = [
    ({"std": 0.0}, "`std` must be finite and at least 1e-06, got 0.0: choose another"),
    ({"std": math.nan}, "`std` must be finite and at least 1e-06, got nan: choose another"),
    ({"last_std": 0.0}, "`last_std` must be finite and at least 1e-06, got 0.0: choose another"),
    ({"last_std": math.inf}, "`last_std` must be finite and at least 1e-06, got inf: choose"),
    ({"joint": -0.5}, "`joint` must be finite and at least 0, got -0.5: choose another"),
    ({"joint": math.inf}, "`joint` must be finite and at least 0, got inf: choose another"),
    ({"locator_rate": -1.0}, "`locator_rate` must be finite and at least 0, got -1.0: choose"),
    ({"batch": 0}, "`batch` must be a whole number from 1, got 0: choose another"),
    (
        {"baseline": "others"},
        "`copies` must be at least 2 with baseline 'others', got 1: an image seen once has no "
        "others to compare with",
    ),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_its_options_are_checked(options: dict[str, Any], message: str) -> None:
    with refused(message):
        ReinforceConfig(**options)


@pytest.mark.plain
def test_unknown_names_are_refused() -> None:
    with refused("`reward` must be one of correct, gain, loss, got 'end': choose one"):
        ReinforceConfig(reward="end")
    with refused("`baseline` must be one of learned, others, got 'mean': choose one"):
        ReinforceConfig(baseline="mean")
