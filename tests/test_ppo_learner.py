"""PPO on a belief view: stable-baselines3's own, taught batch by batch, resumed to the last bit."""

import gc
import math
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from expect import refused
from learners import GLIMPSES, SIZES, Recording, assert_same, differ, small_canvas, small_images
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor
from torch.distributions import Normal
from torch.utils._pytree import tree_map

from glimpse import Eye, GlimpseBatch, GlimpseSensor, ImageSet
from glimpse.agents import Agent, PpoConfig, PpoLearner
from glimpse.image_set import ImageSource
from glimpse.run_folder import RunFolder

ACTIONS = GLIMPSES - 1
PLAIN: dict[str, Any] = {**SIZES, "ema": 0.0, "precision": "float32", "minibatches": 2}
# Options of training, then of the eye: together each that changes what a step does.
VARIANTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"ema": 0.9, "warm_up": 3, "weight_decay": 0.1, "last_std": 0.05}, {"first": "centre"}),
    ({"layers": (7, 6), "copies": 2, "core": "relu"}, {"first": "agent", "context": 4}),
    ({"reward": "correct", "discount": 0.9, "trace": 0.8, "precision": "bfloat16"}, {}),
]


def _learner(
    source: Any = small_images, policy: Any = "MlpPolicy", view: Any = None, **options: Any
) -> PpoLearner:
    config = PpoConfig(**{**PLAIN, **options})
    eye = Eye(**{"sensor": GlimpseSensor(3, scales=2), "glimpses": GLIMPSES, **(view or {})})
    images: ImageSource = source()
    batch = Recording(images, eye, config.batch * config.copies, copies=config.copies)
    agent = Agent.for_batch(config, batch)
    return PpoLearner(config, batch, agent.model, policy)


def _weights(learner: PpoLearner) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in learner.model.state_dict().items()}


def _take(learner: PpoLearner, steps: int) -> list[dict[str, float]]:
    return [learner.step() for _ in range(steps)]


# The same run


@pytest.mark.parametrize("source", [small_images, small_canvas])
@pytest.mark.parametrize(("options", "view"), VARIANTS)
def test_ten_steps_are_five_a_checkpoint_and_five_more(
    source: Any, options: dict[str, Any], view: dict[str, Any], tmp_path: Path
) -> None:
    whole = _learner(source, view=view, **options)
    told = _take(whole, 10)
    first = _learner(source, view=view, **options)
    assert _take(first, 5) == told[:5]
    folder = RunFolder.create(tmp_path / "run")
    folder.write_checkpoint({"learner": first.state_dict()})
    _take(first, 2)  # what comes later is not in the checkpoint
    second = _learner(source, view=view, **options)
    assert differ(_weights(second), _weights(first))
    second.load_state_dict(folder.read_checkpoint()["learner"])
    assert _take(second, 5) == told[5:]
    assert_same(_weights(second), _weights(whole))
    assert second.ppo.num_timesteps == whole.ppo.num_timesteps
    assert second.ppo._n_updates == whole.ppo._n_updates == 10 * whole.config.epochs


def test_a_learner_that_has_learned_can_go_back() -> None:
    learner = _learner(small_canvas)
    _take(learner, 2)
    state = tree_map(
        lambda part: part.clone() if isinstance(part, Tensor) else part, learner.state_dict()
    )
    once = _take(learner, 3)
    learner.load_state_dict(state)
    assert _take(learner, 3) == once


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_one_call_of_learn_takes_the_same_steps(ema: float) -> None:
    one, other = (_learner(small_canvas, ema=ema, last_std=0.05) for _ in range(2))
    _take(one, 4)
    other.learn(3)
    other.learn(1)
    assert_same(_weights(one), _weights(other))


