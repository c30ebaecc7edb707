"""Contracts that the feedback environment keeps, alone and many at a time."""

import json
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from expect import refused
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from nets import convolutional, maxout, pictures
from numpy.typing import NDArray

from glimpse import bases, catalogue, register_images, register_network
from glimpse.envs import FEEDBACK, FeedbackConfig, FeedbackEnv, FeedbackVectorEnv
from glimpse.feedback import FeedbackBatch

Array = NDArray[Any]
ID, ROWS, PASSES = "glimpse/Feedback-v0", 3, 2
MODES = [mode.value for mode in AutoresetMode]
every_mode = pytest.mark.parametrize("mode", MODES)
every_base = pytest.mark.parametrize("base", ["maxout", "hooks"])
each_kind = pytest.mark.parametrize("kind", ["single", "vector"])


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_registered", {})
    monkeypatch.setattr(bases, "_registered", {})
    register_images("noise", pictures())
    register_network("maxout", maxout())
    register_network("hooks", convolutional(), ["first", "block", "units"])


def _options(**options: Any) -> dict[str, Any]:
    return {"base": "maxout", "images": "noise", "passes": PASSES, **options}


def _single(**options: Any) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(ID, **_options(**options))


def _vector(mode: str = "NextStep", rows: int = ROWS, **options: Any) -> VectorEnv[Any, Any, Any]:
    return gymnasium.make_vec(ID, num_envs=rows, autoreset_mode=mode, **_options(**options))


def _sync(mode: str, **options: Any) -> SyncVectorEnv:
    make = [lambda: FeedbackEnv(**_options(**options))] * ROWS
    return SyncVectorEnv(make, autoreset_mode=mode)


def _made(kind: str, **options: Any) -> Any:
    return _single(**options).unwrapped if kind == "single" else _vector(**options)


def _gains(env: Any, time: int) -> Array:
    """Return actions that are a function of the time, some of them beyond the borders."""
    drawn = np.random.default_rng(time).uniform(-1, 3, env.action_space.shape)
    return drawn.astype(np.float32)


def _assert_close(got: Any, wanted: Any, where: str = "") -> None:
    """Compare, floats to what a network's order of additions may change."""
    assert type(got) is type(wanted), where
    if isinstance(got, dict):
        assert got.keys() == wanted.keys(), where
        for name in got:
            _assert_close(got[name], wanted[name], f"{where}/{name}")
    elif isinstance(got, list | tuple):
        assert len(got) == len(wanted), where
        for number, (one, other) in enumerate(zip(got, wanted, strict=True)):
            _assert_close(one, other, f"{where}/{number}")
    elif isinstance(got, np.ndarray) and got.dtype != object:
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), where
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5, err_msg=where)
    elif isinstance(got, np.ndarray):
        _assert_close(list(got), list(wanted), where)
    elif isinstance(got, float):
        assert got == pytest.approx(wanted, rel=1e-4, abs=1e-6), where
    else:
        assert got == wanted, where


def _play(env: gymnasium.Env[Any, Any], seed: int, episodes: int = 2) -> list[Any]:
    found: list[Any] = []
    for episode in range(episodes):
        found.append(env.reset(seed=None if episode else seed))
        over = False
        while not over:
            found.append(env.step(_gains(env, len(found))))
            over = found[-1][2]
    return found


def _arrays(result: Any) -> Iterator[Array]:
    if isinstance(result, np.ndarray):
        yield from (
            [result] if result.dtype != object else [a for part in result for a in _arrays(part)]
        )
    elif isinstance(result, dict | tuple | list):
        for part in result.values() if isinstance(result, dict) else result:
            yield from _arrays(part)


# What other libraries ask.


