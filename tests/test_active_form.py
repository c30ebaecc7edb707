"""`ap_gym`'s own checks and wrappers take our environments, and log what we reckon ourselves."""

import sys
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import ap_gym
import gymnasium
import numpy as np
import pytest
import torch
from expect import assert_alike, refused
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit
from gymnasium.wrappers.vector import RecordEpisodeStatistics as RecordVectorStatistics
from numpy.typing import NDArray
from torch.nn import functional as F

from glimpse import ImageSet, catalogue, register_images
from glimpse.envs import GlimpseEnv, GlimpseVectorEnv, active_form

Array = NDArray[Any]
Step = tuple[Any, Any, Any, Any, dict[str, Any]]
JUDGED: dict[str, Any] = {"predict": "dict", "reward": "loss"}
ROWS, STEPS = 3, 4


def single(**options: Any) -> Any:
    return active_form(
        gymnasium.make("glimpse/Digits-v0", **{**JUDGED, "glimpses": STEPS} | options)
    )


def vector(**options: Any) -> Any:
    options = {**JUDGED, "glimpses": STEPS} | options
    return active_form(gymnasium.make_vec("glimpse/Digits-v0", ROWS, **options))


def actions_of(env: Any, steps: int, seed: int = 0) -> Iterator[Any]:
    env.action_space.seed(seed)
    return (env.action_space.sample() for _ in range(steps))


def lost(prediction: Array, target: Any) -> Array:
    """Return the loss, 1 that of a guess, as another library reckons it."""
    logits, classes = torch.from_numpy(np.atleast_2d(prediction)), torch.as_tensor(target)
    loss = F.cross_entropy(logits.double(), classes.view(-1), reduction="none") / np.log(10)
    return loss.numpy()


