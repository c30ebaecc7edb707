"""The options of learning, one by one: what each step does against the equation written out."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from expect import refused
from learners import (
    GLIMPSES,
    assert_same,
    differ,
    learning_weights_of,
    make_config,
    make_learner,
    small_canvas,
    watch,
    weights_of,
)
from torch import Tensor, nn

from glimpse.agents import CentreConfig, UniformConfig, UntrainedConfig
from glimpse.agents.learner import EpisodeLearner
from glimpse.randomness import derive_seed

LOCATOR = ("locator.mean.weight", "locator.mean.bias")
FLAT: dict[str, Any] = {"precision": "float32", "steps": 10**9}  # the learning rate stays


def _rates(learner: EpisodeLearner) -> list[float]:
    """Return the learning rates of the last step: of the location head's weights, last."""
    return [float(group["lr"]) for group in learner.state_dict()["optimiser"]["param_groups"]]


def _changes(config: Any, steps: int = 1) -> dict[str, Tensor]:
    learner = make_learner(config)
    before = learning_weights_of(learner)
    for _ in range(steps):
        learner.step()
    return {name: value - before[name] for name, value in learning_weights_of(learner).items()}


# The learning rate


@pytest.mark.parametrize("warm_up", [0, 1, 20])
def test_the_schedule_is_a_straight_line_times_a_cosine(warm_up: int) -> None:
    """After so many steps it is the full one, and in half of those that are left a half of it."""
    config = make_config(steps=100, warm_up=warm_up)
    shares = [config.schedule(step) for step in range(101)]
    line = [(step + 1) / (warm_up + 1) for step in range(warm_up)]
    assert shares[:warm_up] == pytest.approx(line, rel=1e-12)
    assert shares[warm_up] == max(shares) == 1
    assert config.schedule(warm_up + (100 - warm_up) // 2) == pytest.approx(0.5, abs=0.01)
    left = 100 - warm_up
    fall = [math.cos(math.pi * k / (2 * left)) ** 2 for k in range(left + 1)]  # (1 + cos 2x) / 2
    assert shares[warm_up:] == pytest.approx(fall, abs=1e-12)
    for beyond in (100, 101, 1000):
        assert config.schedule(beyond) == pytest.approx(0, abs=1e-12)
    assert all(one < other for one, other in pairwise(shares[: warm_up + 1]))
    assert all(one > other for one, other in pairwise(shares[warm_up:]))


@pytest.mark.parametrize("name", ["warm_up", "curriculum"])
@pytest.mark.parametrize("count", [4, 99])
def test_a_beginning_that_leaves_no_step_is_refused(name: str, count: int) -> None:
    with refused(f"`{name}` must be below steps=4, got {count}: choose fewer"):
        make_config(steps=4, **{name: count})
    assert getattr(make_config(steps=4, **{name: 3}), name) == 3


def test_a_warm_up_may_end_with_the_last_step() -> None:
    shares = [make_config(steps=4, warm_up=3).schedule(step) for step in range(4)]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1])


@pytest.mark.parametrize("locator_rate", [0.0, 1.0, 3.0])
def test_every_step_has_its_learning_rate(locator_rate: float) -> None:
    config = make_config(steps=8, learning_rate=0.01, warm_up=3, locator_rate=locator_rate)
    learner = make_learner(config)
    for step in range(8):
        learner.step()
        share = (step + 1) / 4 if step < 3 else math.cos(math.pi * (step - 3) / 10) ** 2
        wanted = 0.01 * share
        assert _rates(learner) == pytest.approx([wanted, locator_rate * wanted], rel=1e-6)


def test_without_a_learning_rate_nothing_moves() -> None:
    changes = _changes(make_config(learning_rate=0.0, weight_decay=0.5), steps=3)
    assert not any(bool(change.any()) for change in changes.values())


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_location_head_may_be_left_as_it_was(weight_decay: float) -> None:
    changes = _changes(make_config(locator_rate=0.0, weight_decay=weight_decay), steps=4)
    for name, change in changes.items():
        assert bool(change.any()) == (name not in LOCATOR), name


