"""The belief view against `roll_out` with the same locations, and when it learns and begins."""

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from math import log
from typing import Any

import numpy as np
import pytest
import torch
from expect import refused
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from lookers import CLASSES, SIZES, TASK, make_agent, make_batch, make_eye
from numpy.typing import NDArray
from torch import Tensor, nn

from glimpse import GlimpseBatch
from glimpse.agents import Agent, BeliefView, Episodes, ReinforceConfig
from glimpse.agents.losses import returns_to_go
from glimpse.agents.rollout import Rollout, roll_out
from glimpse.batch import Observation
from glimpse.envs import GlimpseVectorEnv
from glimpse.eye import Eye
from glimpse.haystack import load_haystacks
from glimpse.networks import RecurrentAttention
from glimpse.rewards import REWARDS
from glimpse.tasks import answered

Array = NDArray[Any]
ROWS, GLIMPSES, HIDDEN = 7, 4, 16
every_first = pytest.mark.parametrize("first", ["random", "centre", "agent"])
every_core = pytest.mark.parametrize("core", ["relu", "lstm"])
every_reward = pytest.mark.parametrize("reward", list(REWARDS))


def _model(eye: Eye, core: Any = "lstm") -> RecurrentAttention:
    return make_agent(ReinforceConfig(**SIZES, core=core), eye).model


def _view(
    first: Any = "random", core: str = "lstm", *, rows: int = ROWS, copies: int = 1, **options: Any
) -> BeliefView:
    eye = make_eye(first)
    batch = make_batch(eye, rows, copies=copies)
    return BeliefView(batch, _model(eye, core), **{"precision": "float32", **options})


def _choices(first: str, glimpses: int = GLIMPSES) -> int:
    return glimpses if first == "agent" else glimpses - 1


def _actions(time: int, rows: int = ROWS) -> Array:
    """Return locations, some of them beyond the border."""
    return np.random.default_rng(time).uniform(-1.3, 1.3, (rows, 2)).astype(np.float32)


def _replay(
    batch: GlimpseBatch,
    model: RecurrentAttention,
    observation: Observation,
    actions: list[Array],
    **options: Any,
) -> tuple[Rollout, list[Tensor]]:
    """Return what `roll_out` makes of episodes with these locations, and its hidden states."""
    hidden: list[Tensor] = []
    coming = iter(actions)
    watching = model.core.register_forward_hook(lambda core, given, state: hidden.append(state[0]))
    with torch.no_grad():
        rollout = roll_out(
            model, batch, observation, lambda mean: torch.from_numpy(next(coming)), **options
        )
    watching.remove()
    return rollout, hidden


def _hidden(model: RecurrentAttention, observation: Observation) -> Array:
    """Return the hidden state after the first look."""
    with torch.no_grad():
        return model(observation, model.initial(observation))[0].numpy()


def _same(got: Array, wanted: Tensor | Array) -> None:
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.asarray(wanted), rtol=0, atol=1e-5)


# What is shown


@every_first
@every_core
def test_the_hidden_states_are_those_of_a_rollout(first: str, core: str) -> None:
    view = _view(first, core)
    actions = [_actions(time) for time in range(_choices(first))]
    shown = [view.reset(seed=3)[0]]
    for action in actions:
        seen, _, ended, _, info = view.step(action)
        shown.append(info["final_obs"] if ended.any() else seen)
    batch = make_batch(view.batch.eye, ROWS)
    _, wanted = _replay(batch, view.model, batch.reset(seed=3)[0], actions)
    assert len(shown) == len(wanted) == _choices(first) + 1
    for got, state in zip(shown, wanted, strict=True):
        assert len(got) == ROWS
        for row in range(ROWS):
            _same(got[row], state[row])
    assert all(not np.allclose(one, other) for one, other in pairwise(map(list, shown)))