def check_env_of_logits(env: Any) -> None:
    """Expect what Gymnasium says of `predict="dict"`: a Box without bounds."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env)
    messages = {str(warning.message) for warning in caught}
    assert len(messages) == 3
    assert all("Box action space" in message for message in messages), messages


def play(env: Any, seed: int, steps: int = STEPS) -> list[Step]:
    observation, info = env.reset(seed=seed)
    assert not np.any(info["prediction"]["loss"])
    np.testing.assert_array_equal(info["prediction"]["target"], info["target"])
    begun = (observation, 0.0, False, False, info)
    return [begun, *(env.step(action) for action in actions_of(env, steps))]


def assert_same(one: list[Step], other: list[Step]) -> None:
    for here, there in zip(one, other, strict=True):
        for got, wanted in zip(here, there, strict=True):
            assert_alike(got, wanted)


def test_both_forms_are_theirs() -> None:
    alone, many = single(), vector()
    assert isinstance(alone, ap_gym.ActiveClassificationEnv)
    assert isinstance(many, ap_gym.ActiveClassificationVectorEnv)
    assert ap_gym.ensure_active_perception_env(alone) is alone
    assert ap_gym.ensure_active_perception_vector_env(many) is many
    assert isinstance(alone.action_space, ap_gym.ActivePerceptionActionSpace)
    assert isinstance(many.action_space, ap_gym.ActivePerceptionActionSpace)
    assert alone.inner_action_space == many.single_inner_action_space
    assert alone.inner_action_space == gymnasium.spaces.Box(-1, 1, (2,))
    assert alone.prediction_space == many.single_prediction_space
    assert alone.prediction_target_space == many.single_prediction_target_space
    assert alone.prediction_target_space == gymnasium.spaces.Discrete(10)
    assert many.prediction_target_space == gymnasium.spaces.MultiDiscrete([10] * ROWS)
    assert many.inner_action_space.shape == (ROWS, 2)
    assert type(alone) is type(single())
    assert type(many) is type(vector())


def test_gymnasium_finds_nothing_amiss_but_that_logits_have_no_bounds() -> None:
    check_env_of_logits(single())


def test_a_spec_makes_the_form_again() -> None:
    env = single(cost=0.5)
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    assert type(again) is type(env)
    assert_same(play(again, 5), play(env, 5))
    assert active_form(GlimpseEnv(**JUDGED)).spec is None


@pytest.mark.parametrize("make", [single, vector])
def test_the_same_seed_makes_the_same_rollout(make: Any) -> None:
    one, same, other = (play(make(), seed, 3 * STEPS) for seed in (7, 7, 8))
    assert_same(one, same)
    assert not np.array_equal(one[0][0]["location"], other[0][0]["location"])


@pytest.mark.parametrize("cost", [0.0, 0.25])
def test_rewards_are_theirs_and_ours(cost: float) -> None:
    """Their definition, our environment without the form, and the form of one image agree."""
    env, bare = vector(cost=cost), GlimpseVectorEnv(ROWS, **options_of(cost))
    alone = single(cost=cost)
    _, info = env.reset(seed=3)
    bare.reset(seed=3)
    alone.reset(seed=3)
    for time, action in enumerate(actions_of(env, STEPS), start=1):
        before = info["target"]
        _, reward, over, cut, info = env.step(action)
        loss = lost(action["prediction"], before)
        np.testing.assert_allclose(info["prediction"]["loss"], loss, rtol=1e-5)
        assert info["base_reward"].tolist() == [-cost * (time < STEPS)] * ROWS
        np.testing.assert_allclose(reward, info["base_reward"] - loss, rtol=1e-5)
        np.testing.assert_allclose(reward, bare.step(action)[1], rtol=1e-4)
        first = {name: part[0] for name, part in action.items()}
        seen, paid, ended, _, told = alone.step(first)
        assert paid == pytest.approx(reward[0], rel=1e-6)
        assert told["prediction"]["target"] == told["target"] == before[0]
        assert told["prediction"]["metrics"] == info["prediction"]["metrics"] == {}
        assert told["base_reward"] == info["base_reward"][0]
        assert (type(paid), type(ended)) == (float, bool)
        assert ended == over.all() == over.any() == (time == STEPS)
        assert seen in alone.observation_space
        assert not cut.any()


def options_of(cost: float) -> dict[str, Any]:
    view = gymnasium.spec("glimpse/Digits-v0").kwargs
    return {**view, **JUDGED, "cost": cost, "glimpses": STEPS}


def test_their_log_of_an_episode_is_what_we_reckon() -> None:
    env = ap_gym.ActiveClassificationLogWrapper(single())
    for episode in range(3):
        _, info = env.reset(seed=episode)
        target, probabilities, right = info["target"], [], []
        for action in actions_of(env, STEPS, seed=episode):
            _, _, over, _, info = env.step(action)
            says = torch.from_numpy(action["prediction"]).softmax(dim=0)
            probabilities.append(float(says[target]))
            right.append(int(says.argmax()) == target)
        assert over
        logged = info["stats"]["scalar"]
        assert logged["avg_accuracy"] == pytest.approx(np.mean(right))
        assert logged["final_accuracy"] == right[-1]
        assert logged["avg_correct_label_prob"] == pytest.approx(np.mean(probabilities), rel=1e-4)


def in_sync() -> Any:
    return SyncVectorEnv([single] * ROWS)


@pytest.mark.parametrize("make", [vector, partial(vector, autoreset_mode="Disabled"), in_sync])
def test_their_log_of_many_episodes_is_what_we_reckon(make: Any) -> None:
    env = ap_gym.ActiveClassificationVectorLogWrapper(make())
    _, info = env.reset(seed=0)
    played = 0
    for action in actions_of(env, 3 * (STEPS + 1)):
        if not played:
            target, right = info["target"], np.zeros((STEPS, ROWS))
        action["prediction"][np.arange(ROWS), (target + played % 2) % 10] += 3  # right now and then
        right[played] = action["prediction"].argmax(axis=1) == target
        _, _, over, _, info = env.step(action)
        played += 1
        assert over.all() == over.any() == (played == STEPS)
        if not over.all():
            continue
        logged = info["stats"]["scalar"]
        np.testing.assert_allclose(logged["avg_accuracy"], right.mean(axis=0))
        np.testing.assert_array_equal(logged["final_accuracy"], right[-1])
        assert logged["_avg_accuracy"].all()
        played = 0
        if (
            env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
        ):  # whatever is said now, it is about no image
            _, reward, _, _, info = env.step(action)
            assert not reward.any()
            assert not info["prediction"]["loss"].any()
            np.testing.assert_array_equal(info["prediction"]["target"], info["target"])
        else:
            _, info = env.reset(options={"reset_mask": over})


def test_a_step_that_begins_an_episode_judges_nothing() -> None:
    env = vector()
    env.reset(seed=0)
    first = np.array([True, False, False])
    steps = iter(actions_of(env, 9))
    env.step(next(steps))
    env.reset(options={"reset_mask": first})  # from now on a step behind
    for _ in range(STEPS - 1):
        _, _, over, _, info = env.step(next(steps))
        assert info["_prediction"].all()
    assert over.tolist() == [False, True, True]
    for resetting in (~first, first):  # each row begins anew where it was over
        _, reward, over, _, info = env.step(next(steps))
        assert info["_prediction"].tolist() == info["_base_reward"].tolist() == list(~resetting)
        for what in (reward, info["base_reward"], info["prediction"]["loss"]):
            assert not what[resetting].any()
        assert (reward[~resetting] < 0).all()


def test_in_the_same_step_an_answer_is_judged_by_the_image_it_is_about() -> None:
    env = vector(autoreset_mode="SameStep")
    _, info = env.reset(seed=1)
    for time, action in enumerate(actions_of(env, 3 * STEPS), start=1):
        target = info["target"]
        _, reward, over, _, info = env.step(action)
        assert info["_prediction"].all()
        np.testing.assert_array_equal(info["prediction"]["target"], target)
        loss = lost(action["prediction"], target)
        np.testing.assert_allclose(reward, -loss, rtol=1e-5)
        assert over.all() == over.any() == (time % STEPS == 0)
        np.testing.assert_array_equal(info["target"], env.env.core.target)


def test_their_loss_teaches_who_answers() -> None:
    env = vector()
    _, info = env.reset(seed=0)
    logits = torch.randn(ROWS, 10, requires_grad=True)
    loss = env.loss_fn.torch(logits, torch.from_numpy(info["target"]), (ROWS,))
    action = {"action": np.zeros((ROWS, 2)), "prediction": logits.detach().numpy()}
    np.testing.assert_allclose(env.step(action)[1], -loss.detach(), rtol=1e-5)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert bool((logits.grad != 0).all())


@pytest.mark.parametrize(
    "options",
    [
        {"first": "agent"},
        {"grid": 5, "zoom": 2},
        {"zoom": 3, "stride": 4.0, "context": 5},
        {"copies": 3, "split": "test"},
        {"glimpses": 1, "first": "centre"},
    ],
)
def test_every_way_of_looking_is_taken(options: dict[str, Any]) -> None:
    alone = single(**{**options, "copies": 1})
    check_env_of_logits(alone)
    env = ap_gym.ActiveClassificationVectorLogWrapper(vector(**options))
    observation, _ = env.reset(seed=0)
    for action in actions_of(env, env.unwrapped.env.core.eye.actions + 1):
        assert observation in env.observation_space
        assert action in env.action_space
        observation, reward, over, _, info = env.step(action)
        np.testing.assert_allclose(reward, -lost(action["prediction"], info["target"]), rtol=1e-5)
    assert over.all()
    assert "avg_accuracy" in info["stats"]["scalar"]


def test_their_other_wrappers_take_the_form() -> None:
    alone = ap_gym.ensure_active_perception_env(RecordEpisodeStatistics(single()))
    many = ap_gym.ensure_active_perception_vector_env(RecordVectorStatistics(vector()))
    sync = ap_gym.ensure_active_perception_vector_env(in_sync())
    of_one = active_form(GlimpseVectorEnv(1, **options_of(0.0)))
    turned = ap_gym.ActivePerceptionVectorToSingleWrapper(of_one)
    sparse = ap_gym.SparsifyWrapper(single()), ap_gym.SparsifyVectorWrapper(vector())
    for env in (alone, many, sync, turned, *sparse):
        assert isinstance(env.loss_fn, ap_gym.LossFn)
        env.reset(seed=0)
        rewards = []
        for action in actions_of(env, STEPS):
            _, reward, over, _, info = env.step(action)
            rewards.append(reward)
        assert np.all(over)
        assert "loss" in info["prediction"]
        assert np.all(np.asarray(rewards[-1]) < 0)
        if env in sparse:
            assert not np.any(rewards[:-1])
    assert "episode" in play(alone, 0)[-1][-1]


def test_what_is_inside_draws_and_closes() -> None:
    for env in (single(render_mode="rgb_array"), vector(render_mode="rgb_array")):
        env.reset(seed=0)
        assert env.render_mode == "rgb_array"
        assert_alike(np.asarray(env.render()), np.asarray(env.env.render()))
        env.close()


def test_environments_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    others = gymnasium.make("CartPole-v1")
    with refused("`env` must be a GlimpseEnv or a GlimpseVectorEnv, got a TimeLimit: make one of"):
        active_form(others)
    with refused("`env` must be a GlimpseEnv or a GlimpseVectorEnv, got a CartPoleEnv: make one"):
        active_form(others.unwrapped)
    with refused("got a TimeLimit: make one of glimpse.envs, and wrap what comes out"):
        active_form(TimeLimit(gymnasium.make("glimpse/Digits-v0", **JUDGED), 3))
    with refused("got a ActiveGlimpseEnv: make one of glimpse.envs"):
        active_form(single())
    with refused("got a SyncVectorEnv: make one of glimpse.envs"):
        active_form(gymnasium.make_vec("glimpse/Digits-v0", 2, vectorization_mode="sync"))
    monkeypatch.setattr(catalogue, "_registered", {})
    register_images(
        "alike", ImageSet.from_arrays(np.zeros((4, 1, 9, 9), np.uint8), np.zeros(4, int))
    )
    with refused("images must be of two classes or more, got one: nobody could lose"):
        active_form(GlimpseEnv(images="alike", **JUDGED))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Digits", {"predict": "external"}, "`predict` must be 'dict', got 'external': make the"),
        ("Digits", {"predict": "flat"}, "`predict` must be 'dict', got 'flat': make the"),
        ("Digits", {"reward": "gain"}, "`reward` must be 'loss', got 'gain': make the environment"),
        ("Digits", {"stop": True}, "`stop` must be False, got True: every answer costs its loss"),
        ("Sequence", {}, "the task must be a Classification, got a Sequence: choose images"),
        ("Search", {"predict": "external"}, "the task must be a Classification, got a Search: "),
    ],
)
def test_options_that_do_not_fit(name: str, options: dict[str, Any], message: str) -> None:
    with refused(message):
        active_form(gymnasium.make(f"glimpse/{name}-v0", **JUDGED | options))
    with refused(message):
        active_form(gymnasium.make_vec(f"glimpse/{name}-v0", 2, **JUDGED | options))


@pytest.mark.parametrize("make", [single, vector])
def test_actions_that_do_not_fit(make: Any) -> None:
    env = make()
    env.reset(seed=0)
    with refused("actions must be a dict of action and prediction, got ndarray: give where to"):
        env.step(np.zeros(2))
    action = env.action_space.sample()
    with refused("prediction must be numbers of shape "):
        env.step({**action, "prediction": action["prediction"][..., 1:]})


def test_without_ap_gym_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ap_gym", None)
    with refused('the package, which is not installed: run pip install "glimpse-rl[ap-gym]"'):
        active_form(GlimpseEnv(**JUDGED))
