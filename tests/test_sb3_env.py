"""The adapter against the environment it adapts, and stable-baselines3's own agents on top."""

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from cue import EYE, cue_task
from expect import assert_alike, refused
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from lookers import make_agent, make_batch, make_eye
from numpy.typing import NDArray
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import tile_images
from torch import nn

from glimpse import GlimpseBatch
from glimpse.agents import BeliefView, Perceiver, SB3VecEnv
from glimpse.envs import GlimpseVectorEnv
from glimpse.networks import RecurrentAttention
from glimpse.tasks import answered

Array = NDArray[Any]
Env = VectorEnv[Any, Any, Any]
ROWS = 5


def _digits(**options: Any) -> Env:
    return gymnasium.make_vec(
        "glimpse/Digits-v0",
        num_envs=ROWS,
        vectorization_mode="vector_entry_point",
        **{"autoreset_mode": "SameStep", "glimpses": 3, "context": 4, **options},
    )


def _belief(grid: int | None = None) -> BeliefView:
    eye = make_eye("agent", glimpses=3)
    model = make_agent(eye=eye).model
    return BeliefView(make_batch(eye, ROWS), model, grid=grid, precision="float32")


KINDS: Mapping[str, Callable[[], Env]] = {
    "external": _digits,
    "flat": lambda: _digits(predict="flat", reward="gain"),
    "belief": _belief,
    "grid": lambda: _belief(3),
    "wrapped": lambda: RecordEpisodeStatistics(_digits(predict="flat")),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


class Ending(VectorEnv[Any, Any, Any]):
    """Four rows that see the time; at 2 one goes on, one ends, one is cut off and one is both."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012
    over, cut = np.array([0, 1, 0, 1], bool), np.array([0, 0, 1, 1], bool)

    def __init__(self) -> None:
        self.num_envs = 4
        self.single_observation_space = spaces.Box(0, 9, (1,))
        self.single_action_space = spaces.Box(-1, 1, (2,))
        self.observation_space = batch_space(self.single_observation_space, 4)
        self.action_space = batch_space(self.single_action_space, 4)
        self.time = np.zeros((4, 1), np.float32)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        self.time[:] = 0
        return self.time.copy(), {"asked": (seed, options)}

    def step(self, actions: Array) -> Any:
        self.time += 1
        over, cut = self.over & (self.time[:, 0] == 2), self.cut & (self.time[:, 0] == 2)
        done, info = over | cut, dict[str, Any]()
        if done.any():
            last = np.full(4, None, dtype=object)
            for row in np.flatnonzero(done):
                last[row] = self.time[row].copy()
            info = {"final_obs": last, "_final_obs": done}
            self.time[done] = 0
        return self.time.copy(), np.arange(4.0), over, cut, info


def _timeless(info: dict[str, Any]) -> dict[str, Any]:
    """Return what an environment said without how long it took."""
    return {
        name: {part: of for part, of in said.items() if part != "t"} if name == "episode" else said
        for name, said in info.items()
    }


def _action(env: Env, time: int) -> Array:
    space = env.single_action_space
    random = np.random.default_rng(time)
    if isinstance(space, spaces.Discrete):
        return random.integers(int(space.n), size=env.num_envs)
    assert space.shape is not None
    return random.uniform(-1.2, 1.2, (env.num_envs, *space.shape)).astype(np.float32)


# What passes through


@every_kind
def test_every_step_is_the_environment_s(kind: str) -> None:
    plain, adapted = KINDS[kind](), SB3VecEnv(KINDS[kind]())
    adapted.seed(6)
    observation, info = plain.reset(seed=6)
    assert_alike(adapted.reset(), observation)
    assert_alike(adapted.info, info)
    ends = 0
    for time in range(8):
        action = _action(plain, time)
        observation, rewards, over, cut, info = plain.step(action)
        got, earned, done, infos = adapted.step(action)
        assert_alike(got, observation)
        assert_alike(earned, rewards.astype(np.float32))
        assert_alike(done, over | cut)
        assert_alike(_timeless(adapted.info), _timeless(info))
        assert isinstance(infos, list)
        assert len(infos) == ROWS
        for row in range(ROWS):
            wanted = {}
            if over[row]:
                last = info["final_obs"][row]
                wanted = {"terminal_observation": last, "TimeLimit.truncated": False}
            assert_alike(infos[row], wanted)
        ends += int(over.all())
    assert ends >= 2
    adapted.close()


@every_kind
def test_spaces_are_those_of_one_row(kind: str) -> None:
    env = KINDS[kind]()
    adapted = SB3VecEnv(env)
    assert adapted.env is env
    assert adapted.num_envs == ROWS
    assert adapted.observation_space == env.single_observation_space
    assert adapted.action_space == env.single_action_space
    assert adapted.render_mode is None


def test_how_an_episode_ended_is_told_row_by_row() -> None:
    env = SB3VecEnv(Ending())
    env.reset()
    actions = np.zeros((4, 2), np.float32)
    for time in range(1, 7):
        _, rewards, done, infos = env.step(actions)
        assert rewards.tolist() == [0, 1, 2, 3]
        if time % 2:
            assert not done.any()
            assert infos == [{}] * 4
            continue
        assert done.tolist() == [False, True, True, True]
        assert infos[0] == {}
        for row, truncated in ((1, False), (2, True), (3, False)):
            assert infos[row]["terminal_observation"].tolist() == [2]
            assert infos[row]["TimeLimit.truncated"] is truncated


@pytest.mark.parametrize("make", [Ending, _belief])
def test_every_row_has_an_info_of_its_own(make: Callable[[], Env]) -> None:
    """Wrappers write into them."""
    env = SB3VecEnv(make())
    env.seed(0)
    env.reset()
    for time in range(6):
        *_, infos = env.step(_action(env.env, time))
        assert len({id(info) for info in infos}) == env.num_envs
        for row, info in enumerate(infos):
            assert "row" not in info
            info["row"] = row
        assert [info["row"] for info in infos] == list(range(env.num_envs))
        assert "row" not in env.info


def test_infos_hold_the_last_observation_of_each_row_by_name() -> None:
    env = SB3VecEnv(_digits())
    env.seed(0)
    env.reset()
    for time in range(2):
        *_, infos = env.step(_action(env.env, time))
    for row, info in enumerate(infos):
        last = info["terminal_observation"]
        assert env.observation_space.contains(last)
        assert last["step"].tolist() == [3]
        assert last["location"].tolist() == _action(env.env, 1)[row].clip(-1, 1).tolist()


# Seeds and options


def test_seed_and_options_are_those_of_the_next_reset_only() -> None:
    env = SB3VecEnv(Ending())
    asked = []
    for number in range(5):
        if number in (1, 3):
            assert env.seed(10 * number) == [10 * number + row for row in range(4)]
        if number in (2, 3):
            env.set_options({"indices": [number]})
        env.reset()
        asked.append(env.info["asked"])
    assert asked == [
        (None, None),
        (10, None),
        (None, {"indices": [2]}),
        (30, {"indices": [3]}),
        (None, None),
    ]


def test_options_may_be_taken_back() -> None:
    env = SB3VecEnv(Ending())
    env.set_options({"indices": [1]})
    env.set_options()
    env.reset()
    assert env.info["asked"] == (None, None)


def test_a_reset_shows_the_images_that_are_named() -> None:
    env, view = SB3VecEnv(_belief()), _belief()
    indices = [29, 3, 3, 0, 7]
    env.seed(4)
    env.set_options({"indices": indices})
    observation, info = view.reset(seed=4, options={"indices": indices})
    assert_alike(env.reset(), observation)
    assert env.info["target"].tolist() == info["target"].tolist()
    assert_alike(env.reset(), view.reset()[0])  # and then the next of that seed


def test_options_row_by_row_are_refused() -> None:
    with refused("options must be one dict for all rows, got a list: they are one environment"):
        SB3VecEnv(_belief()).set_options([{}] * ROWS)


# Attributes, methods and pictures


@pytest.mark.parametrize("wrap", [lambda view: view, RecordEpisodeStatistics])
def test_attributes_are_those_of_the_one_environment(wrap: Any) -> None:
    view = _belief()
    env = SB3VecEnv(wrap(view))
    assert env.get_attr("num_envs") == [ROWS] * ROWS
    assert env.get_attr("num_envs", 2) == [ROWS]
    assert env.get_attr("num_envs", [0, 4]) == [ROWS] * 2
    assert all(one is view.batch for one in env.get_attr("batch"))
    assert env.has_attr("batch")
    assert not env.has_attr("glimpse")
    other = _belief().model
    env.set_attr("model", other)
    assert view.model is other
    for indices in (0, [0, 1], []):
        with refused("`model` must be set for all rows, got some: they are one environment"):
            env.set_attr("model", None, indices)
    env.set_attr("model", None, range(ROWS))
    assert view.model is None


def test_rows_have_no_methods() -> None:
    message = (
        "`errors` must be called on the vector environment, got a call on its rows: "
        "use .env.errors(...)"
    )
    with refused(message):
        SB3VecEnv(_belief()).env_method("errors", "test", indices=[0])


def test_rows_are_not_wrapped_one_by_one() -> None:
    env = SB3VecEnv(_belief())
    assert env.env_is_wrapped(Monitor) == [False] * ROWS
    assert env.env_is_wrapped(Monitor, [1, 2]) == [False] * 2


def test_pictures_are_the_environment_s() -> None:
    env = SB3VecEnv(_digits(render_mode="rgb_array"))
    env.seed(0)
    env.reset()
    assert env.render_mode == "rgb_array"
    pictures = env.get_images()
    assert len(pictures) == ROWS
    for picture, wanted in zip(pictures, env.env.render(), strict=True):
        np.testing.assert_array_equal(picture, wanted)
    assert any((picture != pictures[0]).any() for picture in pictures[1:])
    np.testing.assert_array_equal(env.render(), tile_images(list(env.env.render())))


def test_without_a_render_mode_there_are_no_pictures() -> None:
    env = SB3VecEnv(_digits())
    env.reset()
    assert env.get_images() == [None] * ROWS
    with pytest.warns(UserWarning, match="no `render_mode` was passed"):  # stable-baselines3's own
        assert env.render() is None


def test_closing_closes_the_environment() -> None:
    env = SB3VecEnv(Ending())
    assert not env.env.closed
    env.close()
    assert env.env.closed


# Refusals


@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
def test_environments_that_begin_episodes_later_are_refused(mode: str) -> None:
    message = (
        f"`autoreset_mode` must be SameStep for stable-baselines3, got {mode}: make the "
        'environment with gymnasium.make_vec(..., autoreset_mode="SameStep")'
    )
    with refused(message):
        SB3VecEnv(GlimpseVectorEnv(2, autoreset_mode=mode))


@pytest.mark.parametrize("metadata", [{}, None, {"autoreset_mode": None}])
def test_environments_that_do_not_say_when_are_refused(metadata: Any) -> None:
    env = Ending()
    env.metadata = metadata
    with refused("`autoreset_mode` must be SameStep for stable-baselines3, got None: make the"):
        SB3VecEnv(env)


@pytest.mark.plain
def test_a_single_environment_is_refused() -> None:
    message = "`env` must be a Gymnasium vector environment, got a {}: make it with"
    single: Any = gymnasium.make("glimpse/Digits-v0").unwrapped
    with refused(message.format("GlimpseEnv")):
        SB3VecEnv(single)
    adapted: Any = SB3VecEnv(_belief())
    with refused(message.format("SB3VecEnv")):
        SB3VecEnv(adapted)


# stable-baselines3's wrappers and evaluation


@every_kind
def test_the_monitor_tells_return_and_length(kind: str) -> None:
    plain, env = KINDS[kind](), VecMonitor(SB3VecEnv(KINDS[kind]()))
    env.seed(2)
    env.reset()
    plain.reset(seed=2)
    total, length, ends = np.zeros(ROWS), 0, 0
    for time in range(8):
        total, length = total + plain.step(_action(plain, time))[1], length + 1
        *_, done, infos = env.step(_action(plain, time))
        if done.all():
            assert [info["episode"]["l"] for info in infos] == [length] * ROWS
            found = [info["episode"]["r"] for info in infos]
            assert found == pytest.approx(total.tolist(), abs=1e-5)
            total, length, ends = np.zeros(ROWS), 0, ends + 1
        else:
            assert all("episode" not in info for info in infos)
    assert ends >= 2


def test_observations_may_be_normalised() -> None:
    plain, env = _belief(), VecNormalize(SB3VecEnv(_belief()), norm_reward=False)
    env.seed(2)
    seen = [plain.reset(seed=2)[0]]
    shown = [env.reset()]
    for time in range(30):
        observation, rewards, *_, info = plain.step(_action(plain, time))
        got, earned, _, infos = env.step(_action(plain, time))
        assert_alike(env.get_original_obs(), observation)
        np.testing.assert_array_equal(earned, rewards.astype(np.float32))
        seen.append(observation)
        shown.append(got)
    last = np.stack([row["terminal_observation"] for row in infos])
    every = np.concatenate(seen)
    mean, deviation = every.mean(axis=0), every.std(axis=0)
    assert not np.allclose(mean, 0, atol=0.1)
    for got, observation in ((shown[-1], seen[-1]), (last, np.stack(list(info["final_obs"])))):
        np.testing.assert_allclose(got, (observation - mean) / deviation, rtol=0.05, atol=0.05)


class Scripted:
    """A policy that looks where the time says."""

    def __init__(self, env: Env) -> None:
        self.env, self.time = env, -1

    def predict(self, *seen: Any, **options: Any) -> tuple[Array, None]:
        self.time += 1
        return _action(self.env, self.time), None


def _returns(env: Env, episodes: int) -> list[float]:
    env.reset(seed=9)
    returns: list[float] = []
    total, time = np.zeros(ROWS), 0
    while len(returns) < episodes:
        _, rewards, over, _, _ = env.step(_action(env, time))
        total, time = total + rewards, time + 1
        if over.all():
            returns += total.tolist()
            total = np.zeros(ROWS)
    return returns


@pytest.mark.parametrize("kind", ["flat", "belief", "grid"])
@pytest.mark.parametrize("monitored", [False, True])
def test_evaluate_policy_returns_what_episodes_earned(kind: str, monitored: bool) -> None:
    env: Any = SB3VecEnv(KINDS[kind]())
    env.seed(9)
    found = evaluate_policy(
        Scripted(env.env),
        VecMonitor(env) if monitored else env,
        n_eval_episodes=2 * ROWS,
        return_episode_rewards=True,
        warn=False,  # of rows without a monitor, which would change nothing
    )
    assert found[0] == pytest.approx(_returns(KINDS[kind](), 2 * ROWS), abs=1e-5)
    assert found[1] == [3] * 2 * ROWS


# stable-baselines3's agents


def _numbers(module: nn.Module) -> NDArray[np.float32]:
    return np.concatenate([weight.detach().numpy().ravel() for weight in module.parameters()])


class Kept(BeliefView):
    """A belief view that keeps its transitions, and counts how often it was learned from."""

    def __init__(self, rows: int, rate: float = 1e-3, grid: int | None = None) -> None:
        eye = make_eye("random", glimpses=3)
        batch, model = make_batch(eye, rows), make_agent(eye=eye).model
        self.perceiver = Perceiver(
            model, answered(batch.task), learning_rate=rate, precision="float32"
        )
        self.transitions: list[tuple[Array, Array, Array, Array]] = []
        self.learned = 0
        super().__init__(batch, model, learn=self._count, grid=grid, precision="float32")

    def _count(self, episodes: Any) -> None:
        self.learned += 1
        self.perceiver.learn(episodes)

    def reset(self, **options: Any) -> Any:
        self.seen, info = super().reset(**options)
        return self.seen, info

    def step(self, actions: Array) -> Any:
        result = super().step(actions)
        seen, rewards, over, _, info = result
        last = np.stack(list(info["final_obs"])) if over.all() else seen
        self.transitions.append((self.seen.copy(), last.copy(), rewards, over))
        self.seen = seen
        return result


OFF_POLICY: dict[str, Any] = {
    "buffer_size": 100,
    "learning_starts": 12,
    "batch_size": 8,
    "train_freq": 1,
}


def _small(env: SB3VecEnv, **options: Any) -> dict[str, Any]:
    sizes = {"net_arch": [8]}  # every agent writes into its own
    return {
        "policy": "MlpPolicy",
        "env": env,
        "policy_kwargs": sizes,
        "device": "cpu",
        "seed": 0,
        **options,
    }


AGENTS: Mapping[str, Callable[[SB3VecEnv], Any]] = {
    "PPO": lambda env: PPO(**_small(env, n_steps=4, batch_size=6, n_epochs=2)),
    "A2C": lambda env: A2C(**_small(env, n_steps=4)),
    "SAC": lambda env: SAC(**_small(env, **OFF_POLICY)),
    "TD3": lambda env: TD3(**_small(env, **OFF_POLICY)),
    "DQN": lambda env: DQN(**_small(env, **OFF_POLICY)),
}
every_agent = pytest.mark.parametrize("name", AGENTS)


def _grid(name: str) -> int | None:
    """DQN takes numbers: its view has a grid."""
    return 3 if name == "DQN" else None


@every_agent
def test_every_agent_learns_on_what_a_perceiver_believes(name: str) -> None:
    view = Kept(3, grid=_grid(name))
    before = _numbers(view.model)
    agent = AGENTS[name](SB3VecEnv(view))
    policy = _numbers(agent.policy)
    agent.learn(3 * 16)
    assert agent.num_timesteps == 3 * 16
    assert len(view.transitions) == 16
    assert view.learned == 8  # episodes of two steps
    for now, then in ((_numbers(view.model), before), (_numbers(agent.policy), policy)):
        assert np.isfinite(now).all()
        assert np.abs(now - then).max() > 1e-4
    actions, _ = agent.predict(view.seen, deterministic=True)
    assert actions.shape == ((3,) if name == "DQN" else (3, 2))
    assert len(view.errors("test", lambda hidden: agent.predict(hidden)[0])) == 3


@pytest.mark.parametrize("name", ["SAC", "TD3", "DQN"])
def test_what_is_replayed_is_what_happened(name: str) -> None:
    """The end of an episode is followed by its own last state, not by the next one's first."""
    view = Kept(3, grid=_grid(name))
    agent = AGENTS[name](SB3VecEnv(view))
    agent.learn(3 * 10)
    buffer = agent.replay_buffer
    assert len(view.transitions) == buffer.pos == 10
    for time, (before, after, rewards, over) in enumerate(view.transitions):
        np.testing.assert_array_equal(buffer.observations[time], before)
        np.testing.assert_array_equal(buffer.next_observations[time], after)
        np.testing.assert_array_equal(buffer.rewards[time], rewards.astype(np.float32))
        assert buffer.dones[time].tolist() == over.tolist() == [time % 2 == 1] * 3
    assert not buffer.timeouts.any()


@pytest.mark.parametrize("name", ["PPO", "A2C"])
def test_what_is_learned_from_is_what_happened(name: str) -> None:
    view = Kept(3, grid=_grid(name))
    agent = AGENTS[name](SB3VecEnv(view))
    agent.learn(3 * 4)
    buffer = agent.rollout_buffer
    for time, (before, _, rewards, _) in enumerate(view.transitions):
        seen = buffer.observations.reshape(3, 4, -1)[:, time]  # made flat, row by row
        np.testing.assert_array_equal(seen, before)
        np.testing.assert_array_equal(buffer.rewards[time], rewards.astype(np.float32))
        assert buffer.episode_starts[time].tolist() == [time % 2 == 0] * 3


@every_agent
def test_a_seed_is_a_run(name: str) -> None:
    """Given to the agent, it is the environment's too."""
    runs = []
    for seed in (0, 0, 1):
        view = Kept(3, grid=_grid(name))
        agent = AGENTS[name](SB3VecEnv(view))
        agent.set_random_seed(seed)
        agent.learn(3 * 8)
        runs.append((_numbers(agent.policy), _numbers(view.model)))
    for one, other, another in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, other)
        assert (one != another).any()