@pytest.mark.parametrize("context", [None, 3])
def test_the_first_hidden_state_knows_the_context_if_there_is_one(context: int | None) -> None:
    eye = make_eye(context=context)
    batch, model = make_batch(eye, ROWS), _model(eye)
    shown = BeliefView(make_batch(eye, ROWS), model, precision="float32").reset(seed=1)[0]
    _same(shown, _hidden(model, batch.reset(seed=1)[0]))
    if context:
        nothing = batch.reset(seed=1)[0]
        nothing["context"].zero_()
        assert not np.allclose(shown, _hidden(model, nothing))


def test_spaces() -> None:
    view = _view()
    assert view.num_envs == ROWS
    assert view.single_observation_space == spaces.Box(-np.inf, np.inf, (HIDDEN,))
    assert view.single_action_space == spaces.Box(-1, 1, (2,))
    assert view.observation_space == spaces.Box(-np.inf, np.inf, (ROWS, HIDDEN))
    assert view.action_space == spaces.Box(-1, 1, (ROWS, 2))
    assert view.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    view.action_space.seed(0)
    assert view.observation_space.contains(view.reset(seed=0)[0])
    for _ in range(4):
        seen, rewards, ended, cut, _ = view.step(view.action_space.sample())
        assert view.observation_space.contains(seen)
        assert (rewards.shape, rewards.dtype) == ((ROWS,), np.float64)
        assert (ended.shape, ended.dtype) == (cut.shape, cut.dtype) == ((ROWS,), np.bool_)
        assert not cut.any()


def test_full_precision_is_shown_whatever_is_computed_in() -> None:
    shown = {
        precision: _view(precision=precision).reset(seed=0)[0]
        for precision in ("float32", "bfloat16")
    }
    assert shown["bfloat16"].dtype == np.float32
    np.testing.assert_allclose(shown["bfloat16"], shown["float32"], rtol=0, atol=0.02)
    assert (shown["bfloat16"] != shown["float32"]).any()


# Rewards


@every_first
@every_core
@every_reward
def test_rewards_are_those_of_a_rollout_s_answers(first: str, core: str, reward: str) -> None:
    view, choices = _view(first, core, reward=reward), _choices(first)
    actions = [_actions(time) for time in range(choices)]
    view.reset(seed=3)
    earned = np.stack([view.step(action)[1] for action in actions], axis=1)
    batch = make_batch(view.batch.eye, ROWS)
    rollout, _ = _replay(batch, view.model, batch.reset(seed=3)[0], actions)
    wanted = returns_to_go(
        REWARDS[reward](answered(batch.task), rollout.answers, rollout.target), choices
    )
    to_go = earned[:, ::-1].cumsum(axis=1)[:, ::-1]
    np.testing.assert_allclose(to_go, wanted.numpy(), rtol=0, atol=1e-5)
    assert (earned != 0).any()


def _log_prob(view: BeliefView, hidden: Array, target: Array) -> Array:
    """Return the log-probability of the class, from a hidden state."""
    with torch.no_grad():
        scores = view.model.classifier(torch.tensor(np.stack(list(hidden)))).double().numpy()
    return (scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))[range(len(target)), target]


@every_first
def test_gains_are_what_the_shown_hidden_states_say_more_of_the_class(first: str) -> None:
    """Where the agent looks first, its first look gains on a guess: log p + ln n."""
    view = _view(first)
    seen, info = view.reset(seed=5)
    before = _log_prob(view, seen, info["target"])
    if first == "agent":
        before = np.full(ROWS, -log(len(CLASSES)))
    for time in range(2 * _choices(first)):
        seen, rewards, ended, _, told = view.step(_actions(time))
        last = told["final_obs"] if ended.any() else seen
        after = _log_prob(view, last, info["target"])
        np.testing.assert_allclose(rewards, after - before, rtol=0, atol=1e-5)
        before, info = after, told
        if ended.any():
            before = _log_prob(view, seen, info["target"])
            if first == "agent":
                before = np.full(ROWS, -log(len(CLASSES)))


