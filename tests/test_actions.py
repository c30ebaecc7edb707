"""What actions may say beside a location: how far to move, how wide to look, when to stop."""

from typing import Any

import numpy as np
import pytest
import torch
from expect import generator
from lookers import SIZES, TASK, make_agent, make_batch, make_eye, pixels
from torch import Tensor

from glimpse import Eye, GlimpseBatch, GlimpseSensor, ImageSet
from glimpse.agents import Agent, ReinforceConfig, reinforce
from glimpse.agents.rollout import costs, roll_out
from glimpse.digits import load_digits
from glimpse.envs import GlimpseVectorEnv
from glimpse.rewards import REWARDS
from glimpse.tasks import Search, answered

HEIGHT, WIDTH = pixels(1).shape[2:]  # of the images of `make_batch`
ROWS = 7
LEVELS = 3


def _actions(size: int, glimpses: int, far: float = 1.5) -> Tensor:
    """Return actions (T, B, a), some beyond [-1, 1]."""
    return far * (2 * torch.rand((glimpses, ROWS, size), generator=generator()) - 1)


def _answers(glimpses: int) -> Tensor:
    return TASK.answers(torch.randn((glimpses, ROWS, 3), generator=generator(2)))


@pytest.mark.parametrize("first", ["random", "centre", "agent"])
@pytest.mark.parametrize("reach", [None, 3.0, 20.0])
@pytest.mark.parametrize("stride", [0.0, 2.5, 40.0])
def test_moves_in_pixels_add_up_within_the_reach(
    first: str, reach: float | None, stride: float
) -> None:
    batch = make_batch(make_eye(first, glimpses=9, reach=reach, stride=stride), ROWS)
    observation, _ = batch.reset(seed=1)
    limit = torch.tensor([WIDTH / 2, HEIGHT / 2] if reach is None else [reach, reach])
    at = observation["location"] * limit  # in pixels from the centre
    for action in _actions(2, batch.eye.actions):
        observation, *_ = batch.step(action)
        at = (at + stride * action.clamp(-1, 1)).clamp(-limit, limit)
        assert observation["location"].abs().max() <= 1
        torch.testing.assert_close(observation["location"] * limit, at, rtol=0, atol=2e-5)
    assert batch.eye.action_size == 2


def test_without_a_stride_actions_are_locations() -> None:
    batch = make_batch(make_eye(), ROWS)
    batch.reset(seed=1)
    for action in _actions(2, 3):
        assert torch.equal(batch.step(action)[0]["location"], action.clamp(-1, 1))