def test_the_seed_decides_and_nobody_else_is_disturbed() -> None:
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one = _learner()
    told = _take(one, 3)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    torch.rand(5)
    other = _learner()
    assert _take(other, 3) == told
    assert_same(_weights(one), _weights(other))
    assert _take(_learner(seed=1), 3) != told


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_it_learns_on_cuda() -> None:
    images, eye = small_images().to(torch.device("cuda")), Eye(sensor=GlimpseSensor(3), glimpses=3)
    config = PpoConfig(**PLAIN)
    batch = GlimpseBatch(images, eye, config.batch)
    agent = Agent.for_batch(config, batch)
    before = {name: value.clone() for name, value in agent.model.state_dict().items()}
    learner = PpoLearner(config, batch, agent.model)
    assert all(math.isfinite(value) for told in _take(learner, 3) for value in told.values())
    assert all(value.is_cuda for value in agent.model.state_dict().values())
    assert differ(agent.model.state_dict(), before)


def test_every_epoch_shows_every_image_once() -> None:
    learner = _learner()
    asked = learner.view.batch
    assert isinstance(asked, Recording)
    _take(learner, 6)
    epochs = [
        sorted(number for batch in asked.shown[k : k + 3] for number in batch) for k in (0, 3)
    ]
    assert epochs == [sorted(small_images().splits["train"].tolist())] * 2
    assert asked.shown[:3] != asked.shown[3:6]


# What PPO learns from