@every_first
def test_a_right_last_answer_pays_one_and_nothing_else_pays(first: str) -> None:
    view = _view(first, rows=40, reward="correct")
    _, info = view.reset(seed=0)
    for time in range(_choices(first)):
        _, rewards, ended, _, told = view.step(_actions(time, 40))
        if not ended.any():
            assert rewards.tolist() == [0] * 40
    scores = view.model.classifier(torch.tensor(np.stack(list(told["final_obs"]))))
    right = scores.argmax(dim=1).numpy() == info["target"]
    assert rewards.tolist() == right.astype(float).tolist()
    assert 0 < right.sum() < 40


# Episodes


@every_first
@pytest.mark.parametrize("copies", [1, 3])
def test_all_rows_end_at_once_and_the_same_step_begins_the_next_episodes(
    first: str, copies: int
) -> None:
    rows = 6
    view = _view(first, rows=rows, copies=copies)
    batch, choices = make_batch(view.batch.eye, rows, copies=copies), _choices(first)
    observation, wanted = batch.reset(seed=8)
    seen, info = view.reset(seed=8)
    for _ in range(3):
        _same(seen, _hidden(view.model, observation))
        assert info["target"].tolist() == wanted["target"].tolist()
        assert info["_target"].tolist() == [True] * rows
        for time in range(choices):
            last = wanted
            seen, _, ended, _, info = view.step(_actions(time, rows))
            assert ended.tolist() == [time == choices - 1] * rows
            assert ("final_info" in info) == ("final_obs" in info) == (time == choices - 1)
            if time < choices - 1:
                assert info["target"].tolist() == last["target"].tolist()
        observation, wanted = batch.reset()
        assert wanted["target"].tolist() != last["target"].tolist()  # or nothing would be tested
        assert info["final_info"]["target"].tolist() == last["target"].tolist()
        for name in ("_final_info", "_final_obs"):
            assert info[name].tolist() == [True] * rows
        assert info["final_info"]["_target"].tolist() == [True] * rows


def test_as_many_rows_as_numbers_in_a_hidden_state_are_no_matrix() -> None:
    view = _view("centre", rows=HIDDEN)
    view.reset(seed=0)
    last = [view.step(_actions(time, HIDDEN)) for time in range(3)][-1][-1]["final_obs"]
    assert (last.shape, last.dtype) == ((HIDDEN,), object)
    assert [row.shape for row in last] == [(HIDDEN,)] * HIDDEN


def _play(view: BeliefView, steps: int, seed: Any = 3) -> list[Any]:
    return [view.reset(seed=seed), *(view.step(_actions(time)) for time in range(steps))]


def _numbers(results: list[Any]) -> list[Any]:
    """Return every array in the results of `reset` and `step`, as lists."""
    found: list[Any] = []
    for part in results:
        if isinstance(part, dict | tuple | list):
            found += _numbers(
                [part[name] for name in sorted(part)] if isinstance(part, dict) else [*part]
            )
        elif part.dtype == object:
            found += _numbers(list(part))
        else:
            found.append(part.tolist())
    return found


@every_first
def test_the_same_seed_is_the_same_episodes(first: str) -> None:
    view = _view(first)
    wanted = _numbers(_play(view, 8))
    assert _numbers(_play(view, 8)) == wanted
    assert _numbers(_play(_view(first), 8)) == wanted
    assert _numbers(_play(view, 8, seed=4)) != wanted
    assert _numbers(_play(view, 8, seed=list(range(3, 3 + ROWS)))) == wanted


def test_without_a_seed_the_next_episodes_follow() -> None:
    view, batch = _view(), make_batch(make_eye("random"), ROWS)
    view.reset(seed=2)
    batch.reset(seed=2)
    for _ in range(3):
        _same(view.reset()[0], _hidden(view.model, batch.reset()[0]))
        _same(view.reset(options={})[0], _hidden(view.model, batch.reset()[0]))