@pytest.mark.parametrize("kind", ["flat", "external"])
def test_an_agent_learns_on_what_is_seen(kind: str) -> None:
    env = SB3VecEnv(KINDS[kind]())
    agent = PPO(
        "MultiInputPolicy",
        env,
        n_steps=6,
        batch_size=10,
        n_epochs=2,
        learning_rate=1e-2,
        policy_kwargs={"net_arch": [8]},
        device="cpu",
        seed=0,
    )
    before = _numbers(agent.policy)
    agent.learn(2 * 6 * ROWS)
    after = _numbers(agent.policy)
    assert agent.num_timesteps == 2 * 6 * ROWS
    assert np.isfinite(after).all()
    assert np.abs(after - before).max() > 1e-3
    assert bool(agent.rollout_buffer.rewards.any()) == (kind == "flat")  # else nobody judges
    assert set(agent.rollout_buffer.observations) == {"glimpse", "location", "step", "context"}
    starts = agent.rollout_buffer.episode_starts
    assert starts.mean() == (1 / 3 if kind == "flat" else 1 / 2)


# Learning where to look

EPISODES, TOGETHER = 250, 64


def _cue_view() -> BeliefView:
    """Return the cue task as a perceiver sees it that learns from every batch of episodes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = RecurrentAttention((1, 1, 4, 4), 2, core="relu", hidden=32, features=32)
    batch = GlimpseBatch(cue_task()[0], EYE, TOGETHER)
    perceiver = Perceiver(
        model,
        answered(batch.task),
        learning_rate=5e-3,
        minibatches=1,
        precision="float32",
    )
    return BeliefView(batch, model, learn=perceiver.learn, precision="float32")


def _error(view: BeliefView, choose: Callable[[Array], Array]) -> float:
    first, last = view.errors("test", choose)
    assert first.percent > 35  # nothing to be seen yet
    return last.percent


@pytest.fixture(scope="module")
def uniform_error() -> float:
    """The error of a perceiver that was shown as many episodes, and is shown random places."""
    view, random = _cue_view(), np.random.default_rng(0)
    view.reset(seed=0)
    for _ in range(EPISODES):
        view.step(random.uniform(-1, 1, (TOGETHER, 2)))
    return _error(view, lambda hidden: random.uniform(-1, 1, (len(hidden), 2)))


def _cue_ppo(env: SB3VecEnv) -> PPO:
    return PPO(
        "MlpPolicy",
        env,
        n_steps=4,
        batch_size=256,
        n_epochs=4,
        learning_rate=5e-3,
        policy_kwargs={"net_arch": [32], "log_std_init": -0.5},
        device="cpu",
        seed=0,
    )


def _cue_sac(env: SB3VecEnv) -> SAC:
    """Return one that looks anywhere first, then learns from what the perceiver lately said."""
    return SAC(
        "MlpPolicy",
        env,
        learning_rate=3e-3,
        buffer_size=2048,
        learning_starts=3000,
        batch_size=128,
        train_freq=1,
        policy_kwargs={"net_arch": [32, 32]},
        device="cpu",
        seed=0,
    )


@pytest.mark.parametrize("make", [_cue_ppo, _cue_sac])
def test_they_learn_where_to_look(make: Callable[[SB3VecEnv], Any], uniform_error: float) -> None:
    view = _cue_view()
    agent = make(SB3VecEnv(view))
    agent.learn(EPISODES * TOGETHER)
    error = _error(view, lambda hidden: agent.predict(hidden, deterministic=True)[0])
    assert uniform_error > 15
    assert error < 5