@pytest.mark.parametrize("first", ["random", "agent"])
def test_a_level_of_zoom_is_some_windows_of_a_sensor_with_all(first: Any) -> None:
    scales = 2
    sensor = GlimpseSensor(3, scales, outside="edge")
    every = GlimpseSensor(3, scales + LEVELS - 1, outside="edge")
    eye = Eye(sensor=sensor, glimpses=40, first=first, zoom=LEVELS)
    assert eye.action_size == 3
    assert eye.all_levels == every
    batch = make_batch(eye, ROWS)
    observation, _ = batch.reset(seed=1)
    levels = torch.full((ROWS,), LEVELS // 2)
    empty = first == "agent"
    for action in [*_actions(3, eye.actions), None]:
        assert observation["zoom"].tolist() == levels[:, None].tolist()
        assert torch.equal(batch.level, levels)
        windows = every(batch.shown, observation["location"])
        for row, level in enumerate(levels.tolist()):
            wanted = windows[row, level : level + scales] * (not empty)
            assert torch.equal(observation["glimpse"][row], wanted)
        if action is None:
            break
        observation, *_ = batch.step(action)
        bounds = torch.linspace(-1, 1, LEVELS + 1)[1:-1]  # the levels divide [-1, 1] evenly
        levels = (action[:, 2:] > bounds).sum(dim=1)
        empty = False
    assert set(batch.levels.flatten().tolist()) == {0, 1, 2}


def test_the_finest_window_of_a_level_is_the_coarser_one_averaged() -> None:
    eye = Eye(sensor=GlimpseSensor(2), glimpses=2, first="centre", zoom=2)
    batch = make_batch(eye, ROWS)
    batch.reset(seed=1)
    coarse, *_ = batch.step(torch.tensor([0.1, -0.3, 1.0]).repeat(ROWS, 1))
    fine = eye.at_level(1)(batch.shown, coarse["location"])  # (B, 1, C, 4, 4)
    averaged = torch.nn.functional.avg_pool2d(fine[:, 0], 2)
    torch.testing.assert_close(coarse["glimpse"][:, 0], averaged)


def test_who_stops_takes_no_look_and_pays_for_none() -> None:
    batch = make_batch(make_eye("random", glimpses=5, zoom=2, stop=True), ROWS, cost=0.25)
    observation, _ = batch.reset(seed=1)
    assert batch.eye.action_size == 4
    over, paid = torch.zeros(ROWS, dtype=torch.bool), torch.zeros(ROWS)
    for time, action in enumerate(_actions(4, batch.eye.actions), start=1):
        action[:, -1] = -0.5
        action[0, -1] = 0.0  # only above 0 is a stop
        action[time, -1] = 0.01
        before, observation_before, going_on = batch.count, observation, ~over
        observation, reward, terminated, truncated, _ = batch.step(action)
        over[time] = True
        looked = ~over
        assert torch.equal(batch.count, before + looked)
        assert torch.equal(observation["step"][:, 0], batch.count.float())
        torch.testing.assert_close(reward, -0.25 * looked.float())
        paid += reward
        for name, value in observation.items():
            assert torch.equal(value[over], observation_before[name][over]), name
        assert torch.equal(observation["location"][looked], action[looked, :2].clamp(-1, 1))
        assert torch.equal(terminated, over | (time == batch.eye.actions))
        assert not truncated.any()
        assert going_on[time]
    assert batch.count.tolist() == [5, 1, 2, 3, 4, 5, 5]
    torch.testing.assert_close(paid, -0.25 * (batch.count - 1).float())
    unseen = torch.arange(5) >= batch.count[:, None]
    assert torch.equal(batch.trail.isnan().all(dim=-1), unseen)


@pytest.mark.parametrize("reward", list(REWARDS))
@pytest.mark.parametrize("cost", [0.0, 0.125])
def test_the_answer_of_who_stops_counts_for_all_glimpses_left(reward: str, cost: float) -> None:
    glimpses = 5
    eye = make_eye("random", glimpses=glimpses, stop=True)
    batch = make_batch(eye, ROWS, predict="flat", reward=reward, cost=cost)
    _, info = batch.reset(seed=1)
    answers, actions = _answers(glimpses), _actions(3, glimpses, far=1)
    actions[..., -1] = -1
    total, stops = torch.zeros(ROWS), [0, 1, 2, 3, 4, glimpses, glimpses]
    for time in range(glimpses):
        for row, stop in enumerate(stops):
            actions[time, row, -1] = 1.0 if time == stop else -1.0
        _, paid, over, _, _ = batch.step(actions[time], answers[time])
        total += paid
        assert over.tolist() == [time >= stop or time == glimpses - 1 for stop in stops]
    kept = torch.stack(
        [
            torch.stack([answers[min(time, stop), row] for time in range(glimpses)])
            for row, stop in enumerate(stops)
        ]
    )
    wanted = REWARDS[reward](answered(batch.task), kept, info["target"]).sum(dim=1)
    looks = torch.tensor([float(min(stop, glimpses - 1)) for stop in stops])
    torch.testing.assert_close(total, wanted - cost * looks)


@pytest.mark.parametrize("glimpses", [5, 3])
def test_a_rollout_holds_the_answers_of_who_stopped(glimpses: int) -> None:
    eye = make_eye("random", glimpses=5, stop=True)
    options: dict[str, Any] = {"glimpses": glimpses}
    agent = Agent.create(ReinforceConfig(**SIZES), eye, 2, TASK)
    choices = glimpses - 1

    def play(stops: list[int]) -> Any:
        batch, time = make_batch(eye, ROWS), iter(range(choices))

        def choose(mean: Tensor) -> Tensor:
            now = next(time)
            says = torch.tensor([1.0 if now == stop else -1.0 for stop in stops])
            return torch.cat([(mean * 9)[:, :2].clamp(-1, 1), says[:, None]], dim=1)

        with torch.no_grad():
            return roll_out(agent.model, batch, batch.reset(seed=1)[0], choose, **options)

    stops = [0, 1, choices - 1, choices, choices, 0, 1]  # `choices` is never
    got, on = play(stops), play([choices] * ROWS)
    for row, stop in enumerate(stops):
        last = min(stop, choices)
        held = [min(time, last) for time in range(glimpses)]
        torch.testing.assert_close(got.answers[row], on.answers[row, held])
        assert got.chosen[row].tolist() == [number <= last for number in range(choices)]
        assert int(got.glimpses[row]) == last + 1
        looked = [0.0, *(0.5 * (number < last) for number in range(choices))]
        assert costs(got, 0.5)[row].tolist() == looked
    assert on.chosen.all()


@pytest.mark.parametrize("baseline", ["learned", "others"])
def test_reinforce_learns_with_everything_at_once(baseline: Any) -> None:
    sensor = GlimpseSensor(4, scales=2)
    eye = Eye(sensor=sensor, glimpses=4, zoom=2, stop=True, stride=4.0)
    config = ReinforceConfig(
        **SIZES, steps=3, batch=8, copies=2, ema=0.0, std=0.5, curriculum=1, baseline=baseline
    )
    batch = GlimpseBatch(load_digits(), eye, 16, copies=2, cost=0.01)
    agent = Agent.for_batch(config, batch)
    before = {name: value.clone() for name, value in agent.model.state_dict().items()}
    learner = reinforce(config, batch, agent.model)
    for _ in range(3):
        metrics = learner.step()
        assert "policy loss" in metrics
        assert all(bool(value.isfinite().all()) for value in metrics.values())
    after = agent.model.state_dict()
    still = {name for name in before if torch.equal(before[name], after[name])}
    assert all("baseline" in name for name in still) if baseline == "others" else not still


@pytest.mark.parametrize("cost", [0.0, 0.25])
def test_a_dict_of_actions_tells_losses_and_base_rewards(cost: float) -> None:
    options: dict[str, Any] = {"predict": "dict", "reward": "loss", "cost": cost, "glimpses": 3}
    env = GlimpseVectorEnv(ROWS, autoreset_mode="Disabled", **options)
    _, info = env.reset(seed=0)
    scores = torch.randn((3, ROWS, 10), generator=generator())
    for time, says in enumerate(scores):
        target = torch.from_numpy(np.asarray(info["target"]))
        action = np.zeros((ROWS, 2), dtype=np.float32)
        _, reward, over, _, info = env.step({"action": action, "prediction": says.numpy()})
        assert bool(over.all()) == bool(over.any()) == (time == 2)
        loss = torch.nn.functional.cross_entropy(says, target, reduction="none") / np.log(10)
        got = info["prediction"]
        np.testing.assert_array_equal(got["target"], target)
        np.testing.assert_allclose(got["loss"], loss, rtol=1e-5)
        assert info["base_reward"].tolist() == [-cost * (time < 2)] * ROWS
        np.testing.assert_allclose(reward, info["base_reward"] - got["loss"], rtol=1e-5)
        assert info["_prediction"].all()


def test_who_stops_over_the_place_of_a_search_has_not_looked_there() -> None:
    images = ImageSet.from_arrays(
        torch.zeros(1, 1, 9, 9), torch.zeros(1, 2), task=Search(), splits={"train": [0]}
    )
    eye = Eye(sensor=GlimpseSensor(3), first="centre", stop=True)
    batch = GlimpseBatch(images, eye, 1)
    batch.reset(seed=0)
    _, reward, over, _, _ = batch.step(torch.tensor([[0.0, 0.0, 1.0]]))
    assert reward.tolist() == [0]
    assert over.tolist() == [True]


def test_an_agent_that_stops_is_not_said_to_have_looked_on() -> None:
    batch = make_batch(make_eye(stop=True))
    agent = make_agent(eye=batch.eye)
    with torch.no_grad():
        agent.model.locator.mean.bias[-1] = 50  # always at once
    survey = agent.survey(batch, "test")
    assert survey.glimpses == 1
    assert {halt.glimpses for halt in survey.halting} == {1}


def test_rows_that_are_over_keep_their_answers() -> None:
    batch = make_batch(make_eye(stop=True, context=None), rows=2, predict="dict")
    batch.reset(seed=0)
    first, later = (torch.randn(2, 3, generator=generator(k)).log_softmax(1) for k in (1, 2))
    stop = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    before = batch.step(stop, first)[4]["loss"]
    after = batch.step(stop, later)[4]["loss"]
    assert after[0] == before[0]
    assert after[1] != before[1]