@pytest.mark.parametrize("copies", [1, 3])
def test_images_may_be_named(copies: int) -> None:
    view = _view(rows=6, copies=copies)
    images: Any = view.batch.images
    indices = [29, 0, 7, 7, 3, 2][: 6 // copies]
    shown = []
    for seed in (None, 5):
        seen, info = view.reset(seed=seed, options={"indices": np.array(indices)})
        assert info["target"].tolist() == images.targets[indices].repeat_interleave(copies).tolist()
        shown.append(seen)
    batch = make_batch(view.batch.eye, 6, copies=copies)
    wanted = batch.reset(seed=5, options={"indices": indices})[0]
    _same(shown[1], _hidden(view.model, wanted))


def test_begin_says_what_begins_unless_somebody_else_does() -> None:
    batch = make_batch(make_eye("centre"), ROWS)
    begun: list[int] = []

    def begin() -> Observation:
        begun.append(len(begun))
        rows = torch.arange(ROWS)
        return batch.begin(100 * len(begun) + rows, (rows + len(begun)) % 30)

    view = BeliefView(batch, _model(batch.eye), begin=begin, precision="float32")
    targets: Any = batch.images.targets
    view.reset(seed=0)
    view.reset(options={"indices": range(ROWS)})
    assert begun == []
    assert view.reset()[1]["target"].tolist() == targets[1 : ROWS + 1].tolist()
    assert begun == [0]
    for number in (2, 3):
        for time in range(3):
            seen, *_, info = view.step(_actions(time))
        assert info["target"].tolist() == targets[number : ROWS + number].tolist()
        wanted = make_batch(batch.eye, ROWS)
        rows = torch.arange(ROWS)
        _same(seen, _hidden(view.model, wanted.begin(100 * number + rows, rows + number)))
    assert len(begun) == 3


# Learning


@every_first
@pytest.mark.parametrize("context", [None, 3])
def test_learn_is_told_what_was_looked_at(first: str, context: int | None) -> None:
    told: list[Episodes] = []
    eye = make_eye(first, context=context)
    view = BeliefView(make_batch(eye, ROWS), _model(eye), learn=told.append)
    batch = make_batch(eye, ROWS)
    view.reset(seed=3)
    for episode in range(3):
        observation, info = batch.reset(seed=None if episode else 3)
        wanted = [observation]
        for time in range(_choices(first)):
            assert len(told) == episode
            view.step(_actions(10 * episode + time))
            action = torch.from_numpy(_actions(10 * episode + time))
            wanted.append(batch.step(action.clamp(-1, 1))[0])
        assert len(told) == episode + 1
        found = told[-1]
        assert found.glimpses == GLIMPSES
        assert found.target.tolist() == info["target"].tolist()
        assert len(found.observations) == len(wanted)
        for got, seen in zip(found.observations, wanted, strict=True):
            assert got.keys() == seen.keys()
            for name in seen:
                torch.testing.assert_close(got[name], seen[name], rtol=0, atol=0)
    # And what it was told stays as it is while others are played.
    assert told[0].target.tolist() != told[1].target.tolist()
    again, _ = batch.reset(seed=3)
    for name in again:
        assert torch.equal(told[0].observations[0][name], again[name])


def test_it_learns_before_the_next_episodes_begin_and_shows_them_as_it_has_learned() -> None:
    eye = make_eye("centre")
    batch, model = make_batch(eye, ROWS), _model(eye)
    order: list[str] = []
    shown: list[Observation] = []

    def learn(episodes: Episodes) -> None:
        order.append("learn")
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(1.2)

    def begin() -> Observation:
        order.append("begin")
        shown.append(batch.reset()[0])
        return shown[-1]

    view = BeliefView(batch, model, learn=learn, begin=begin, precision="float32")
    view.reset(seed=0)
    for episode in range(3):
        for time in range(3):
            assert order == ["learn", "begin"] * episode
            before = [_hidden(model, one) for one in shown]
            seen, rewards, *_, info = view.step(_actions(time))
        assert order == ["learn", "begin"] * (episode + 1)
        _same(seen, _hidden(model, shown[-1]))
        for now, then in zip(shown, before, strict=False):
            assert not np.allclose(_hidden(model, now), then, atol=1e-3)
        # The next reward begins from there too.
        start = _log_prob(view, seen, info["target"])
        seen, rewards, *_, info = view.step(_actions(0))
        gained = _log_prob(view, seen, info["target"]) - start
        np.testing.assert_allclose(rewards, gained, rtol=0, atol=1e-5)
        view.reset()
        order.pop()


def test_the_last_reward_is_of_the_perceiver_that_looked() -> None:
    """Not of what it has learned from that very episode."""
    rewards = []
    for change in (False, True):
        view = _view("centre")
        weights = view.model.classifier.weight

        def learn(episodes: Episodes, weights: Any = weights, change: bool = change) -> None:
            if change:
                weights.data.mul_(-3)

        view._learn = learn
        rewards.append([step[1].tolist() for step in _play(view, 5)[1:]])
    assert rewards[0][:3] == rewards[1][:3]
    assert rewards[0][3] != rewards[1][3]


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_what_is_broken_off_is_not_learned_from(steps: int) -> None:
    told: list[Episodes] = []
    view = _view("centre", learn=told.append)
    for options in ({"seed": 3}, {}, {"options": {"indices": range(ROWS)}}, {"seed": 4}):
        view.reset(**options)
        for time in range(steps):
            view.step(_actions(time))
    assert told == []
    view.reset(seed=3)
    for time in range(3):
        view.step(_actions(time))
    (found,) = told
    assert len(found.observations) == 4
    wanted = make_batch(view.batch.eye, ROWS)
    assert torch.equal(found.target, wanted.reset(seed=3)[1]["target"])
    assert torch.equal(found.observations[0]["glimpse"], wanted.reset(seed=3)[0]["glimpse"])


class Forgetful(nn.Module):
    """A glimpse network that drops half of what it sees while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.drop = nn.Linear(2 * 2 * 9, 12), nn.Dropout(0.5)

    def forward(self, glimpse: Tensor, location: Tensor) -> Tensor:
        features: Tensor = self.drop(self.layer(glimpse.flatten(1)))
        return features


def test_what_is_shown_is_seen_as_in_an_evaluation() -> None:
    eye = make_eye("centre")
    agent = Agent.create(ReinforceConfig(**SIZES), eye, 2, TASK, glimpse_network=Forgetful())
    wanted = None
    for training in (True, False):
        view = BeliefView(make_batch(eye, ROWS), agent.model, precision="float32")
        view._learn = lambda episodes, training=training: agent.model.train(training)
        agent.model.train(training)
        found = _numbers(_play(view, 8))
        assert found == (wanted or found)
        wanted = found


# What is given and returned


def test_actions_are_clipped() -> None:
    seen = []
    for scale in (1, 2, np.inf):
        view = _view("centre")
        view.reset(seed=0)
        corner = np.tile([1.0, -1.0], (ROWS, 1)) * scale
        seen.append(view.step(corner.astype(np.float32))[0])
        assert view.batch.trail[:, 1].tolist() == [[1, -1]] * ROWS
    for other in seen[1:]:
        np.testing.assert_array_equal(other, seen[0])


@pytest.mark.parametrize("kind", ["float64", ">f4", "float16", "int64", "uint8", "strided"])
def test_any_numbers_do(kind: str) -> None:
    wanted, view = _view("centre"), _view("centre")
    for one in (wanted, view):
        one.reset(seed=0)
    places = np.tile([[0, 1], [1, 0]], (ROWS, 1))[:ROWS]
    given = places.astype(np.float32 if kind == "strided" else kind)
    if kind == "strided":
        given = np.repeat(given, 2, axis=1)[:, ::2]
        given.setflags(write=False)
    np.testing.assert_array_equal(view.step(given)[0], wanted.step(places.astype(np.float32))[0])


def test_what_is_done_to_actions_later_does_not_matter() -> None:
    told: list[Episodes] = []
    view = _view("centre", learn=told.append)
    view.reset(seed=0)
    action = _actions(0)
    for _ in range(3):
        view.step(action)
        action[:] = 0.5
    assert told[0].observations[1]["location"].tolist() == _actions(0).clip(-1, 1).tolist()


def _arrays(results: Any) -> list[Array]:
    if isinstance(results, dict):
        return _arrays(list(results.values()))
    if isinstance(results, list | tuple):
        return [array for part in results for array in _arrays(part)]
    if results.dtype == object:
        return [results, *_arrays(list(results))]
    return [results]


@every_first
def test_what_is_done_to_results_later_does_not_matter(first: str) -> None:
    wanted = _numbers(_play(_view(first), 9))
    told: list[Episodes] = []
    view = _view(first, learn=told.append)
    found: list[Any] = []
    for time in range(-1, 9):
        results = view.step(_actions(time)) if time >= 0 else view.reset(seed=3)
        found += _numbers([results])
        arrays = [array for array in _arrays(results) if array.dtype != object]
        for array in arrays:
            array[:] = 1
        kept = [of for each in told for one in each.observations for of in one.values()]
        for tensor in (*kept, *(each.target for each in told)):
            assert not any(np.shares_memory(tensor.numpy(), array) for array in arrays)
    assert found == wanted


@every_first
def test_results_share_no_memory(first: str) -> None:
    arrays = [array for array in _arrays(_play(_view(first), 9)) if array.dtype != object]
    assert len(arrays) > 60
    for number, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[:number])


def test_no_gradient_is_kept() -> None:
    told: list[Episodes] = []
    view = _view("agent", learn=told.append)
    _play(view, 6)
    kept = [*view._state, view._answers, *(part for one in view._seen for part in one.values())]
    kept += [part for one in told[0].observations for part in one.values()]
    assert len(kept) > 10
    assert not any(tensor.requires_grad for tensor in kept)
    assert all(weight.grad is None for weight in view.model.parameters())
    assert all(weight.requires_grad for weight in view.model.parameters())


def test_location_head_and_baseline_are_not_used() -> None:
    wanted = _numbers(_play(_view(), 8))
    view = _view()
    view.model.locator = view.model.baseline = nn.Module()  # which would fail
    assert _numbers(_play(view, 8)) == wanted


def test_gymnasium_s_wrappers_work_on_it() -> None:
    view = _view("agent")
    env = RecordEpisodeStatistics(_view("agent"), buffer_length=2 * ROWS)
    env.reset(seed=3)
    view.reset(seed=3)
    total, returns = np.zeros(ROWS), list[float]()
    for time in range(8):
        *_, ended, _, info = env.step(_actions(time))
        total += view.step(_actions(time))[1]
        assert ("episode" in info) == ended.all() == (time in (3, 7))
        if ended.all():
            np.testing.assert_allclose(info["episode"]["r"], total, atol=1e-6)
            assert info["episode"]["l"].tolist() == [4] * ROWS
            returns += total.tolist()
            total[:] = 0
    assert list(env.return_queue) == pytest.approx(returns, abs=1e-6)
    env.close()


# Errors


def _mean(model: RecurrentAttention) -> Callable[[Array], Array]:
    def choose(hidden: Array) -> Array:
        with torch.no_grad():
            mean: Array = model.locator(torch.from_numpy(hidden)).numpy()
        return mean

    return choose


@every_first
@pytest.mark.parametrize(("rows", "copies"), [(7, 1), (25, 1), (6, 3)])
def test_errors_are_those_of_a_survey(first: str, rows: int, copies: int) -> None:
    agent = make_agent(eye=make_eye(first))
    with torch.no_grad():
        agent.model.classifier.weight.mul_(50)  # not the same answer to all
    batch = make_batch(agent.eye, rows, copies=copies)
    view = BeliefView(make_batch(agent.eye, rows, copies=copies), agent.model, precision="float32")
    for split, seed, count in (("test", 0, 25), ("train", 4, 5)):
        wanted = agent.survey(batch, split, seed=seed).errors
        found = view.errors(split, _mean(agent.model), seed=seed)
        assert found == wanted
        assert view.errors(split, _mean(agent.model), seed=seed) == wanted
        assert [error.count for error in found] == [count] * GLIMPSES
        in_a_corner = view.errors(split, lambda hidden: np.ones((len(hidden), 2)), seed=seed)
        assert split == "train" or in_a_corner != wanted


def test_choose_is_shown_the_hidden_states() -> None:
    view, shown = _view("agent"), list[Array]()

    def choose(hidden: Array) -> Array:
        shown.append(hidden.copy())
        return np.zeros((len(hidden), 2))

    view.errors("test", choose)
    assert [len(hidden) for hidden in shown] == [7] * 12 + [4] * 4
    batch = make_batch(view.batch.eye, ROWS)
    number = 0
    for observation, _ in batch.sweep("test"):
        zeros = [np.zeros((len(observation["step"]), 2), np.float32)] * 4
        _, wanted = _replay(batch, view.model, observation, zeros)
        for state in wanted[:4]:
            _same(shown[number], state)
            number += 1
    assert number == len(shown)


def test_errors_are_not_learned_from_and_disturb_nothing() -> None:
    told: list[Episodes] = []
    view, alone = _view("centre", learn=told.append), _view("centre")
    before = {name: value.clone() for name, value in view.model.state_dict().items()}
    for one in (view, alone):
        one.reset(seed=0)
        one.step(_actions(0))
    view.errors("test", lambda hidden: np.zeros((len(hidden), 2)))
    assert told == []
    for name, value in view.model.state_dict().items():
        assert torch.equal(value, before[name])
    for time in range(1, 2 * _choices("centre")):
        got, wanted = view.step(_actions(time)), alone.step(_actions(time))
        for mine, others in zip(got[:4], wanted[:4], strict=True):
            np.testing.assert_array_equal(mine, others)
    assert len(told) == 2


def test_an_evaluation_that_fails_leaves_no_test_image_to_learn_from() -> None:
    told: list[Episodes] = []
    view = _view("centre", rows=5, learn=told.append)
    view.reset(seed=0)
    with refused("actions must be numbers of shape (5, 2), got float64 of shape (5, 2) with NaN"):
        view.errors("test", lambda hidden: np.full((5, 2), np.nan))
    with suppress(ValueError):
        for time in range(3):
            view.step(_actions(time, 5))
    wanted, _ = make_batch(view.batch.eye, 5).reset(seed=0)
    assert all(torch.equal(each.observations[0]["glimpse"], wanted["glimpse"]) for each in told)


def test_locations_of_another_number_are_refused_in_an_evaluation_too() -> None:
    view = _view("centre")
    with refused("actions must be numbers of shape (7, 2), got float64 of shape (3, 2): give 2"):
        view.errors("test", lambda hidden: np.zeros((3, 2)))
    with refused("`split` must be one of test, train, validation, got 'tests': choose one"):
        view.errors("tests", lambda hidden: np.zeros((3, 2)))
    with refused("split 'validation' must hold images, got none: choose another split"):
        view.errors("validation", lambda hidden: np.zeros((3, 2)))


# Refusals


@pytest.mark.parametrize(
    ("action", "got"),
    [
        (np.zeros((ROWS, 3), np.float32), "float32 of shape (7, 3)"),
        (np.zeros((ROWS - 1, 2)), "float64 of shape (6, 2)"),
        (np.zeros(2, np.float32), "float32 of shape (2,)"),
        (np.zeros((ROWS, 2, 1), np.int64), "int64 of shape (7, 2, 1)"),
        (np.full((ROWS, 2), np.nan), "float64 of shape (7, 2) with NaN"),
        (np.where(np.arange(14).reshape(ROWS, 2) == 9, np.nan, 0), "float64 of shape (7, 2) with"),
    ],
)
def test_actions_that_are_no_locations_are_refused(action: Array, got: str) -> None:
    view, wanted = _view(), _view()
    for one in (view, wanted):
        one.reset(seed=0)
    with refused(f"actions must be numbers of shape (7, 2), got {got}"):
        view.step(action)
    assert _numbers([view.step(_actions(0))]) == _numbers([wanted.step(_actions(0))])


@pytest.mark.parametrize("action", [np.zeros((ROWS, 2), bool), np.full((ROWS, 2), "0")])
def test_actions_of_another_type_are_refused_for_their_type(action: Array) -> None:
    view = _view()
    view.reset(seed=0)
    message = f"actions must be numbers of shape (7, 2), got {action.dtype} of shape (7, 2): give"
    with refused(message):
        view.step(action)


def test_a_step_before_reset_is_refused() -> None:
    with refused("`reset` must come before `step`, got a step: call reset(seed=0)"):
        _view().step(_actions(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"reset_mask": np.ones(6, bool)},
            "`reset_mask` must not be given, got one: all rows begin together",
        ),
        (
            {"indices": [0]},
            "`indices` must be (2,), got (1,): name one image for each group of copies",
        ),
        (
            {"indices": np.arange(6)},
            "`indices` must be (2,), got (6,): name one image for each group of copies",
        ),
        ({"indices": [0, 30]}, "`indices` must be in [0, 30), got 0 to 30: name images that are"),
        ({"index": [0]}, "`options` must be among indices and reset_mask, got index: leave it out"),
    ],
)
def test_options_that_do_not_fit_are_refused_and_change_nothing(
    options: dict[str, Any], message: str
) -> None:
    view, wanted = (_view(rows=6, copies=3) for _ in range(2))
    for one in (view, wanted):
        one.reset(seed=0)
        one.step(_actions(0, 6))
    with refused(message):
        view.reset(seed=1, options=options)
    for time in range(1, 5):
        action = _actions(time, 6)
        assert _numbers([view.step(action)]) == _numbers([wanted.step(action)])


def test_seeds_that_do_not_fit_are_refused() -> None:
    with refused("`seed` must be in [0, 2**63), got -1: choose another"):
        _view().reset(seed=-1)
    with refused("`seed` must be one number or 7, got (2,): give one for each row"):
        _view().reset(seed=[0, 1])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_perceiver_that_has_diverged_is_refused(value: float) -> None:
    """One number is enough."""
    view = _view(core="relu")
    view.reset(seed=0)
    with torch.no_grad():
        view.model.get_parameter("core.cell.bias_ih")[3] = value
    message = (
        "the perceiver's hidden state must be numbers, got NaN or infinity: choose a lower "
        "learning_rate, or look for NaN in the images"
    )
    with refused(message):
        view.step(_actions(0))


def test_unknown_rewards_are_refused() -> None:
    with refused("`reward` must be one of correct, gain, loss, got 'end': choose one"):
        _view(reward="end")


def test_a_batch_that_judges_is_refused() -> None:
    eye = make_eye()
    with refused(
        "`predict` must be 'external' for a belief view, got 'flat': the perceiver judges itself"
    ):
        BeliefView(make_batch(eye, predict="flat"), _model(eye))


def test_an_eye_that_is_not_moved_is_refused() -> None:
    eye = make_eye("centre", glimpses=1)
    with refused("`glimpses` must be at least 2, got 1: nobody chooses a location"):
        BeliefView(make_batch(eye), _model(eye))
    one = make_eye("agent", glimpses=1)
    view = BeliefView(make_batch(one, ROWS), _model(one))
    view.reset(seed=0)
    assert view.step(_actions(0))[2].all()


def test_a_search_is_refused() -> None:
    eye = make_eye()
    batch = GlimpseBatch(load_haystacks(10), eye, 2)
    message = (
        "images must be answered about, got a Search, whose answer is the location: choose "
        "another environment"
    )
    with refused(message):
        BeliefView(batch, _model(eye))


@pytest.mark.plain
def test_an_environment_is_not_its_engine() -> None:
    env: Any = GlimpseVectorEnv(2)
    with refused(
        "`batch` must be the engine of an environment, got a GlimpseVectorEnv: give env.core"
    ):
        BeliefView(env, _model(make_eye()))
    BeliefView(env.core, _model(make_eye()))


@pytest.mark.plain
def test_what_is_no_perceiver_is_refused() -> None:
    view = _view("centre")
    with refused("`model` must be a perceiver's networks, got a GlimpseBatch: give agent.model"):
        BeliefView(view.batch, view.batch)  # type: ignore[arg-type]
    with refused("`learn` must be a function, got a int: give perceiver.learn"):
        BeliefView(view.batch, view.model, learn=3)  # type: ignore[arg-type]