def _episode(learner: PpoLearner) -> dict[str, np.ndarray]:
    """Take a step; return what PPO learned from, each (A, B, ...)."""
    stored: dict[str, np.ndarray] = {}

    class Keep(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            for name, value in vars(learner.ppo.rollout_buffer).items():
                if isinstance(value, np.ndarray):
                    stored[name] = value.copy()

    learner.learn(1, Keep())
    return stored


def test_log_probabilities_are_those_of_the_unclipped_draw() -> None:
    learner = _learner(std=2.0)
    of = _episode(learner)
    assert (np.abs(of["actions"]) > 1).mean() > 0.3
    with torch.no_grad():
        mean = _learner(std=2.0).model.locator(torch.from_numpy(of["observations"]))
    wanted = Normal(mean, 2.0).log_prob(torch.from_numpy(of["actions"])).sum(dim=-1)
    np.testing.assert_allclose(of["log_probs"], wanted.numpy(), rtol=1e-4)


@pytest.mark.parametrize(("discount", "trace"), [(1.0, 1.0), (0.5, 1.0), (0.9, 0.7), (0.9, 0.0)])
def test_advantages_are_generalised_and_end_with_the_episode(discount: float, trace: float) -> None:
    of = _episode(_learner(discount=discount, trace=trace))
    reward, value = of["rewards"].astype(float), of["values"].astype(float)
    wanted, following, after = np.zeros_like(reward), 0.0, 0.0
    for step in reversed(range(ACTIONS)):
        surprise = reward[step] + discount * following - value[step]
        after = surprise + discount * trace * after
        wanted[step], following = after, value[step]
    np.testing.assert_allclose(of["advantages"], wanted, rtol=1e-4, atol=1e-6)
    if trace == 1:  # then nothing rests on values
        returns = sum(discount**k * reward[k] for k in range(ACTIONS))
        np.testing.assert_allclose(of["returns"][0], returns, rtol=1e-4, atol=1e-6)


def test_rates_and_deviation_follow_their_schedules() -> None:
    learner = _learner(warm_up=2, std=0.4, last_std=0.1, learning_rate=0.02, policy_rate=0.004)
    config = learner.config
    for step in range(4):
        learner.step()
        share = config.schedule(step)
        assert learner.ppo.policy.optimizer.param_groups[0]["lr"] == pytest.approx(0.004 * share)
        perceiver = learner._perceiver._optimiser.param_groups[0]["lr"]
        assert perceiver == pytest.approx(0.02 * share)
        std = learner.ppo.policy.log_std.exp().tolist()
        assert std == pytest.approx([0.4 - 0.3 * step / 10] * 2)


@pytest.mark.parametrize("layers", [(), (5,)])
def test_what_ppo_learns_is_the_agents(layers: tuple[int, ...]) -> None:
    learner = _learner(layers=layers)
    before = _weights(learner)
    learner.step()
    after = _weights(learner)
    for name in ("locator", "baseline", "core", "glimpse", "classifier"):
        changed = [not torch.equal(before[key], after[key]) for key in after if name in key]
        assert changed, name
        assert all(changed), name
    hidden = torch.randn(4, SIZES["hidden"])
    means = learner.model.locator(hidden).clamp(-1, 1).detach().numpy()
    np.testing.assert_allclose(learner.ppo.predict(hidden.numpy(), deterministic=True)[0], means)
    values = learner.ppo.policy.predict_values(hidden)
    torch.testing.assert_close(learner.model.baseline(hidden), values)


def test_a_new_policy_is_as_stable_baselines3_makes_it() -> None:
    learner = _learner(layers=(5,))
    fresh = PPO(
        "MlpPolicy", learner._env, n_steps=ACTIONS, batch_size=4, policy_kwargs={"net_arch": [5]}
    )
    for name, weight in fresh.policy.state_dict().items():
        ours = learner.ppo.policy.state_dict()[name]
        assert ours.shape == weight.shape
        if name.endswith("weight"):  # orthogonal, each layer with a gain of its own
            torch.testing.assert_close(
                torch.linalg.matrix_norm(ours), torch.linalg.matrix_norm(weight)
            )


def test_the_averaged_weights_are_those_of_the_run() -> None:
    plain, averaged = _learner(), _learner(ema=0.9)
    mean = _weights(averaged)
    for step in range(3):
        plain.step()
        averaged.step()
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in _weights(plain).items():
            mean[name] = decay * mean[name] + (1 - decay) * value
    for name, value in _weights(averaged).items():
        torch.testing.assert_close(value, mean[name], msg=name)


# What stays stable-baselines3's


@pytest.mark.filterwarnings("ignore:rich is experimental")  # tqdm's, which the bar is of
def test_its_logger_its_callbacks_and_its_progress_bar(tmp_path: Path) -> None:
    class Count(BaseCallback):
        steps = rollouts = 0

        def _on_step(self) -> bool:
            self.steps += 1
            return True

        def _on_rollout_end(self) -> None:
            self.rollouts += 1

    learner, count = _learner(), Count()
    learner.ppo.set_logger(configure(str(tmp_path), ["csv"]))
    learner.learn(3, count, progress_bar=True)
    learner.ppo.logger.close()
    assert (count.steps, count.rollouts) == (3 * ACTIONS, 3)
    header, *rows = (tmp_path / "progress.csv").read_text().splitlines()
    assert len(rows) == 3
    assert "train/approx_kl" in header
    assert "perceiver/answer loss" in header


@pytest.mark.parametrize("at", range(1, ACTIONS + 1))
def test_a_callback_that_ends_training_ends_it_with_the_batch(at: int) -> None:
    class Stop(BaseCallback):
        ended = False

        def _on_step(self) -> bool:
            return self.n_calls % ACTIONS != at % ACTIONS

        def _on_training_end(self) -> None:
            self.ended = True

    whole, ended, stop = _learner(), _learner(), Stop()
    told = _take(whole, 4)
    assert _take(ended, 2) == told[:2]
    ended.learn(5, stop)
    assert stop.ended
    assert stop.n_calls == ACTIONS
    assert _take(ended, 1) == told[3:]
    assert_same(_weights(ended), _weights(whole))


@pytest.mark.parametrize("call", [1, ACTIONS + 1])
def test_a_batch_that_an_error_breaks_off_is_played_again(call: int) -> None:
    def press(locals_: Any, globals_: Any) -> bool:
        nonlocal call
        call -= 1
        if call == 0:
            raise KeyboardInterrupt
        return True

    whole, broken = _learner(), _learner()
    told = _take(whole, 4)
    taken = 1 if call == 1 else 2
    _take(broken, 1)
    with pytest.raises(KeyboardInterrupt):
        broken.learn(3, press)
    assert _take(broken, 4 - taken) == told[taken:]
    assert_same(_weights(broken), _weights(whole))


def test_callbacks_may_be_functions_and_lists() -> None:
    calls = []
    learner = _learner()
    learner.learn(2, lambda *_: calls.append(1) or True)
    learner.learn(1, [_Counted(calls), _Counted(calls)])
    assert len(calls) == (2 + 2) * ACTIONS
    with refused("`steps` must be a whole number from 0, got -1: choose another"):
        learner.learn(-1)


class _Counted(BaseCallback):
    def __init__(self, calls: list[int]) -> None:
        super().__init__()
        self._calls = calls

    def _on_step(self) -> bool:
        self._calls.append(1)
        return True


def test_save_works_for_who_wants_a_zip(tmp_path: Path) -> None:
    learner = _learner()
    learner.step()
    learner.ppo.save(tmp_path / "ppo")
    loaded = PPO.load(tmp_path / "ppo", device="cpu")
    hidden = np.random.default_rng(0).normal(size=(3, SIZES["hidden"])).astype(np.float32)
    wanted = learner.ppo.predict(hidden, deterministic=True)[0]
    np.testing.assert_array_equal(loaded.predict(hidden, deterministic=True)[0], wanted)


def test_nothing_of_a_step_is_kept() -> None:
    kept: list[Any] = []

    class Look(BaseCallback):
        def _on_step(self) -> bool:
            kept.append(weakref.ref(self.locals["new_obs"]))
            return True

    learner = _learner()
    gc.collect()
    gc.disable()  # what only the collector finds would pile up
    try:
        for _ in range(3):
            learner.learn(1, Look())
        alive = [reference() is not None for reference in kept]
    finally:
        gc.enable()
    assert len(alive) == 3 * ACTIONS
    assert sum(alive) <= 1  # what PPO goes on from


# Refusals


class _Deeper(ActorCriticPolicy):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "net_arch": [4]})