def test_the_first_step_of_the_location_head_grows_with_its_rate() -> None:
    """Adam's first step is the learning rate times the gradient's sign, whatever its size."""
    changes = [_changes(make_config(locator_rate=rate, **FLAT)) for rate in (1.0, 2.0)]
    for name, change in changes[0].items():
        factor = 2 if name in LOCATOR else 1
        torch.testing.assert_close(changes[1][name], factor * change, rtol=1e-4, atol=1e-7)
        assert bool(change.any())


# Weight decay and clipping


def test_weight_decay_takes_its_share_of_every_weight() -> None:
    """AdamW: w' = w - rate * decay * w - what Adam does without decay."""
    rate, decay = 0.01, 0.3
    options = {"learning_rate": rate, "locator_rate": 0.5, **FLAT}
    before = learning_weights_of(make_learner(make_config(**options)))
    without, with_it = (
        _changes(make_config(weight_decay=weight_decay, **options)) for weight_decay in (0.0, decay)
    )
    for name, weight in before.items():
        share = decay * rate * (0.5 if name in LOCATOR else 1)
        wanted = without[name] - share * weight
        torch.testing.assert_close(with_it[name], wanted, rtol=1e-4, atol=1e-7)


def test_weights_without_a_gradient_shrink_too() -> None:
    """Of a control nobody teaches the location head; what no loss reaches is left alone."""
    changes = _changes(make_config(CentreConfig, weight_decay=0.3), steps=3)
    for name in (*LOCATOR, "baseline.weight"):
        assert not bool(changes[name].any())
    assert bool(changes["classifier.weight"].any())


@pytest.mark.parametrize("clip", [1e-4, 1e3])
def test_the_gradients_of_location_head_and_rest_are_cut_each_to_the_clip(clip: float) -> None:
    learner = make_learner(make_config(clip=clip, precision="float32"))
    learner.step()
    norms = []
    for head in (True, False):
        gradients = [
            weight.grad.norm()
            for name, weight in learner.model.named_parameters()
            if weight.grad is not None and (name in LOCATOR) == head
        ]
        norms.append(torch.stack(gradients).norm().item())
    if clip < 1:
        assert norms == pytest.approx([clip, clip], rel=1e-2)
    else:
        assert all(1e-3 < norm < 1e3 for norm in norms)
        assert norms[0] != pytest.approx(norms[1], rel=1e-2)


# The mean of the weights


@pytest.mark.parametrize("ema", [0.5, 0.9, 0.99])
def test_the_agent_has_the_mean_of_the_learned_weights(ema: float) -> None:
    """In the first steps it forgets sooner: of step i, from 0, it keeps (1 + i) / (10 + i)."""
    learner = make_learner(make_config(ema=ema, learning_rate=0.05, steps=20))
    mean = {name: value.double() for name, value in weights_of(learner).items()}
    for step in range(14):
        learner.step()
        kept = min(ema, (1 + step) / (10 + step))
        for name, value in learning_weights_of(learner).items():
            mean[name] = kept * mean[name] + (1 - kept) * value.double()
        for name, value in weights_of(learner).items():
            torch.testing.assert_close(value.double(), mean[name], rtol=1e-5, atol=1e-6)
    assert differ(weights_of(learner), learning_weights_of(learner))


