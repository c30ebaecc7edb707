"""Contracts that every registered environment keeps, alone and many at a time."""

import json
import math
import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray
from PIL import Image

from glimpse import (
    GlimpseBatch,
    GlimpseSensor,
    ImageSet,
    catalogue,
    load_folder,
    register_images,
)
from glimpse.envs import ENVIRONMENTS, EnvConfig, GlimpseEnv, GlimpseVectorEnv
from glimpse.sensor import Prepared

Array = NDArray[Any]
Transition = tuple[Any, ...]

ROWS = 3
MODES = [mode.value for mode in AutoresetMode]
every_mode = pytest.mark.parametrize("mode", MODES)
every_predict = pytest.mark.parametrize("predict", ["external", "flat"])
every_first = pytest.mark.parametrize("first", ["random", "centre", "agent"])
each_kind = pytest.mark.parametrize("kind", ["single", "vector"])

# Images of 12x16 pixels, image k in one shade, which is 40 * (k + 1) of 255 and shows class k.
SHADES = 5
SHADE = 40
# Looks so near the centre that nothing beyond the image is seen.
NEAR = dict(images="shades", size=2, reach=4.0, glimpses=4)


@pytest.fixture(autouse=True)
def _shades(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_registered", {})
    register_images("shades", _shaded())


def _shaded(channels: int = 1) -> ImageSet:
    shades = (torch.arange(SHADES, dtype=torch.uint8) + 1) * SHADE
    images = shades[:, None, None, None].expand(-1, channels, 12, 16).contiguous()
    return ImageSet.from_arrays(
        images, range(SHADES), splits={"train": range(SHADES), "test": [0, 2]}
    )


def _shown(glimpse: Array) -> Array:
    """Return the class of what is seen, for glimpses (..., K, C, s, s) of shades."""
    shown = glimpse[..., 0, 0, 0, 0] * 255 / SHADE - 1
    assert np.allclose(shown, shown.round(), atol=1e-4)
    return shown.round().astype(np.int64)


def _action(space: gymnasium.Space[Any], row: int, time: int) -> Array:
    """Return an action that is a function of row and time, sometimes beyond the border."""
    assert space.shape is not None
    numbers = np.random.default_rng([row, time]).uniform(-1.2, 1.2, space.shape)
    return numbers.astype(np.float32)


def _actions(env: VectorEnv[Any, Any, Any], times: list[int]) -> Array:
    return np.stack([_action(env.single_action_space, *at) for at in enumerate(times)])


def _vector(mode: str = "NextStep", rows: int = ROWS, **options: Any) -> GlimpseVectorEnv:
    return GlimpseVectorEnv(rows, autoreset_mode=mode, **{**NEAR, **options})


def _sync(mode: str, **options: Any) -> SyncVectorEnv:
    make = [lambda: GlimpseEnv(**{**NEAR, **options})] * ROWS
    return SyncVectorEnv(make, autoreset_mode=mode)


def _assert_same(got: Any, wanted: Any, where: str = "") -> None:
    """Compare to the last bit, types and data types included."""
    assert type(got) is type(wanted), where
    if isinstance(got, dict):
        assert got.keys() == wanted.keys(), where
        for name in got:
            _assert_same(got[name], wanted[name], f"{where}/{name}")
    elif isinstance(got, list | tuple):
        assert len(got) == len(wanted), where
        for number, (one, other) in enumerate(zip(got, wanted, strict=True)):
            _assert_same(one, other, f"{where}/{number}")
    elif isinstance(got, np.ndarray):
        assert got.dtype == wanted.dtype, where
        if got.dtype == object:
            _assert_same(list(got), list(wanted), where)
        else:
            np.testing.assert_array_equal(got, wanted, err_msg=where)
    else:
        assert got == wanted, where


def _row(batch: dict[str, Array], row: int) -> dict[str, Array]:
    return {name: values[row].copy() for name, values in batch.items()}


def _target(targets: Array, row: int) -> Any:
    """Return a row's target as a single environment tells it: a number, or a place."""
    return int(targets[row]) if targets.ndim == 1 else targets[row].copy()


def _changed(mask: Array, fresh: Array, targets: Array) -> Array:
    """Return the targets of all rows after those of the mask were begun anew."""
    return np.where(mask.reshape(-1, *[1] * (targets.ndim - 1)), fresh, targets)


def _view(env_id: str, **options: Any) -> EnvConfig:
    """Return all options of an environment."""
    return EnvConfig.of({**ENVIRONMENTS[env_id], **options})


def _searched(env_id: str) -> bool:
    """Return whether the target is a place."""
    view = _view(env_id)
    return view.images == "haystack" or view.task == "search"


def _classes(env_id: str) -> int:
    """Return how many classes the target names."""
    return 2 if _view(env_id).task == "sequence" else 1


def _length(predict: str, first: str, glimpses: int = 4) -> int:
    """Return how many steps an episode has, if nothing is found."""
    return glimpses - (first != "agent") + (predict == "flat")


def _arrays(result: Any) -> Iterator[Array]:
    """Return every array of numbers in the results of `reset` or `step`."""
    if isinstance(result, np.ndarray):
        if result.dtype == object:
            for part in result:
                yield from _arrays(part)
        else:
            yield result
    elif isinstance(result, dict | tuple | list):
        for part in result.values() if isinstance(result, dict) else result:
            yield from _arrays(part)


def _play(env: gymnasium.Env[Any, Any], seed: int, episodes: int, row: int = 0) -> list[Transition]:
    """Return the transitions of some episodes, begun with a seed, in a single environment."""
    found: list[Transition] = []
    for episode in range(episodes):
        observation, info = env.reset(seed=None if episode else seed)
        over = False
        while not over:
            action = _action(env.action_space, row, len(found))
            seen, reward, over, truncated, told = env.step(action)
            found.append(
                (observation, info["target"], action, reward, over, truncated, seen, told["target"])
            )
            observation, info = seen, told
    return found


def _collect(
    env: VectorEnv[Any, Any, Any], count: int, *, seed: int = 5, shift: bool = False
) -> list[list[Transition]]:
    """Return every row's transitions in a vector environment, in the form of `_play`.

    The action depends on the row and on how many transitions it has made, so that the rows that
    wait for their reset in `NextStep` do not lag behind. `shift` begins anew in all rows but the
    first after one step: their episodes end later.
    """
    mode = env.metadata["autoreset_mode"]
    found: list[list[Transition]] = [[] for _ in range(env.num_envs)]
    waiting = np.zeros(env.num_envs, dtype=np.bool_)
    observation, info = env.reset(seed=seed)
    targets = info["target"]
    for number in range(count):
        if shift and number == 1:
            mask = np.arange(env.num_envs) > 0
            fresh, info = env.reset(options={"reset_mask": mask})
            observation, targets = fresh, _changed(mask, info["target"], targets)
        actions = _actions(env, [len(row) for row in found])
        seen, rewards, ended, truncated, info = env.step(actions)
        for row in np.flatnonzero(~waiting):
            last, target = _row(seen, row), _target(info["target"], row)
            if mode is AutoresetMode.SAME_STEP and ended[row]:
                last = info["final_obs"][row]
                target = _target(info["final_info"]["target"], row)
            judged = (float(rewards[row]), bool(ended[row]), bool(truncated[row]))
            before = (_row(observation, row), _target(targets, row))
            found[row].append((*before, actions[row], *judged, last, target))
        for row in np.flatnonzero(waiting):
            assert (rewards[row], ended[row], truncated[row]) == (0, False, False)
        if mode is AutoresetMode.NEXT_STEP:
            waiting = ended
        observation, targets = seen, info["target"]
        if mode is AutoresetMode.DISABLED and ended.any():
            observation, info = env.reset(options={"reset_mask": ended})
            targets = _changed(ended, info["target"], targets)
    return found


# What other libraries ask of every environment.


def test_gymnasium_finds_nothing_amiss(env_id: str, env_predict: str) -> None:
    check_env(gymnasium.make(env_id, predict=env_predict).unwrapped)


def test_stable_baselines_warns_of_windows_in_four_axes_and_of_floats_as_an_image_only(
    env_id: str, env_predict: str
) -> None:
    """A context is an image to it; it wants one in bytes, and large enough for its own network."""
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checker.check_env(gymnasium.make(env_id, predict=env_predict))
    wanted = ["observation glimpse has an unconventional shape"]
    side = _view(env_id).context
    if side is not None:
        wanted += [
            "observation context is an image but its `dtype` is (float32)",
            "observation space context is an image but the upper and lower bounds are not in",
        ]
        wanted += ["The minimal resolution for an image is 36x36"] if side < 36 else []
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == len(wanted), messages
    for part in wanted:
        assert any(part in message for message in messages), messages


def test_a_spec_survives_json_and_pickle(env_id: str, env_predict: str) -> None:
    options: dict[str, Any] = {"glimpses": 3, "reach": 9.5, "scales": 2, "memory": 0.25}
    env = gymnasium.make(env_id, predict=env_predict, **options)
    assert env.spec is not None
    wanted = _play(env, 7, episodes=2)
    assert len(wanted) == 2 * _length(env_predict, _view(env_id).first, 3)
    for spec in (
        EnvSpec.from_json(env.spec.to_json()),
        pickle.loads(pickle.dumps(env.spec)),
    ):
        _assert_same(_play(gymnasium.make(spec), 7, episodes=2), wanted)


def test_a_vector_environment_s_spec_survives_json(env_id: str) -> None:
    env = gymnasium.make_vec(env_id, num_envs=2, glimpses=3, autoreset_mode="SameStep")
    assert env.spec is not None
    again = gymnasium.make_vec(EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(again.unwrapped, GlimpseVectorEnv)
    assert again.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    _assert_same(_collect(again, 5), _collect(env, 5))


def test_the_table_s_options_survive_json_and_are_options(env_id: str) -> None:
    view = dict(ENVIRONMENTS[env_id])
    assert json.loads(json.dumps(view)) == view
    assert isinstance(EnvConfig.of(view), EnvConfig)
    assert gymnasium.spec(env_id).kwargs == view


def test_same_seed_same_episode_alone_batched_and_in_sync(env_id: str, env_predict: str) -> None:
    options: dict[str, Any] = {"predict": env_predict, "glimpses": 3}
    alone = gymnasium.make(env_id, **options)
    steps = _length(env_predict, _view(env_id).first, 3)
    wanted = [_play(alone, 100 + row, episodes=4, row=row) for row in range(ROWS)]
    assert [len(row) for row in wanted] == [4 * steps] * ROWS
    for mode in ("vector_entry_point", "sync"):
        env = gymnasium.make_vec(env_id, num_envs=ROWS, vectorization_mode=mode, **options)
        assert isinstance(env, GlimpseVectorEnv if mode == "vector_entry_point" else SyncVectorEnv)
        # three of the four episodes begin with an autoreset, which takes a step
        _assert_same(_collect(env, 4 * steps + 3, seed=100), wanted)


def test_a_seed_for_each_row_is_that_row_s(env_id: str) -> None:
    env = gymnasium.make_vec(env_id, num_envs=2)
    observation, info = env.reset(seed=[31, 4])
    for row, seed in enumerate((31, 4)):
        alone, told = gymnasium.make(env_id).reset(seed=seed)
        _assert_same(_row(observation, row), alone)
        _assert_same(_target(info["target"], row), told["target"])


def test_other_seeds_show_other_episodes(env_id: str) -> None:
    """They begin elsewhere or, where the agent says where they begin, with another image."""
    env, chosen = gymnasium.make(env_id), _view(env_id).first == "agent"

    def begin(seed: int | None = None) -> Any:
        observation, info = env.reset(seed=seed)
        return np.array(info["target"]) if chosen else observation["location"]

    first = begin(0)
    assert (begin(1) != first).any()
    assert (begin() != first).any()
    _assert_same(begin(0), first)


@each_kind
def test_without_a_seed_every_environment_begins_elsewhere(kind: str) -> None:
    make: Callable[[], Any] = (lambda: GlimpseEnv(**NEAR)) if kind == "single" else _vector
    locations = [make().reset()[0]["location"] for _ in range(3)]
    assert (locations[0] != locations[1]).any()
    assert (locations[1] != locations[2]).any()


@each_kind
def test_what_is_random_without_a_seed_comes_from_np_random(kind: str) -> None:
    results = []
    for _ in range(2):
        env: Any = GlimpseEnv(**NEAR) if kind == "single" else _vector()
        env.np_random = np.random.default_rng(3)
        results.append([env.reset(), env.reset()])
    _assert_same(*results)


# Autoreset.


@every_predict
@every_first
def test_the_three_modes_make_the_same_transitions(predict: str, first: str) -> None:
    found = {
        mode: _collect(_vector(mode, predict=predict, first=first), 17, shift=True)
        for mode in MODES
    }
    shortest = min(len(row) for rows in found.values() for row in rows)
    assert shortest >= 12  # some episodes
    cut = {mode: [row[:shortest] for row in rows] for mode, rows in found.items()}
    ends = [[transition[4] for transition in row] for row in cut["Disabled"]]
    assert all(sum(row) >= 2 for row in ends)
    assert ends[0] != ends[1]  # out of phase
    _assert_same(cut["NextStep"], cut["Disabled"])
    _assert_same(cut["SameStep"], cut["Disabled"])


@every_mode
@every_predict
def test_transitions_are_those_of_gymnasium_s_own_vector(mode: str, predict: str) -> None:
    options: dict[str, Any] = {"predict": predict, "reward": "gain", "images": "digits"}
    ours = _collect(_vector(mode, **options), 15, shift=True)
    assert min(len(row) for row in ours) >= 11
    _assert_same(ours, _collect(_sync(mode, **options), 15, shift=True))


@every_mode
@every_predict
@every_first
def test_every_result_is_that_of_gymnasium_s_own_vector(
    mode: str, predict: str, first: str
) -> None:
    ours, theirs = (
        make(mode, predict=predict, first=first, images="digits") for make in (_vector, _sync)
    )
    assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"]
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    _assert_same(ours.reset(seed=3), theirs.reset(seed=3))
    finals = 0
    for time in range(14):
        if time == 1:  # out of phase
            mask = np.array([False, True, True])
            for env in (ours, theirs):
                env.reset(options={"reset_mask": mask.copy()})
        actions = _actions(ours, [time] * ROWS)
        (*ours_seen, info), (*theirs_seen, told) = ours.step(actions), theirs.step(actions)
        _assert_same(ours_seen, theirs_seen, f"step {time}")
        assert info.keys() == told.keys(), time
        finals += "final_obs" in info
        for name in told:
            if name == "final_info":
                assert info[name].keys() == told[name].keys()
                ended = info["_final_info"]
                for key in ("target", "_target"):
                    _assert_same(info[name][key][ended], told[name][key][ended], f"{time}/{key}")
                _assert_same(info[name]["_target"], told[name]["_target"])
            else:
                _assert_same(info[name], told[name], f"step {time}/{name}")
        if mode == "Disabled" and ours_seen[2].any():
            mask = ours_seen[2]
            seen, info = ours.reset(options={"reset_mask": mask.copy()})
            wanted, told = theirs.reset(options={"reset_mask": mask.copy()})
            _assert_same(seen, wanted)
            _assert_same(info["target"][mask], told["target"][mask])
    assert (finals > 3) == (mode == "SameStep")


@every_mode
def test_resets_of_some_rows_leave_the_others_alone(mode: str) -> None:
    ours, theirs = (make(mode, images="digits") for make in (_vector, _sync))
    plan = np.random.default_rng(1)
    last, _ = ours.reset(seed=8)
    theirs.reset(seed=8)
    over = np.zeros(ROWS, dtype=np.bool_)
    for time in range(30):
        mask = plan.random(ROWS) < 0.3
        if mode == "Disabled":
            mask |= over
        if mask.any():
            seed = time if time % 3 == 0 else None
            seen, info = ours.reset(seed=seed, options={"reset_mask": mask.copy()})
            wanted, told = theirs.reset(seed=seed, options={"reset_mask": mask.copy()})
            _assert_same(seen, wanted, f"reset {time}")
            _assert_same(info["target"][mask], told["target"][mask])
            for row in np.flatnonzero(~mask):
                _assert_same(_row(seen, row), _row(last, row), f"row {row} at {time}")
        actions = _actions(ours, [time] * ROWS)
        *judged, _ = ours.step(actions)
        *wanted_judged, _ = theirs.step(actions)
        _assert_same(judged, wanted_judged, f"step {time}")
        last, over = judged[0], judged[2]


# The target.


@each_kind
@every_mode
@every_predict
@every_first
def test_the_target_belongs_to_the_observation_beside_it(
    kind: str, mode: str, predict: str, first: str
) -> None:
    if kind == "single":
        transitions = _play(GlimpseEnv(**NEAR, predict=predict, first=first), 0, episodes=6)
    else:
        env = _vector(mode, predict=predict, first=first)
        transitions = [at for row in _collect(env, 20, shift=True) for at in row]
    seen = [(at[0], at[1]) for at in transitions] + [(at[6], at[7]) for at in transitions]
    assert len({target for _, target in seen}) >= 3
    looked = 0
    for observation, target in seen:
        if observation["step"][0] == 0:  # nothing seen yet
            assert not observation["glimpse"].any()
        else:
            assert _shown(observation["glimpse"]) == target
            looked += 1
    assert looked >= len(transitions)


@every_mode
def test_info_holds_the_target_of_every_row_always(mode: str) -> None:
    env = _vector(mode)
    observation, info = env.reset(seed=0)
    over = np.zeros(ROWS, dtype=np.bool_)
    for time in range(12):
        assert info["target"].dtype == np.int64
        assert info["_target"].tolist() == [True] * ROWS
        np.testing.assert_array_equal(info["target"], _shown(observation["glimpse"]))
        if mode == "Disabled" and over.any():
            observation, info = env.reset(options={"reset_mask": over})
            np.testing.assert_array_equal(info["target"], _shown(observation["glimpse"]))
        observation, _, over, _, info = env.step(_actions(env, [time] * ROWS))


def test_the_final_info_is_that_of_the_final_observation() -> None:
    env = _vector("SameStep", rows=16)
    env.reset(seed=0)
    changed = 0
    for time in range(12):
        observation, _, ended, _, info = env.step(_actions(env, [time] * 16))
        assert ("final_obs" in info) == ended.any()
        if not ended.any():
            continue
        for row in np.flatnonzero(ended):
            final = info["final_obs"][row]
            assert _shown(final["glimpse"]) == info["final_info"]["target"][row]
            assert final["step"] == 4
            assert observation["step"][row] == 1
        changed += int((info["final_info"]["target"] != info["target"]).sum())
    assert changed  # else a final target could be that of the next episode


# What comes back.


def test_alone_numbers_are_python_s_and_arrays_float32(env_id: str, env_predict: str) -> None:
    """A place, which is no number, is an array of float64."""
    env = gymnasium.make(env_id, predict=env_predict).unwrapped
    for _ in range(2):
        observation, info = env.reset()
        for time in range(5):
            target = info["target"]
            if _searched(env_id):
                assert type(target) is np.ndarray
                assert (target.dtype, target.shape) == (np.float64, (2,))
            elif _classes(env_id) > 1:
                assert (target.dtype, target.shape) == (np.int64, (2,))
            else:
                assert type(target) is int
            for name, array in observation.items():
                assert type(array) is np.ndarray, name
                assert array.dtype == np.float32, name
            action = _action(env.action_space, 0, time)
            observation, reward, terminated, truncated, info = env.step(action)
            assert type(reward) is float
            assert type(terminated) is bool
            assert type(truncated) is bool


def test_batched_numbers_are_numpy_s(env_id: str) -> None:
    env = gymnasium.make_vec(env_id, num_envs=2)
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(_actions(env, [0, 0]))
    assert {array.dtype for array in observation.values()} == {np.dtype(np.float32)}
    assert (reward.dtype, reward.shape) == (np.float64, (2,))
    assert (terminated.dtype, terminated.shape) == (np.bool_, (2,))
    assert (truncated.dtype, truncated.shape) == (np.bool_, (2,))
    kind = (np.float64, (2, 2)) if _searched(env_id) else (np.int64, (2,))
    if _classes(env_id) > 1:
        kind = (np.int64, (2, 2))
    assert (info["target"].dtype, info["target"].shape) == kind
    assert "torch" not in env.metadata


def test_the_engine_of_a_vector_is_public(env_id: str) -> None:
    env = gymnasium.make_vec(env_id, num_envs=2)
    core = env.unwrapped.core  # type: ignore[attr-defined]
    assert isinstance(core, GlimpseBatch)
    assert core.rows == 2


@pytest.mark.parametrize(
    "options",
    [
        {"outside": "mean"},
        {"outside": "edge", "scales": 3},
        {"context": 3},
        {"context": 5, "first": "agent"},
        {"reach": 200.0},
        {"size": 20, "scales": 2, "factor": 3},
        {"images": "digits", "canvas": "cluttered-60", "context": 4},
        {"images": "coloured", "context": 2},
        {"images": "floats"},
        {"first": "centre", "glimpses": 1},
        {"first": "centre", "glimpses": 1, "predict": "flat"},
        {"predict": "flat", "split": "test"},
    ],
    ids=str,
)
def test_observations_lie_in_their_space(options: dict[str, Any]) -> None:
    register_images("coloured", _shaded(channels=3))
    noise = torch.rand(20, 1, 7, 5, generator=torch.Generator().manual_seed(0))
    register_images("floats", ImageSet.from_arrays(noise, [0, 1] * 10))
    options = {**NEAR, **options}
    single, vector = GlimpseEnv(**options), _vector("SameStep", **options)
    channels = 3 if options["images"] == "coloured" else 1
    shapes = {
        "glimpse": (options.get("scales", 1), channels, options["size"], options["size"]),
        "location": (2,),
        "step": (1,),
    }
    if "context" in options:
        shapes["context"] = (channels, options["context"], options["context"])
    space = single.observation_space
    assert isinstance(space, gymnasium.spaces.Dict)
    assert {name: part.shape for name, part in space.items()} == shapes
    assert vector.single_observation_space == space
    bounds = {"glimpse": (0, 1), "location": (-1, 1), "step": (0, options["glimpses"])}
    for name, (low, high) in {**bounds, "context": (0, 1)}.items():
        if name in shapes:
            assert (space[name].low == low).all()
            assert (space[name].high == high).all()
    alone, batch = single.reset(seed=1)[0], vector.reset(seed=1)[0]
    over = False
    for time in range(9):
        assert space.contains(alone), time
        assert vector.observation_space.contains(batch), time
        for row in range(ROWS):
            assert space.contains(_row(batch, row)), time
        if over or (options["glimpses"] == 1 and options.get("predict") != "flat"):
            alone, over = single.reset()[0], False
        else:
            alone, _, over, _, _ = single.step(_action(single.action_space, 0, time))
        if vector.core.eye.actions or options.get("predict") == "flat":
            batch = vector.step(_actions(vector, [time] * ROWS))[0]


def test_the_context_is_the_whole_image_averaged() -> None:
    images = torch.zeros(1, 1, 4, 8, dtype=torch.uint8)
    images[..., :2, 4:] = 255  # the upper right quarter
    images[..., 2:, :2] = 51  # half of the lower left quarter
    register_images("quarters", ImageSet.from_arrays(images, [0], splits={"train": [0]}))
    env = GlimpseEnv(images="quarters", context=2, size=2)
    observation, _ = env.reset(seed=0)
    wanted = np.array([[[0, 1], [0.1, 0]]], dtype=np.float32)
    np.testing.assert_allclose(observation["context"], wanted, rtol=1e-6)


@each_kind
@every_mode
def test_results_never_share_memory(kind: str, mode: str) -> None:
    env: Any = GlimpseEnv(**NEAR, context=2) if kind == "single" else _vector(mode, context=2)
    results = [env.reset(seed=0)]
    for time in range(9):
        if kind == "single":
            results.append(env.step(_action(env.action_space, 0, time)))
        else:
            results.append(env.step(_actions(env, [time] * ROWS)))
        if results[-1][2] is True or (mode == "Disabled" and np.any(results[-1][2])):
            mask = {"reset_mask": results[-1][2]} if kind == "vector" else None
            results.append(env.reset(options=mask))
    arrays = [list(_arrays(result)) for result in results]
    assert all(arrays)
    for number, later in enumerate(arrays):
        for earlier in arrays[:number]:
            assert not any(np.shares_memory(one, other) for one in later for other in earlier)
        for at, one in enumerate(later):
            assert not any(np.shares_memory(one, other) for other in later[:at]), number


@each_kind
@every_mode
def test_writing_into_results_changes_nothing(kind: str, mode: str) -> None:
    def make() -> Any:
        return GlimpseEnv(**NEAR, context=2) if kind == "single" else _vector(mode, context=2)

    def step(env: Any, time: int) -> Any:
        if kind == "single":
            return env.step(_action(env.action_space, 0, time))
        return env.step(_actions(env, [time] * ROWS))

    careful, vandal = make(), make()
    for again in range(3):
        seed = None if again else 4
        wanted, got = careful.reset(seed=seed), vandal.reset(seed=seed)
        for time in range(3 if mode == "Disabled" or kind == "single" else 7):
            _assert_same(got, wanted, f"{again}/{time}")
            for array in _arrays(got):
                array[...] = 1
            wanted, got = step(careful, time), step(vandal, time)
        _assert_same(got, wanted, f"{again}/end")
        for array in _arrays(got):
            array[...] = 1


@each_kind
def test_earlier_results_stay_what_they_were(kind: str) -> None:
    env: Any = GlimpseEnv(**NEAR) if kind == "single" else _vector("SameStep")
    results = [env.reset(seed=0)]
    copies = [pickle.dumps(results[0])]
    for time in range(3):
        single = _action(env.action_space, 0, time) if kind == "single" else None
        results.append(env.step(_actions(env, [time] * ROWS) if single is None else single))
        copies.append(pickle.dumps(results[-1]))
    env.reset(seed=1)
    for result, copy in zip(results, copies, strict=True):
        _assert_same(result, pickle.loads(copy))


# Episodes.


@every_predict
@every_first
@pytest.mark.parametrize("glimpses", [2, 5])
def test_episodes_have_a_fixed_length_and_terminate(
    predict: str, first: str, glimpses: int
) -> None:
    env = GlimpseEnv(**{**NEAR, "glimpses": glimpses}, predict=predict, first=first)
    length = _length(predict, first, glimpses)
    for seed in range(3):
        played = _play(env, seed, episodes=1)
        assert [at[4] for at in played] == [False] * (length - 1) + [True]
        assert not any(at[5] for at in played)  # truncated
        begin = 0 if first == "agent" else 1
        counts = [int(played[0][0]["step"][0]), *(int(at[6]["step"][0]) for at in played)]
        assert counts == [min(begin + taken, glimpses) for taken in range(length + 1)]


@every_first
def test_a_location_is_the_action_clipped(first: str) -> None:
    env = GlimpseEnv(**NEAR, first=first)
    for _, _, action, _, _, _, seen, _ in _play(env, 2, episodes=3):
        np.testing.assert_array_equal(seen["location"], np.clip(action, -1, 1))
    env.reset(seed=0)
    seen = env.step(np.array([np.inf, -7.0]))[0]
    np.testing.assert_array_equal(seen["location"], [1, -1])


def test_the_location_beside_the_last_answer_is_ignored() -> None:
    env = GlimpseEnv(**{**NEAR, "glimpses": 2}, predict="flat")
    env.reset(seed=0)
    before, *_ = env.step(np.r_[0.5, -0.5, np.zeros(SHADES)])
    after, _, over, _, _ = env.step(np.r_[-1.0, 1.0, np.zeros(SHADES)])
    assert over
    _assert_same(after, before)


def test_where_the_first_glimpse_lies() -> None:
    for first, places in (("centre", 1), ("agent", 1), ("random", 20)):
        env = GlimpseEnv(**NEAR, first=first)
        found = [env.reset(seed=seed)[0] for seed in range(20)]
        assert len({tuple(seen["location"]) for seen in found}) == places
        assert {float(seen["step"][0]) for seen in found} == {0.0 if first == "agent" else 1.0}
        assert all(bool(seen["glimpse"].any()) == (first != "agent") for seen in found)
        if first != "random":
            np.testing.assert_array_equal(found[0]["location"], [0, 0])


def test_a_glimpse_is_where_the_location_says_x_to_the_right_and_y_down() -> None:
    images = torch.arange(8 * 12, dtype=torch.uint8).view(1, 1, 8, 12) * 2
    register_images("ramp", ImageSet.from_arrays(images, [0], splits={"train": [0]}))
    env = GlimpseEnv(images="ramp", size=2, first="centre")
    for location, (top, left) in (
        ((0, 0), (3, 5)),
        ((0.5, 0), (3, 8)),
        ((0, 0.5), (5, 5)),
        ((-0.5, -0.5), (1, 2)),
    ):
        env.reset(seed=0)
        glimpse = env.step(np.array(location, dtype=np.float32))[0]["glimpse"]
        wanted = images[0, 0, top : top + 2, left : left + 2].numpy() / np.float32(255)
        np.testing.assert_allclose(glimpse[0, 0], wanted, rtol=1e-6)
    reached = GlimpseEnv(images="ramp", size=2, first="centre", reach=3.0)
    reached.reset(seed=0)
    glimpse = reached.step(np.array([1, 0], dtype=np.float32))[0]["glimpse"]
    np.testing.assert_allclose(glimpse[0, 0] * 255, images[0, 0, 3:5, 8:10].numpy(), rtol=1e-6)


@each_kind
def test_indices_name_the_images(kind: str) -> None:
    env: Any = GlimpseEnv(**NEAR) if kind == "single" else _vector()
    named = [3] if kind == "single" else [4, 0, 4]
    observation, info = env.reset(seed=0, options={"indices": named})
    targets = info["target"] if kind == "vector" else [info["target"]]
    assert list(targets) == named
    assert list(np.atleast_1d(_shown(observation["glimpse"]))) == named


def test_copies_share_an_image_and_not_a_first_location() -> None:
    env = _vector(rows=6, copies=3)
    shared = set()
    for seed in range(5):
        observation, info = env.reset(seed=seed)
        first, second = info["target"][:3], info["target"][3:]
        assert len(set(first)) == len(set(second)) == 1
        shared.add((int(first[0]), int(second[0])))
        assert len({tuple(location) for location in observation["location"]}) == 6
    assert len(shared) > 1


def test_a_split_s_images_are_the_only_ones_shown() -> None:
    for split, images in (("train", set(range(SHADES))), ("test", {0, 2})):
        env = _vector(rows=64, split=split)
        assert set(env.reset(seed=0)[1]["target"].tolist()) == images


# Rewards.


def test_external_rewards_are_zero() -> None:
    assert {at[3] for at in _play(GlimpseEnv(**NEAR), 0, episodes=3)} == {0.0}


@every_first
@pytest.mark.parametrize("right", [True, False])
def test_the_last_answer_alone_earns_the_correct_reward(first: str, right: bool) -> None:
    env = GlimpseEnv(**NEAR, first=first, predict="flat", reward="correct")
    _, info = env.reset(seed=1)
    length = _length("flat", first)
    for number in range(1, length + 1):
        scores = -np.ones(SHADES)
        good = right == (number == length)  # before the last the other way round
        scores[info["target"] if good else (info["target"] + 1) % SHADES] = 1
        _, reward, over, _, info = env.step(np.r_[0.1, 0.2, scores])
        assert reward == float(right and number == length)
    assert over


@every_first
def test_gains_are_those_of_the_log_probabilities_of_ten_times_the_scores(first: str) -> None:
    env = GlimpseEnv(**NEAR, first=first, predict="flat", reward="gain")
    _, info = env.reset(seed=2)
    before, total = -math.log(SHADES), 0.0
    for number in range(_length("flat", first)):
        scores = np.random.default_rng(number).uniform(-1, 1, SHADES)
        logits = 10 * scores
        log_prob = logits[info["target"]] - math.log(np.exp(logits).sum())
        _, reward, _, _, info = env.step(np.r_[0.0, 0.0, scores])
        if first == "agent" and number == 0:  # nothing was seen that could be answered about
            assert reward == 0
            continue
        assert reward == pytest.approx(log_prob - before, abs=1e-5)
        before, total = log_prob, total + reward
    assert total == pytest.approx(before + math.log(SHADES), abs=1e-5)


@every_mode
def test_batched_rewards_are_those_of_each_row(mode: str) -> None:
    env = _vector(mode, predict="flat")
    _, info = env.reset(seed=0)
    target = info["target"]
    for _ in range(4):
        actions = np.zeros((ROWS, 2 + SHADES), dtype=np.float32)
        actions[np.arange(ROWS), 2 + target] = [1, 1, -1]  # the last row is wrong
        _, reward, over, _, _ = env.step(actions)
        assert reward.tolist() == ([1, 1, 0] if over.all() else [0, 0, 0])
    assert over.all()


def test_scores_beyond_the_border_are_clipped() -> None:
    def gain(scale: float) -> float:
        env = GlimpseEnv(**NEAR, predict="flat", reward="gain")
        _, info = env.reset(seed=0)
        scores = np.zeros(SHADES)
        scores[info["target"]] = scale
        return env.step(np.r_[0.0, 0.0, scores])[1]

    assert gain(3.0) == gain(1.0) > gain(0.5)


# Pictures.


def test_the_picture_shows_windows_and_path_to_scale() -> None:
    orange, blue, yellow = (230, 159, 0), (86, 180, 233), (240, 228, 66)
    options = {**NEAR, "size": 4, "scales": 2, "first": "centre", "reach": 3.0}
    env = GlimpseEnv(render_mode="rgb_array", **options)
    env.reset(seed=0, options={"indices": [2]})
    picture = env.render()
    assert picture is not None
    assert (picture.shape, picture.dtype) == ((240, 320, 3), np.uint8)  # 20 times the image
    assert tuple(picture[5, 5]) == (3 * SHADE,) * 3
    assert tuple(picture[120, 160]) == yellow  # (8, 6), where the glimpse was
    assert tuple(picture[81, 130]) == orange  # the window of 4 begins at (6, 4)
    assert tuple(picture[41, 90]) == blue  # the window of 8 begins at (4, 2)
    env.step(np.array([1, 1], dtype=np.float32))
    moved = env.render()
    assert moved is not None
    assert tuple(moved[180, 220]) == yellow  # (11, 9)
    assert tuple(moved[150, 190]) == yellow  # half way
    assert tuple(moved[141, 250]) == orange  # the window begins at (9, 7)
    assert tuple(moved[81, 130]) != orange
    assert tuple(picture[81, 130]) == orange  # and the earlier picture is as it was


@each_kind
@every_first
def test_pictures_are_uint8_at_any_time(kind: str, first: str) -> None:
    options: dict[str, Any] = {"render_mode": "rgb_array", "first": first, "images": "digits"}
    env: Any = GlimpseEnv(**options) if kind == "single" else _vector("SameStep", **options)
    env.reset(seed=0)
    pictures = []
    for time in range(9):
        shown = (env.render(),) if kind == "single" else env.render()
        assert len(shown) == (1 if kind == "single" else ROWS)
        for picture in shown:
            assert picture.dtype == np.uint8
            assert picture.shape == (308, 308, 3)  # 11 times the image
        pictures.append(shown[0].tobytes())
        if kind == "vector":
            env.step(_actions(env, [time] * ROWS))
        elif env.step(_action(env.action_space, 0, time))[2]:
            env.reset()
    assert len(set(pictures)) == len(pictures)


def test_without_a_render_mode_there_is_no_picture() -> None:
    single, vector = GlimpseEnv(**NEAR), _vector()
    single.reset()
    vector.reset()
    assert single.render() is None
    assert vector.render() is None


# Images of one's own.


def _write_folder(root: Path, sizes: list[tuple[int, int]] | None = None) -> Path:
    rng = np.random.default_rng(0)
    for number in range(20):
        place = root / ("cat" if number % 2 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        size = sizes[number % len(sizes)] if sizes else (9, 14)
        pixels = rng.integers(0, 256, size, dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number:02}.png")
    return root


def test_images_come_from_a_folder_or_a_registered_name(tmp_path: Path) -> None:
    root = _write_folder(tmp_path / "photos")
    register_images("photos", load_folder(root))
    named = gymnasium.make("glimpse/Images-v0", images="photos", size=4)
    folder = gymnasium.make("glimpse/Images-v0", images=str(root), size=4)
    _assert_same(_play(folder, 3, episodes=5), _play(named, 3, episodes=5))
    core = folder.unwrapped.core  # type: ignore[attr-defined]
    assert core.images.shape == (1, 9, 14)
    assert core.images.task.classes == ("cat", "dog")
    assert {folder.reset(seed=seed)[1]["target"] for seed in range(20)} == {0, 1}
    check_env(folder.unwrapped)
    check_env(named.unwrapped)


@pytest.mark.plain  # a tuple comes back from JSON as a list
def test_images_of_a_folder_are_resized_and_the_spec_survives_json(tmp_path: Path) -> None:
    root = _write_folder(tmp_path, sizes=[(9, 14), (20, 10)])
    env = gymnasium.make("glimpse/Images-v0", images=str(root), size=4, image_size=(10, 12))
    core = env.unwrapped.core  # type: ignore[attr-defined]
    assert core.images.shape == (1, 10, 12)
    assert env.spec is not None
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    _assert_same(_play(again, 0, episodes=2), _play(env, 0, episodes=2))


def test_images_of_a_folder_lie_on_a_canvas(tmp_path: Path) -> None:
    root = _write_folder(tmp_path)
    env = gymnasium.make("glimpse/Images-v0", images=str(root), canvas="translated-40")
    assert env.unwrapped.core.images.shape == (1, 40, 40)  # type: ignore[attr-defined]


@each_kind
@every_predict
def test_images_above_the_memory_allowed_look_the_same(
    kind: str, predict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5 images of 12 x 16 pixels have tables of 5 * 13 * 17 * 2 bytes; the option is in GiB."""
    enough = 5 * 13 * 17 * 2 / 2**30
    prepared = ImageSet.prepared
    found, made = [], list[str]()

    def note(images: ImageSet, sensor: GlimpseSensor, memory: float) -> Prepared:
        result = prepared(images, sensor, memory)
        made.append(type(result).__name__)
        return result

    monkeypatch.setattr(ImageSet, "prepared", note)
    for memory in (8.0, enough, 0.99 * enough, 0.0):
        options: dict[str, Any] = {"predict": predict, "memory": memory, "outside": "mean"}
        if kind == "single":
            found.append([_play(GlimpseEnv(**NEAR, **options), 3, episodes=3)])
        else:
            found.append(_collect(_vector(**options), 9))
    assert made == ["SummedAreaTables", "SummedAreaTables", "Pixels", "Pixels"]
    for other in found[1:]:
        _assert_same(other, found[0])


def test_an_environment_is_made_of_a_copy_of_its_options() -> None:
    kwargs: dict[str, Any] = {"images": "shades", "size": 2, "glimpses": 2}
    env = gymnasium.make("glimpse/Images-v0", **kwargs)
    assert env.spec is not None
    kwargs["glimpses"] = 9
    assert env.spec.kwargs == {"images": "shades", "size": 2, "glimpses": 2}
    assert env.unwrapped.core.eye.glimpses == 2  # type: ignore[attr-defined]
    plain = gymnasium.make("glimpse/Images-v0")
    assert plain.unwrapped.core.eye.glimpses == 6  # type: ignore[attr-defined]
    assert ENVIRONMENTS["glimpse/Images-v0"] == {}


# Mistakes.


@each_kind
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"glimpse": 3}, r"options of an environment must be among images, .*, got glimpse: check"),
        ({"images": "photoz"}, r"`images` must be the path of .* got 'photoz': .*register_images"),
        ({"canvas": "huge"}, r"`canvas` must be one of .*translated-60, got 'huge': choose one"),
        ({"size": 0}, r"`size` must be a whole number from 1, got 0"),
        ({"scales": 0}, r"`scales` must be a whole number from 1, got 0"),
        ({"factor": 0}, r"`factor` must be a whole number from 1, got 0"),
        ({"glimpses": 0}, r"`glimpses` must be a whole number from 1, got 0"),
        ({"outside": "grey"}, r"`outside` must be one of edge, mean, zero, got 'grey'"),
        ({"first": "left"}, r"`first` must be one of agent, centre, random, got 'left'"),
        ({"reach": -1.0}, r"`reach` must be finite and at least 0, got -1"),
        ({"reach": math.nan}, r"`reach` must be finite and at least 0, got nan"),
        ({"context": 0}, r"`context` must be a whole number from 1, got 0"),
        ({"copies": 0}, r"`copies` must be a whole number from 1, got 0"),
        ({"copies": 2}, r"`rows` must be a multiple of copies=2, got (1|3): choose 2"),
        ({"split": "all"}, r"`split` must be one of test, train, validation, got 'all'"),
        ({"split": "validation"}, r"split 'validation' must hold images, got none"),
        ({"memory": math.nan}, r"`memory` must be finite and at least 0, got nan"),
        ({"predict": "both"}, r"`predict` must be one of dict, external, flat, got 'both'"),
        ({"reward": "fame"}, r"`reward` must be one of correct, gain, loss, got 'fame'"),
    ],
    ids=str,
)
@pytest.mark.plain
def test_bad_options_are_refused(kind: str, options: dict[str, Any], message: str) -> None:
    make: Callable[..., Any] = gymnasium.make
    if kind == "vector":
        make, options = gymnasium.make_vec, {"num_envs": ROWS, **options}
    with pytest.raises(ValueError, match=message):
        make("glimpse/Images-v0", **{"images": "shades", **options})


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 1, 4, 4), dtype=np.uint8), torch.zeros(2, 1, 4, 4), None, 5],
    ids=["array", "tensor", "None", "number"],
)
@pytest.mark.plain
def test_images_that_are_neither_name_nor_path_are_refused(images: Any) -> None:
    with pytest.raises(ValueError, match=r"`images` must be .*register_images"):
        gymnasium.make("glimpse/Images-v0", images=images)


@pytest.mark.plain
def test_an_unknown_autoreset_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`autoreset_mode` must be one of .*SameStep, got 'same'"):
        _vector("same")


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=str)
def test_an_autoreset_mode_is_a_name_or_gymnasium_s_own(mode: AutoresetMode) -> None:
    for given in (mode, mode.value):
        env = GlimpseVectorEnv(2, autoreset_mode=given, **NEAR)
        assert env.metadata["autoreset_mode"] is mode


@pytest.mark.plain
def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`rows` must be a whole number from 1, got 0"):
        _vector(rows=0)


def test_no_folder_of_mnist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIMPSE_DATA", raising=False)
    with pytest.raises(ValueError, match=r"MNIST must be on disk, got no folder: .*GLIMPSE_DATA"):
        gymnasium.make("glimpse/MNIST-v0")


WRONG_SHAPES = [(), (1,), (3,), (1, 2), (2, 2), (0,)]


@every_predict
@pytest.mark.parametrize("shape", WRONG_SHAPES, ids=str)
@pytest.mark.plain
def test_actions_of_a_wrong_shape_are_refused(predict: str, shape: tuple[int, ...]) -> None:
    env = GlimpseEnv(**NEAR, predict=predict)
    env.reset()
    wanted = r"\(1, 2\)" if predict == "external" else r"\(1, 7\)"
    with pytest.raises(ValueError, match=f"actions must be numbers of shape {wanted}, got float64"):
        env.step(np.zeros(shape))


@pytest.mark.parametrize("shape", [(2,), (2, 2), (ROWS, 1), (ROWS, 3), (ROWS, 2, 1)], ids=str)
@pytest.mark.plain
def test_batched_actions_of_a_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    env = _vector()
    env.reset()
    with pytest.raises(ValueError, match=r"actions must be numbers of shape \(3, 2\), got float64"):
        env.step(np.zeros(shape))


@each_kind
@pytest.mark.parametrize("dtype", [np.bool_, np.str_, np.object_, np.complex64])
@pytest.mark.plain
def test_actions_that_are_no_numbers_are_refused(kind: str, dtype: type) -> None:
    env: Any = GlimpseEnv(**NEAR) if kind == "single" else _vector()
    env.reset()
    actions = np.zeros((2,) if kind == "single" else (ROWS, 2), dtype=dtype)
    with pytest.raises(ValueError, match=r"actions must be numbers of shape .*, got \S+ of shape"):
        env.step(actions)


@each_kind
def test_actions_of_any_numbers_and_lists_are_taken(kind: str) -> None:
    make: Callable[[], Any] = (lambda: GlimpseEnv(**NEAR)) if kind == "single" else _vector
    results = []
    for dtype in (np.float32, np.float64, np.int64, np.int8):
        env = make()
        env.reset(seed=0)
        results.append(env.step(np.full((2,) if kind == "single" else (ROWS, 2), -1, dtype=dtype)))
    for result in results[1:]:
        _assert_same(result, results[0])


@each_kind
@every_predict
def test_nan_is_refused_and_nothing_has_moved(kind: str, predict: str) -> None:
    options: dict[str, Any] = {"predict": predict, "reward": "gain"}
    env: Any = GlimpseEnv(**NEAR, **options) if kind == "single" else _vector(**options)
    twin: Any = GlimpseEnv(**NEAR, **options) if kind == "single" else _vector(**options)
    env.reset(seed=0)
    twin.reset(seed=0)
    good = np.full(env.action_space.shape, 0.5, dtype=np.float32)
    for at in range(good.shape[-1]):
        bad = good.copy()
        bad[..., at] = np.nan
        name = "action" if at < 2 else "answer"
        with pytest.raises(ValueError, match=f"`{name}` must be .*, got .*(NaN|nan)"):
            env.step(bad)
    _assert_same(env.step(good), twin.step(good))


@each_kind
def test_a_step_before_the_first_reset_is_refused(kind: str) -> None:
    env: Any = GlimpseEnv(**NEAR) if kind == "single" else _vector()
    with pytest.raises(ValueError, match=r"`reset` must come before `step`, got a step: call"):
        env.step(np.zeros(env.action_space.shape, dtype=np.float32))


@each_kind
def test_a_picture_before_the_first_reset_is_refused(kind: str) -> None:
    options: dict[str, Any] = {"render_mode": "rgb_array"}
    env: Any = GlimpseEnv(**NEAR, **options) if kind == "single" else _vector(**options)
    with pytest.raises(ValueError, match="reset"):
        env.render()


def test_with_autoreset_disabled_episodes_that_are_over_must_be_reset() -> None:
    env = _vector("Disabled")
    env.reset(seed=0)
    env.step(_actions(env, [0] * ROWS))
    env.reset(options={"reset_mask": np.array([True, False, True])})
    for time in range(2):
        over = env.step(_actions(env, [time] * ROWS))[2]
    assert over.tolist() == [False, True, False]
    with pytest.raises(ValueError, match=r"episodes must be reset when .*, got row 1: call reset"):
        env.step(_actions(env, [9] * ROWS))
    env.reset(options={"reset_mask": over})
    assert env.step(_actions(env, [9] * ROWS))[2].tolist() == [True, False, True]


def test_what_is_disabled_is_the_reset_not_the_end() -> None:
    env = _vector("Disabled")
    env.reset(seed=0)
    for time in range(3):
        observation, _, over, _, info = env.step(_actions(env, [time] * ROWS))
    assert over.all()
    assert (observation["step"] == 4).all()
    assert "final_obs" not in info


BAD_RESETS = {
    "unknown": ({"index": [1]}, r"`options` must be among indices and reset_mask, got index"),
    "beyond": ({"indices": [0, 1, SHADES]}, r"`indices` must be in \[0, 5\), got 0 to 5"),
    "negative": ({"indices": [0, 1, -1]}, r"`indices` must be in \[0, 5\), got -1 to 1"),
    "fractions": (
        {"indices": [0.5, 1.0, 2.0]},
        r"`indices` must be whole numbers.*, got .*(0\.5|float)",
    ),
    "none": ({"indices": []}, r"`indices` must be"),
    "axes": ({"indices": [[0, 1, 2]]}, r"`indices` must be \(.*\), got \(1, 3\)"),
    "few": ({"indices": [0, 1]}, r"`indices` must be \(3,?\), got \(2,\)"),
    "many": ({"indices": [0, 1, 2, 3]}, r"`indices` must be \(3,?\), got \(4,\)"),
    "short mask": ({"reset_mask": np.array([True, False])}, r"`reset_mask` must be \(3,\)"),
    "long mask": ({"reset_mask": np.ones(4, dtype=bool)}, r"`reset_mask` must be \(3,\)"),
    "numbers": ({"reset_mask": np.array([0.0, 1.0, 2.0])}, r"`reset_mask` must be \(3,\)"),
}


@pytest.mark.parametrize("name", BAD_RESETS)
@pytest.mark.plain
def test_bad_reset_options_are_refused_and_the_episodes_go_on(name: str) -> None:
    options, message = BAD_RESETS[name]
    env, twin = _vector("Disabled"), _vector("Disabled")
    env.reset(seed=0)
    twin.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)
    actions = _actions(env, [0] * ROWS)
    _assert_same(env.step(actions), twin.step(actions))
    _assert_same(env.reset(), twin.reset())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"index": 1}, r"`options` must be among indices and reset_mask, got index"),
        ({"indices": [SHADES]}, r"`indices` must be in \[0, 5\), got 5 to 5"),
        ({"indices": [0, 1]}, r"`indices` must be \(1,?\), got \(2,\)"),
        ({"indices": []}, r"`indices` must be"),
    ],
    ids=str,
)
@pytest.mark.plain
def test_bad_reset_options_are_refused_alone(options: dict[str, Any], message: str) -> None:
    env = GlimpseEnv(**NEAR)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)
    env.step(np.zeros(2))


def test_some_rows_cannot_be_reset_before_all_were() -> None:
    env = _vector()
    with pytest.raises(ValueError, match=r"`reset_mask` must be .*: reset all rows once"):
        env.reset(options={"reset_mask": np.array([True, False, True])})


@pytest.mark.plain
def test_seeds_of_a_wrong_number_are_refused() -> None:
    env = _vector()
    with pytest.raises(ValueError, match=r"`seed` must be one number or 3, got \(?2"):
        env.reset(seed=[1, 2])
    with pytest.raises(ValueError, match=r"`seed` must be .*2\*\*63"):
        env.reset(seed=2**63)
    with pytest.raises(ValueError, match=r"`seed` must be .*2\*\*63"):
        GlimpseEnv(**NEAR).reset(seed=2**80)


def test_a_reset_does_not_change_its_options() -> None:
    env = _vector("Disabled")
    env.reset(seed=0)
    mask = np.array([True, False, True])
    options = {"reset_mask": mask, "indices": [1, 1, 2]}
    _, info = env.reset(options=options)
    assert options == {"reset_mask": mask, "indices": [1, 1, 2]}
    assert mask.tolist() == [True, False, True]
    assert info["target"][[0, 2]].tolist() == [1, 2]


def test_the_memory_is_refused_in_the_units_it_was_given_in() -> None:
    with pytest.raises(ValueError, match=r"^`memory` must be finite and at least 0, got -1\.5"):
        gymnasium.make("glimpse/Digits-v0", memory=-1.5)


def test_an_action_is_checked_also_where_all_rows_only_wait_for_their_reset() -> None:
    env = gymnasium.make_vec("glimpse/Digits-v0", num_envs=2, glimpses=2)
    env.reset(seed=0)
    assert env.step(np.zeros((2, 2), dtype=np.float32))[2].all()
    with pytest.raises(ValueError, match="`action` must be numbers"):
        env.step(np.full((2, 2), np.nan, dtype=np.float32))