@every_base
def test_gymnasium_finds_spaces_unusual_only(base: str) -> None:
    """Gains go from 0 to A, and a maxout unit's activation has no bounds."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(_single(base=base).unwrapped)
    messages = [str(warning.message) for warning in caught]
    wanted = ("recommend using a symmetric", "minimum value is -inf", "maximum value is inf")
    assert len(messages) == len(wanted)
    assert all(part in message for part, message in zip(wanted, messages, strict=True)), messages


@every_base
def test_stable_baselines_wants_the_actions_in_other_units_only(base: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with pytest.warns(UserWarning, match="symmetric and normalized Box action space") as caught:
        checker.check_env(_single(base=base))
    assert len(caught) == 1


def test_stable_baselines_learns() -> None:
    sb3 = pytest.importorskip("stable_baselines3")
    model = sb3.PPO("MultiInputPolicy", _single(), n_steps=8, batch_size=8, n_epochs=1)
    model.learn(16)


def test_torchrl_takes_the_vector_environment() -> None:
    torchrl = pytest.importorskip("torchrl.envs")
    env = torchrl.GymWrapper(_vector("Disabled"))
    rollout = env.rollout(5, break_when_any_done=False)
    assert rollout["activation"].shape == (ROWS, 5, 18)


def test_episode_statistics_add_up_the_rewards() -> None:
    env = RecordEpisodeStatistics(_vector())
    env.reset(seed=0)
    total = np.zeros(ROWS)
    for time in range(PASSES):
        _, rewards, over, _, info = env.step(_gains(env, time))
        total += rewards
    assert over.all()
    assert (total < 0).all()
    np.testing.assert_allclose(info["episode"]["r"], total, atol=1e-6)
    assert info["episode"]["l"].tolist() == [PASSES] * ROWS


# Registration.


def test_the_table_s_options_survive_json_and_are_options() -> None:
    assert list(FEEDBACK) == [ID]
    view = dict(FEEDBACK[ID])
    assert json.loads(json.dumps(view)) == view == gymnasium.spec(ID).kwargs
    assert isinstance(FeedbackConfig.of(view), FeedbackConfig)


@every_base
def test_a_spec_survives_json_and_pickle(base: str) -> None:
    env = _single(base=base, layers=["first"] if base == "hooks" else ["dense", "stages.0"])
    assert env.spec is not None
    wanted = _play(env, 7)
    for spec in (EnvSpec.from_json(env.spec.to_json()), pickle.loads(pickle.dumps(env.spec))):
        _assert_close(_play(gymnasium.make(spec), 7), wanted)


def test_a_vector_environment_s_spec_survives_json() -> None:
    env = _vector("SameStep")
    assert env.spec is not None
    again = gymnasium.make_vec(EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(again.unwrapped, FeedbackVectorEnv)
    assert again.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    _assert_close(again.reset(seed=1), env.reset(seed=1))


@each_kind
def test_a_network_must_be_named(kind: str) -> None:
    make: Any = gymnasium.make if kind == "single" else gymnasium.make_vec
    with refused("`base` must be a name or a path, got none: give the folder of a run of `glimpse"):
        make(ID)


@each_kind
def test_the_engine_is_public(kind: str) -> None:
    core = _made(kind).unwrapped.core
    assert isinstance(core, FeedbackBatch)
    assert core.maps == 18


# Episodes.


@every_base
@every_mode
def test_every_result_is_that_of_gymnasium_s_own_vector(base: str, mode: str) -> None:
    ours, theirs = _vector(mode, base=base), _sync(mode, base=base)
    assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"]
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    _assert_close(ours.reset(seed=3), theirs.reset(seed=3))
    finals = 0
    for time in range(11):
        if time == 1:  # out of phase
            mask = np.array([False, True, True])
            for env in (ours, theirs):
                env.reset(options={"reset_mask": mask.copy()})
        actions = _gains(ours, time)
        (*ours_seen, info), (*theirs_seen, told) = ours.step(actions), theirs.step(actions)
        _assert_close(ours_seen, theirs_seen, f"step {time}")
        assert info.keys() == told.keys(), time
        finals += "final_obs" in info
        for name in told.keys() - {"final_info"}:
            _assert_close(info[name], told[name], f"step {time}/{name}")
        if "final_info" in told:
            ended = told["_final_info"]
            ours_final, theirs_final = info["final_info"]["target"], told["final_info"]["target"]
            _assert_close(ours_final[ended], theirs_final[ended])
        if mode == "Disabled" and ours_seen[2].any():
            mask = ours_seen[2]
            seen, _ = ours.reset(options={"reset_mask": mask.copy()})
            _assert_close(seen, theirs.reset(options={"reset_mask": mask.copy()})[0])
    assert (finals > 3) == (mode == "SameStep")


@every_base
def test_same_seed_same_episode_alone_and_batched(base: str) -> None:
    vector, alone = _vector(base=base), _single(base=base)
    seen, info = vector.reset(seed=[31, 4, 8])
    for row, seed in enumerate((31, 4, 8)):
        mine, told = alone.reset(seed=seed)
        _assert_close(mine, {name: part[row] for name, part in seen.items()})
        assert told["target"] == info["target"][row]


@each_kind
def test_what_is_random_without_a_seed_comes_from_np_random(kind: str) -> None:
    results = []
    for _ in range(2):
        env = _made(kind)
        env.unwrapped.np_random = np.random.default_rng(3)
        results.append([env.reset(), env.reset()])
    _assert_close(*results)
    assert np.any(results[0][0][0]["activation"] != results[0][1][0]["activation"])


def test_images_are_shown_by_number() -> None:
    env, vector = _single(), _vector(copies=3)
    assert [env.reset(options={"indices": [at]})[1]["target"] for at in (5, 3, 1)] == [2, 0, 1]
    assert vector.reset(options={"indices": [4]})[1]["target"].tolist() == [1, 1, 1]
    with refused("`indices` must be (1,), got (3,): name one image for each group of copies"):
        vector.reset(options={"indices": [1, 2, 3]})


@each_kind
def test_numbers_are_python_s_or_numpy_s(kind: str) -> None:
    env = _made(kind)
    seen, info = env.reset(seed=0)
    assert seen in env.observation_space
    for time in range(PASSES):
        seen, reward, over, truncated, info = env.step(_gains(env, time))
        assert seen in env.observation_space
        if kind == "single":
            types = [type(part) for part in (reward, over, truncated, info["target"])]
            assert types == [float, bool, bool, int]
        else:
            types = [part.dtype for part in (reward, over, truncated, info["target"])]
            assert types == [np.float64, np.bool_, np.bool_, np.int64]
        assert np.all(over) == (time == PASSES - 1)
        assert not np.any(truncated)


@each_kind
def test_gains_of_one_leave_the_answers_as_they_are_in_every_pass(kind: str) -> None:
    env = _made(kind)
    first, _ = env.reset(seed=0)
    for _ in range(PASSES):
        seen, *_ = env.step(np.ones(env.action_space.shape))
        np.testing.assert_allclose(seen["probability"], first["probability"], rtol=1e-5)


@each_kind
def test_actions_beyond_the_space_are_clipped_to_it(kind: str) -> None:
    env, twin = _made(kind), _made(kind)
    env.reset(seed=0)
    twin.reset(seed=0)
    wild = 40 * np.random.default_rng(0).standard_normal(env.action_space.shape)
    _assert_close(env.step(wild), twin.step(wild.clip(0, 18)))


@every_mode
def test_results_never_share_memory_with_earlier_ones(mode: str) -> None:
    env = _vector(mode)
    kept = [env.reset(seed=0)]
    for time in range(PASSES):
        kept.append(env.step(_gains(env, time)))
    arrays = [array for result in kept for array in _arrays(result)]
    copies = [array.copy() for array in arrays]
    for time in range(5):
        env.reset() if mode == "Disabled" else env.step(_gains(env, time))
    assert all((one == other).all() for one, other in zip(arrays, copies, strict=True))


@each_kind
def test_pictures_show_the_image_and_the_gains(kind: str) -> None:
    env = _made(kind, render_mode="rgb_array")
    with refused("`reset` must come first, got no image to show: call reset(seed=0)"):
        env.render()
    env.reset(seed=0)
    env.step(_gains(env, 0))
    shown = env.render()
    for picture in [shown] if kind == "single" else shown:
        assert (picture.shape, picture.dtype) == ((320, 640, 3), np.uint8)
    assert len(shown) == (320 if kind == "single" else ROWS)
    assert _made(kind).render() is None


# Mistakes.


@each_kind
def test_nan_is_refused_and_nothing_has_moved(kind: str) -> None:
    env, twin = _made(kind), _made(kind)
    good = _gains(env, 0)
    with refused("`reset` must come before `step`, got a step: call reset(seed=0)"):
        env.step(good)
    env.reset(seed=0)
    twin.reset(seed=0)
    bad = good.copy()
    bad[..., 4] = np.nan
    with refused("`action` must be gains of at least 0, got nan in row 0: look for a division"):
        env.step(bad)
    _assert_close(env.step(good), twin.step(good))


def test_nan_is_refused_also_where_all_rows_only_wait_for_their_reset() -> None:
    env = _vector(passes=1)
    env.reset(seed=0)
    assert env.step(_gains(env, 0))[2].all()
    with refused("`action` must be gains of at least 0, got nan in row 0: look for a division"):
        env.step(np.full((ROWS, 18), np.nan))


@each_kind
@pytest.mark.parametrize("wrong", [np.zeros(17), np.zeros((2, 18)), np.array("gain")], ids=str)
def test_actions_of_a_wrong_shape_are_refused(kind: str, wrong: Array) -> None:
    env = _made(kind)
    env.reset(seed=0)
    rows = 1 if kind == "single" else ROWS
    with refused(f"actions must be numbers of shape ({rows}, 18), got {wrong.dtype} of shape ("):
        env.step(wrong)


def test_with_autoreset_disabled_episodes_that_are_over_must_be_reset() -> None:
    env = _vector("Disabled", passes=1)
    env.reset(seed=0)
    env.step(_gains(env, 0))
    with refused("episodes must be reset when they are over, got row 0: call reset(options="):
        env.step(_gains(env, 0))


def test_an_unknown_autoreset_mode_is_refused() -> None:
    with refused("`autoreset_mode` must be one of Disabled, NextStep, SameStep, got 'same': "):
        FeedbackVectorEnv(2, autoreset_mode="same", **_options())


@each_kind
def test_unknown_options_are_refused(kind: str) -> None:
    with refused("options of the feedback environment must be among base, layers, images, canv"):
        _made(kind, glimpses=3)