class Normalising(nn.Module):
    """A glimpse network that keeps means of what it has seen, which no gradient teaches."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(2 * 9, 8), nn.BatchNorm1d(8)

    def forward(self, glimpse: Tensor, location: Tensor) -> Tensor:
        features: Tensor = self.norm(self.layer(glimpse.flatten(1)))
        return features


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_what_is_counted_and_not_learned_is_the_agent_s_as_it_is(ema: float) -> None:
    torch.manual_seed(0)
    learner = make_learner(make_config(ema=ema, precision="float32"), glimpse_network=Normalising())
    before = weights_of(learner)
    counted = [f"glimpse.norm.{name}" for name, _ in Normalising().norm.named_buffers()]
    assert len(counted) == 3
    for step in range(4):
        learner.step()
        agent, learned = weights_of(learner), learning_weights_of(learner)
        for name in counted:
            assert torch.equal(agent[name], learned[name])
            assert not torch.equal(agent[name], before[name])
        assert agent["glimpse.norm.num_batches_tracked"] == GLIMPSES * (step + 1)
    assert differ(agent, learned) == (ema > 0)


def test_the_mean_does_not_change_what_is_learned() -> None:
    """The episodes too are played with the learned weights."""
    learners = [make_learner(make_config(ema=ema)) for ema in (0.0, 0.9)]
    metrics = [[learner.step() for _ in range(6)] for learner in learners]
    assert metrics[0] == metrics[1]
    assert_same(*(learning_weights_of(learner) for learner in learners))


def test_without_a_mean_the_agent_s_weights_are_the_learned_ones() -> None:
    learner = make_learner(make_config())
    before = weights_of(learner)
    learner.step()
    assert differ(weights_of(learner), before)
    assert learner.state_dict()["learning"] == {}


def test_the_learned_weights_are_needed_to_go_on() -> None:
    learner = make_learner(make_config(ema=0.9))
    learner.step()
    message = r"^the checkpoint must be this agent's, got another \(.*\): resume with the options"
    for state in (
        {name: value for name, value in learner.state_dict().items() if name != "learning"},
        make_learner(make_config()).state_dict(),
    ):
        with pytest.raises(ValueError, match=message):
            make_learner(make_config(ema=0.9)).load_state_dict(state)


# Shorter episodes first


@pytest.mark.parametrize(
    ("curriculum", "glimpses"), [(1, 3), (10, 3), (12, 4), (100, 6), (101, 8), (3, 8)]
)
def test_episodes_grow_evenly_from_two_glimpses_to_all(curriculum: int, glimpses: int) -> None:
    config = make_config(steps=200, curriculum=curriculum)
    lengths = [config.glimpses_at(step, glimpses) for step in range(curriculum)]
    assert lengths[0] == 2
    assert sorted(lengths) == lengths
    assert set(lengths) <= set(range(2, glimpses + 1))
    counts = [lengths.count(length) for length in range(2, glimpses + 1)]
    assert max(counts) - min(counts) <= 1
    for step in (curriculum, curriculum + 1, 199, 10**6):
        assert config.glimpses_at(step, glimpses) == glimpses


@pytest.mark.parametrize("glimpses", [1, 2, 3, 7])
def test_there_is_no_curriculum_without_steps_or_for_two_glimpses(glimpses: int) -> None:
    config = make_config(steps=30, curriculum=20 if glimpses <= 2 else 0)
    assert {config.glimpses_at(step, glimpses) for step in range(30)} == {glimpses}


@pytest.mark.parametrize("first", ["random", "agent"])
def test_a_step_s_episodes_have_the_glimpses_of_the_curriculum(first: str) -> None:
    config = make_config(curriculum=6, copies=2, baseline="others")
    learner = make_learner(config, small_canvas, first)
    rollouts = watch(learner)
    for step in range(8):
        learner.step()
        glimpses = 2 if step < 3 else 3
        actions = glimpses if first == "agent" else glimpses - 1
        assert rollouts[step].answers.shape == (8, glimpses, 3)
        assert rollouts[step].actions.shape == (8, actions, 2)
        looked = ~learner.batch.trail.isnan().any(dim=2)
        assert looked.tolist() == [[k < glimpses for k in range(GLIMPSES)]] * 8


# The noise


def _drawn(config: Any, step: int, shape: Sequence[int]) -> Tensor:
    """Return the Gaussian numbers (B, A, 2) of a step, drawn anew."""
    rows, actions, _ = shape
    noise = torch.Generator().manual_seed(derive_seed(config.seed, step, 1))
    return torch.stack([torch.randn(rows, 2, generator=noise) for _ in range(actions)], dim=1)


@pytest.mark.parametrize("last_std", [None, 0.02, 0.9])
def test_locations_are_drawn_with_the_deviation_of_the_step(last_std: float | None) -> None:
    config = make_config(std=0.3, last_std=last_std, precision="float32", seed=7)
    learner = make_learner(config)
    rollouts = watch(learner)
    for step in range(10):
        told = learner.step()["policy loss"].item()
        std = 0.3 + ((last_std or 0.3) - 0.3) * step / 10
        rollout = rollouts[step]
        off = rollout.actions - rollout.means
        wanted = std * _drawn(config, step, off.shape)
        torch.testing.assert_close(off, wanted, rtol=1e-4, atol=1e-5)
        # And they are judged by the density that they were drawn from.
        squares = off.double().square().sum(dim=2) / std**2
        log_prob = -squares / 2 - math.log(2 * math.pi * std**2)
        gain = rollout.answers.gather(2, rollout.target[:, None, None].expand(-1, 3, 1))[..., 0]
        returns = gain[:, -1:] - gain[:, :-1]  # of gains, which telescope
        loss = -(log_prob * (returns - rollout.values)).sum(dim=1).mean().item()
        assert told == pytest.approx(loss, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("kind", [UniformConfig, UntrainedConfig])
def test_a_control_draws_as_its_policy_says(kind: Any) -> None:
    config = make_config(kind)
    learner = make_learner(config)
    rollouts = watch(learner)
    for step in range(3):
        learner.step()
        noise = torch.Generator().manual_seed(derive_seed(config.seed, step, 1))
        for a in range(2):
            wanted = config.policy.sample(rollouts[step].means[:, a], noise)
            torch.testing.assert_close(rollouts[step].actions[:, a], wanted, rtol=0, atol=1e-5)


def test_the_deviation_changes_evenly_from_the_first_to_the_last() -> None:
    config = make_config(steps=100, std=0.4, last_std=0.1)
    assert config.std_at(0) == pytest.approx(0.4)
    assert config.std_at(25) == pytest.approx(0.325)
    assert config.std_at(50) == pytest.approx(0.25)
    for step in (100, 101, 10**6):
        assert config.std_at(step) == pytest.approx(0.1)
    assert config.policy.std == pytest.approx(0.1)  # when it counts: as at the end
    stays = make_config(steps=100, std=0.4)
    assert {stays.std_at(step) for step in (0, 1, 50, 100, 1000)} == {0.4}
    assert stays.policy.std == 0.4


# Refusals


@pytest.mark.parametrize("name", ["steps", "batch", "copies", "hidden", "features"])
def test_counts_below_one_are_refused(name: str) -> None:
    message = f"^`{name}` must be a whole number from 1, got 0: choose another$"
    with pytest.raises(ValueError, match=message):
        make_config(**{name: 0})


@pytest.mark.parametrize("name", ["learning_rate", "early", "clip", "weight_decay", "ema"])
@pytest.mark.parametrize("value", [-0.5, float("nan"), float("inf")])
def test_numbers_below_zero_or_not_finite_are_refused(name: str, value: float) -> None:
    message = f"^`{name}` must be finite and at least 0, got {value}: choose another$"
    with pytest.raises(ValueError, match=message):
        make_config(**{name: value})


@pytest.mark.parametrize("name", ["seed", "warm_up", "curriculum"])
def test_counts_below_zero_are_refused(name: str) -> None:
    message = f"^`{name}` must be a whole number from 0, got -1: choose another$"
    with pytest.raises(ValueError, match=message):
        make_config(**{name: -1})


@pytest.mark.parametrize("ema", [1.0, 1.5])
def test_a_mean_that_would_never_move_is_refused(ema: float) -> None:
    message = f"^`ema` must be below 1, got {ema}: the mean would never move$"
    with pytest.raises(ValueError, match=message):
        make_config(ema=ema)


def test_a_clip_that_leaves_nothing_is_refused() -> None:
    message = "^`clip` must be above 0, got 0: it cuts every gradient to nothing$"
    with pytest.raises(ValueError, match=message):
        make_config(clip=0.0)


@pytest.mark.plain
def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="`core` must be one of lstm, relu, got 'gru': "):
        make_config(core="gru")
    message = "`precision` must be one of auto, bfloat16, float32, got 'float16': "
    with pytest.raises(ValueError, match=message):
        make_config(precision="float16")
