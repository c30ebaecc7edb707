"""A vector of environments through glimpses: every row as the single wrapper shows it."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from expect import assert_alike, refused
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space, iterate
from shown import Shown

from glimpse import GlimpseSensor
from glimpse.envs import GlimpseVectorWrapper, GlimpseWrapper

SENSOR = GlimpseSensor(size=2, scales=2)
ROWS, SEED, STEPS = 3, 11, 7
# Options of the wrapper, and of the environment.
FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "all": (
        dict(key="picture", context=3, first="random", stride=2.0, reach=4.0),
        dict(key="picture", dtype=np.float32, shape=(3, 6, 10)),
    ),
    "mask": (dict(view="mask", first="random"), dict(shape=(6, 10))),
    "render": (dict(image="render"), dict(key="picture", render_mode="rgb_array")),
    "choices": (dict(actions="flat", grid=3), {}),
    "numbers": (dict(actions="flat"), dict(actions=spaces.Box(-1, 1, (2,), np.float32))),
    "mean": ({}, dict(dtype=np.float64)),
}


def _vector(
    mode: AutoresetMode = AutoresetMode.NEXT_STEP, rows: int = ROWS, **options: Any
) -> SyncVectorEnv:
    # Row b ends after 2 + b steps.
    makers: list[Callable[[], Shown]] = [
        lambda row=row: Shown(**{"length": 2 + row, **options})  # type: ignore[misc]
        for row in range(rows)
    ]
    return SyncVectorEnv(makers, autoreset_mode=mode)


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("form", FORMS)
def test_a_row_is_what_the_single_wrapper_shows(form: str, mode: AutoresetMode) -> None:
    options, shown = FORMS[form]
    if form == "render" and mode is AutoresetMode.SAME_STEP:
        return
    sensor = GlimpseSensor(size=2, scales=2, outside="mean") if form == "mean" else SENSOR
    vector = GlimpseVectorWrapper(_vector(mode, **shown), sensor, **options)
    singles = [
        GlimpseWrapper(Shown(length=2 + row, **shown), sensor, **options) for row in range(ROWS)
    ]
    assert vector.single_observation_space == singles[0].observation_space
    assert vector.single_action_space == singles[0].action_space
    assert vector.action_space == batch_space(vector.single_action_space, ROWS)
    assert vector.observation_space == batch_space(vector.single_observation_space, ROWS)
    vector.action_space.seed(SEED)

    def assert_rows(seen: dict[str, Any], wanted: list[dict[str, Any]]) -> None:
        assert vector.observation_space.contains(seen)
        for row, one in enumerate(wanted):
            assert_alike({name: part[row] for name, part in seen.items()}, one)

    wanted = [env.reset(seed=SEED + row)[0] for row, env in enumerate(singles)]
    assert_rows(vector.reset(seed=SEED)[0], wanted)
    over = np.zeros(ROWS, dtype=bool)
    for _ in range(STEPS):
        if mode is AutoresetMode.DISABLED and over.any():
            seen, _ = vector.reset(options={"reset_mask": over})
            for row in np.flatnonzero(over):
                wanted[row] = singles[row].reset()[0]
            assert_rows(seen, wanted)
            over = np.zeros(ROWS, dtype=bool)
        actions = vector.action_space.sample()
        before = over
        seen, rewards, over, truncated, info = vector.step(actions)
        assert not truncated.any()
        for row, action in enumerate(iterate(vector.action_space, actions)):
            if mode is AutoresetMode.NEXT_STEP and before[row]:
                wanted[row] = singles[row].reset()[0]
                continue
            wanted[row], reward, ended, _, _ = singles[row].step(action)
            assert (reward, ended) == (pytest.approx(rewards[row]), over[row])
            if mode is AutoresetMode.SAME_STEP and ended:
                assert_alike(info["final_obs"][row], wanted[row])
                wanted[row] = singles[row].reset()[0]
        assert_rows(seen, wanted)


def test_what_was_seen_stays() -> None:
    vector = GlimpseVectorWrapper(_vector(render_mode="rgb_array"), SENSOR)
    first, _ = vector.reset(seed=0)
    copies = {name: part.copy() for name, part in first.items()}
    vector.step(vector.action_space.sample())
    assert_alike(first, copies)


def test_seeds_can_be_given_row_by_row() -> None:
    vector = GlimpseVectorWrapper(_vector(), SENSOR, first="random")
    seen, _ = vector.reset(seed=[5, None, 5])
    again, _ = vector.reset(seed=[5, 6, None])
    np.testing.assert_array_equal(seen["location"][0], seen["location"][2])
    np.testing.assert_array_equal(seen["location"][0], again["location"][0])
    assert (seen["location"][1] != again["location"][1]).any()
    assert (seen["location"][2] != again["location"][2]).any()


def test_a_mask_without_rows_that_begin_leaves_their_eyes() -> None:
    vector = GlimpseVectorWrapper(_vector(AutoresetMode.DISABLED, length=9), SENSOR)
    vector.reset(seed=0)
    looks = np.full((ROWS, 2), 0.5, dtype=np.float32)
    vector.step({"action": np.ones(ROWS, dtype=np.int64), "look": looks})
    options = {"reset_mask": np.array([True, False, False])}
    seen, _ = vector.reset(seed=4, options=options)
    np.testing.assert_array_equal(seen["location"], [[0, 0], [0.5, 0.5], [0.5, 0.5]])
    assert list(options) == ["reset_mask"]


def test_pictures_are_those_of_the_single_wrapper() -> None:
    vector = GlimpseVectorWrapper(_vector(render_mode="rgb_array"), SENSOR)
    with refused("`reset` must come first, got no image to show: call reset(seed=0)"):
        vector.render()
    single = GlimpseWrapper(Shown(render_mode="rgb_array"), SENSOR)
    vector.reset(seed=3)
    single.reset(seed=3)
    pictures = vector.render()
    assert len(pictures) == ROWS
    np.testing.assert_array_equal(pictures[0], single.render())
    assert GlimpseVectorWrapper(_vector(render_mode="ansi"), SENSOR).render() == ("text",) * ROWS


@pytest.mark.plain
def test_only_a_vector_is_wrapped() -> None:
    single: Any = Shown()
    with refused(
        "`env` must be a gymnasium.vector.VectorEnv, got a Shown: of a single environment use "
        "GlimpseWrapper"
    ):
        GlimpseVectorWrapper(single, SENSOR)


def test_a_vector_says_what_follows_an_end() -> None:
    env = _vector()
    env.metadata = {}
    with refused(
        "`metadata['autoreset_mode']` of the environment must be a gymnasium.vector.AutoresetMode, "
        "got None: say what follows an episode's end"
    ):
        GlimpseVectorWrapper(env, SENSOR)


def test_the_last_frame_of_an_episode_is_not_rendered() -> None:
    with refused(
        '`autoreset_mode` must be NextStep or Disabled with image="render", got SameStep: the last'
    ):
        GlimpseVectorWrapper(
            _vector(AutoresetMode.SAME_STEP, render_mode="rgb_array"), SENSOR, image="render"
        )


def test_only_arrays_that_are_rendered_are_looked_at() -> None:
    with refused("`render_mode` must be 'rgb_array' to look at what is rendered, got None: make"):
        GlimpseVectorWrapper(_vector(), SENSOR, image="render")


def test_rendered_frames_have_one_size() -> None:
    env: VectorEnv[Any, Any, Any] = _vector(render_mode="rgb_array")
    vector = GlimpseVectorWrapper(env, SENSOR, image="render")
    env.envs[1].render = lambda: np.zeros((4, 4, 3), np.uint8)  # type: ignore[attr-defined]
    with refused(
        "images of all environments must have one shape, got (6, 10, 3) and (4, 4, 3): resize them"
    ):
        vector.reset(seed=0)


def test_a_step_needs_a_beginning() -> None:
    vector = GlimpseVectorWrapper(_vector(), SENSOR)
    with refused("`reset` must come before `step`, got a step: call reset(seed=0)"):
        vector.step(vector.action_space.sample())


def test_every_row_needs_a_look() -> None:
    vector = GlimpseVectorWrapper(_vector(), SENSOR)
    vector.reset(seed=0)
    with refused("`look` must be numbers of shape (3, 2), got float64 of shape (2,): give"):
        vector.step({"action": np.ones(ROWS, dtype=np.int64), "look": np.zeros(2)})


def test_a_vector_of_others() -> None:
    wrappers = pytest.importorskip("minigrid.wrappers")

    def make() -> gymnasium.Env[Any, Any]:
        return wrappers.RGBImgObsWrapper(  # type: ignore[no-any-return]
            gymnasium.make("MiniGrid-Empty-Random-5x5-v0")
        )

    vector = GlimpseVectorWrapper(SyncVectorEnv([make, make]), SENSOR, key="image", actions="flat")
    single = GlimpseWrapper(make(), SENSOR, key="image", actions="flat")
    seen, wanted = vector.reset(seed=1)[0], single.reset(seed=2)[0]
    for _ in range(3):
        for name in ("glimpse", "location", "direction"):
            np.testing.assert_array_equal(seen[name][1], wanted[name])
        action = single.action_space.sample()
        seen, wanted = vector.step(np.stack([action] * 2))[0], single.step(action)[0]
