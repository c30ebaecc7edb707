"""Controls learn to answer, and not where to look."""

from typing import Any

import pytest
import torch
from torch import Tensor

from glimpse import Eye, GlimpseBatch, GlimpseSensor, ImageSet
from glimpse.agents import Agent, CentreConfig, UniformConfig, UntrainedConfig, control
from glimpse.agents.losses import answer_loss
from glimpse.agents.policies import CentrePolicy, GaussianPolicy, UniformPolicy
from glimpse.agents.rollout import Rollout

SIZES: dict[str, Any] = {"steps": 8, "batch": 20, "hidden": 8, "features": 8}
CONTROLS = [UniformConfig, CentreConfig, UntrainedConfig]
every_control = pytest.mark.parametrize("kind", CONTROLS, ids=lambda kind: kind.__name__)


def _batch(first: str = "random", rows: int = 20) -> GlimpseBatch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 1, 9, 12), dtype=torch.uint8, generator=generator)
    shown = ImageSet.from_arrays(
        images, [k % 3 for k in range(40)], splits={"train": range(40), "test": range(40)}
    )
    eye = Eye(sensor=GlimpseSensor(3, scales=2), glimpses=4, first=first, context=2)
    return GlimpseBatch(shown, eye, rows)


@every_control
def test_training_leaves_locator_and_baseline_untouched(kind: type[Any]) -> None:
    config, batch = kind(**SIZES), _batch()
    agent = Agent.for_batch(config, batch)
    before = {name: value.clone() for name, value in agent.model.state_dict().items()}
    learner = control(config, batch, agent.model)
    for _ in range(8):
        learner.step()
    for name, value in agent.model.state_dict().items():
        taught = name.split(".")[0] not in ("locator", "baseline")
        assert torch.equal(value, before[name]) != taught, name
    assert {name.split(".")[0] for name in before} == {
        *("context", "glimpse", "core", "locator", "baseline", "classifier")
    }


def test_each_control_has_its_policy() -> None:
    assert UniformConfig().policy == UniformPolicy()
    assert CentreConfig().policy == CentrePolicy()
    assert UntrainedConfig(std=0.25).policy == GaussianPolicy(0.25)


def _looks(kind: type[Any], steps: int, first: str) -> Tensor:
    """Return where a control looked in training: (steps * B, T, 2)."""
    config, batch = kind(**SIZES), _batch(first)
    learner = control(config, batch, Agent.for_batch(config, batch).model)
    trails = []
    for _ in range(steps):
        learner.step()
        trails.append(learner.batch.trail)
    return torch.cat(trails)


def test_uniform_looks_anywhere_in_training_and_in_evaluation() -> None:
    config, batch = UniformConfig(**SIZES), _batch("agent", rows=40)
    agent = Agent.for_batch(config, batch)
    agent.survey(batch, "test")
    for looks, count in ((_looks(UniformConfig, 20, "agent"), 1600), (batch.trail, 160)):
        places = looks.flatten(0, 1)
        assert len(places) == count
        for corner in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            assert ((places - torch.tensor(corner)).abs() < 0.3).all(dim=1).any()
        assert (places.mean(dim=0).abs() < 4 * (1 / 3 / count) ** 0.5).all()
        assert (places.square().mean(dim=0) - 1 / 3).abs().max() < 4 * (4 / 45 / count) ** 0.5
        assert places.abs().max() <= 1


@pytest.mark.parametrize("first", ["centre", "agent"])
def test_centre_looks_at_the_centre(first: str) -> None:
    assert torch.equal(_looks(CentreConfig, 2, first), torch.zeros(40, 4, 2))


def test_centre_looks_at_the_centre_after_a_random_first_glimpse() -> None:
    looks = _looks(CentreConfig, 2, "random")
    assert bool((looks[:, 0] != 0).all())
    assert torch.equal(looks[:, 1:], torch.zeros(40, 3, 2))


def test_untrained_looks_near_its_mean() -> None:
    config, batch = UntrainedConfig(**SIZES, std=0.05), _batch(rows=40)
    agent = Agent.for_batch(config, batch)
    agent.survey(batch, "test")
    means = batch.trail[:, 1:]
    agent.survey(batch, "test", sampled=True)
    off = (batch.trail[:, 1:] - means).flatten()
    assert 0.02 < off[:80].std() < 0.1  # the first choice: what is seen after it differs
    assert not torch.equal(batch.trail[:, 1:], means)


@pytest.mark.parametrize("early", [0.0, 0.5])
def test_the_loss_is_the_answers_alone(early: float) -> None:
    config, batch = CentreConfig(**SIZES, early=early), _batch()
    learner = control(config, batch, Agent.for_batch(config, batch).model)
    generator = torch.Generator().manual_seed(0)
    log_probs = torch.randn(5, 4, 3, generator=generator).log_softmax(dim=-1)
    target = torch.tensor([0, 2, 1, 1, 0])
    nothing = torch.zeros(5, 3, 2)
    losses = learner._loss(
        Rollout(
            log_probs,
            nothing,
            nothing,
            torch.zeros(5, 3),
            torch.ones(5, 3, dtype=torch.bool),
            torch.full((5,), 4),
            target,
        )
    )
    loss_t = -torch.stack([log_probs[b, :, y] for b, y in enumerate(target.tolist())])
    assert set(losses) == {"answer loss"}
    torch.testing.assert_close(losses["answer loss"], answer_loss(loss_t, early))


@pytest.mark.parametrize("std", [0.0, -0.1, float("nan")])
def test_a_deviation_that_is_none_is_refused(std: float) -> None:
    with pytest.raises(ValueError, match=f"`std` must be finite and at least 1e-06, got {std}: "):
        UntrainedConfig(std=std)


@every_control
def test_a_control_does_not_learn_where_to_look(kind: type[Any]) -> None:
    assert not kind().learns_where


@every_control
def test_options_of_all_agents_are_checked(kind: type[Any]) -> None:
    with pytest.raises(ValueError, match="`steps` must be a whole number from 1, got 0: "):
        kind(steps=0)