class _Rectified(ActorCriticPolicy):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "activation_fn": torch.nn.ReLU})


class _Extracting(ActorCriticPolicy):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "features_extractor_class": _Extractor})


class _Extractor(BaseFeaturesExtractor):
    def __init__(self, space: Any) -> None:
        super().__init__(space, space.shape[0])
        self.layer = torch.nn.Linear(space.shape[0], space.shape[0])

    def forward(self, hidden: Tensor) -> Tensor:
        return self.layer(hidden)


@pytest.mark.parametrize("policy", [_Rectified, _Extracting])
def test_a_policy_that_the_agent_could_not_repeat(policy: Any) -> None:
    with refused(f"layers=(5,) and Gaussian locations, got {policy.__name__} (it has "):
        _learner(policy=policy, layers=(5,))


@pytest.mark.parametrize("policy", ["CnnPolicy", "MultiInputPolicy", "Mlp", _Deeper])
def test_a_policy_that_it_refuses(policy: Any) -> None:
    name = policy if isinstance(policy, str) else policy.__name__
    wanted = "`policy` must be one that stable-baselines3's PPO takes for a vector, with layers=()"
    with refused(f"{wanted} and Gaussian locations, got {name} ("):
        _learner(policy=policy)


def test_a_batch_that_does_not_fit() -> None:
    config = PpoConfig(**PLAIN)
    eye = Eye(sensor=GlimpseSensor(3), glimpses=2)
    batch = GlimpseBatch(small_images(), eye, 5)
    agent = Agent.for_batch(config, batch)
    with refused(r"the environment must have 4 rows and copies=1, got 5 and 1: build it so"):
        PpoLearner(config, batch, agent.model)
    only = ImageSet.from_arrays(torch.zeros(3, 1, 9, 9), [0, 1, 2], splits={"test": [0, 1, 2]})
    with refused(r"the images must have a training split, got none: name one in splits"):
        PpoLearner(config, GlimpseBatch(only, eye, 4, split="test"), agent.model)
    one = PpoConfig(**{**PLAIN, "batch": 1})
    with refused(r"a batch must have at least 2 choices, got 1: choose a larger batch"):
        PpoLearner(one, GlimpseBatch(small_images(), eye, 1), agent.model)


def test_a_learning_rate_too_high_is_told_in_one_line() -> None:
    learner = _learner(learning_rate=1e30, clip=1e30)
    with refused("the answers' loss must be a number, got nan: choose a lower learning_rate"):
        _take(learner, 5)


def test_a_checkpoint_of_another_agent() -> None:
    learner = _learner()
    state = _learner(layers=(3,)).state_dict()
    for other in ({}, {**learner.state_dict(), "step": "x"}, state):
        with refused("the checkpoint must be this agent's, got another ("):
            learner.load_state_dict(other)
