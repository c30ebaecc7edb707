"""Any environment that shows images, through glimpses: against crops by hand, and with agents."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from expect import assert_alike, refused
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray
from shown import HEIGHT, WIDTH, Shown
from stable_baselines3 import PPO

from glimpse import GlimpseSensor
from glimpse.envs import GlimpseWrapper

SENSOR = GlimpseSensor(size=2, scales=2)


def _look(x: float, y: float, action: Any = 1) -> dict[str, Any]:
    return {"action": np.int64(action), "look": np.array([x, y], dtype=np.float32)}


def _crop(image: NDArray[np.uint8], x: int, y: int) -> NDArray[np.float32]:
    """Return the 2 pixels a side around the corner (x, y) between pixels; black beyond."""
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    return padded[y : y + 2, x : x + 2].transpose(2, 0, 1).astype(np.float32) / 255


def _coarse(image: NDArray[np.uint8], x: int, y: int) -> NDArray[np.float32]:
    """Return the means of 2 x 2 pixels of the 4 a side around the corner (x, y)."""
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))[y : y + 4, x : x + 4]
    return padded.reshape(2, 2, 2, 2, 3).mean(axis=(1, 3)).transpose(2, 0, 1) / 255


def _assert_sees(observation: dict[str, Any], image: NDArray[np.uint8], x: int, y: int) -> None:
    np.testing.assert_array_equal(observation["glimpse"][0], _crop(image, x, y))
    np.testing.assert_allclose(observation["glimpse"][1], _coarse(image, x, y), atol=1e-6)


# The locations, and the corner between pixels where each lies in an image 10 wide and 6 high.
@pytest.mark.parametrize(
    ("x", "y", "corner"),
    [
        (0, 0, (5, 3)),
        (-1, -1, (0, 0)),
        (1, 1, (10, 6)),
        (0.6, -1 / 3, (8, 2)),
        (-0.4, 2 / 3, (3, 5)),
        (7, -np.inf, (10, 0)),
    ],
)
def test_a_glimpse_is_the_crop_around_its_location(
    x: float, y: float, corner: tuple[int, int]
) -> None:
    inner = Shown()
    env = GlimpseWrapper(inner, SENSOR)
    first, info = env.reset(seed=3)
    _assert_sees(first, inner.image, 5, 3)
    assert info == {"steps": 0}
    np.testing.assert_array_equal(first["location"], [0, 0])
    seen, reward, over, truncated, info = env.step(_look(x, y, action=2))
    _assert_sees(seen, inner.image, *corner)
    np.testing.assert_array_equal(seen["location"], np.clip(np.float32([x, y]), -1, 1))
    assert (reward, over, truncated, info) == (2, False, False, {"steps": 1})
    assert set(seen) == {"glimpse", "location"}


def test_with_a_stride_the_eye_moves_by_pixels_and_stays_in_the_image() -> None:
    inner = Shown(length=99)
    env = GlimpseWrapper(inner, SENSOR, stride=2.0)
    env.reset(seed=0)
    for look, corner in (
        ((1, 0), (7, 3)),
        ((-0.5, 1), (6, 5)),
        ((0, 1), (6, 6)),  # the edge
        ((0, -1), (6, 4)),  # from there
        ((9, 0), (8, 4)),  # clipped
    ):
        seen, *_ = env.step(_look(*look))
        _assert_sees(seen, inner.image, *corner)
        np.testing.assert_allclose(
            seen["location"], [corner[0] / 5 - 1, corner[1] / 3 - 1], atol=1e-6
        )
    env.reset()
    _assert_sees(env.step(_look(0, 0))[0], inner.image, 5, 3)


@pytest.mark.parametrize("stride", [None, 2.0])
def test_reach_counts_pixels_on_both_axes(stride: float | None) -> None:
    inner = Shown(length=99)
    env = GlimpseWrapper(inner, SENSOR, reach=2.0, stride=stride)
    env.reset(seed=0)
    for look, corner in (((1, -1), (7, 1)), ((1, -1), (7, 1)), ((-1, 0), (3, 3))):
        seen, *_ = env.step(_look(*look))
        if stride is not None and look[0] == -1:
            corner = (5, 1)  # two pixels to the left of where it was
        _assert_sees(seen, inner.image, *corner)
        np.testing.assert_array_equal(seen["location"], [corner[0] / 2 - 2.5, corner[1] / 2 - 1.5])


def test_the_context_is_the_whole_image_averaged() -> None:
    inner = Shown()
    seen, _ = GlimpseWrapper(inner, SENSOR, context=2).reset(seed=0)
    means = inner.image.reshape(2, 3, 2, 5, 3).mean(axis=(1, 3)).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(seen["context"], means, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_a_mask_leaves_what_the_windows_show(dtype: Any) -> None:
    inner = Shown(dtype=dtype)
    env = GlimpseWrapper(inner, SENSOR, view="mask")
    env.reset(seed=0)
    seen, *_ = env.step(_look(0.8, -1))
    wanted = np.zeros((HEIGHT, WIDTH, 3))
    white = 255 if dtype == np.uint8 else 1
    # Around (9, 0): of the coarse window's 2 x 2 means only the lower two lie in the image.
    padded = np.pad(inner.image / white, ((0, 0), (0, 1), (0, 0)))
    wanted[0:2, 7:9] = padded[0:2, 7:9].mean(axis=(0, 1))
    wanted[0:2, 9:10] = padded[0:2, 9:11].mean(axis=(0, 1))
    wanted[0:1, 8:10] = inner.image[0:1, 8:10] / white
    assert set(seen) == {"image", "location"}
    assert seen["image"].dtype == dtype
    np.testing.assert_allclose(seen["image"] / white, wanted, atol=0.5 / 255 + 1e-6)
    assert env.observation_space["image"] == inner.observation_space


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (3, HEIGHT, WIDTH), (HEIGHT, WIDTH, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("view", ["glimpse", "mask"])
@pytest.mark.parametrize("actions", ["dict", "flat"])
def test_gymnasium_accepts_every_form(
    shape: tuple[int, ...], dtype: Any, view: Any, actions: Any
) -> None:
    options = dict(shape=shape, dtype=dtype, key="picture")
    inner = gymnasium.make(EnvSpec("Shown-v0", entry_point=Shown, kwargs=options))
    env = GlimpseWrapper(
        inner, SENSOR, key="picture", view=view, context=3, first="random", actions=actions
    )
    check_env(env)
    assert env.spec is not None
    assert_alike(gymnasium.make(env.spec).reset(seed=5)[0], env.reset(seed=5)[0])


def test_other_keys_stay() -> None:
    inner = Shown(key="picture")
    env = GlimpseWrapper(inner, SENSOR, key="picture")
    env.reset(seed=0)
    seen, *_ = env.step(_look(0, 0))
    assert set(seen) == {"glimpse", "location", "step"}
    np.testing.assert_array_equal(seen["step"], [1])
    assert env.observation_space["step"] == inner.observation_space["step"]


@pytest.mark.parametrize("key", [None, "picture"])
def test_what_is_rendered_can_be_looked_at(key: str | None) -> None:
    inner = Shown(key=key, render_mode="rgb_array")
    env = GlimpseWrapper(inner, SENSOR, image="render")
    env.reset(seed=0)
    seen, *_ = env.step(_look(0.6, -1 / 3))
    _assert_sees(seen, inner.image, 8, 2)
    assert set(seen) == {"glimpse", "location"} | ({"picture", "step"} if key else {"observation"})
    assert env.observation_space.contains(seen)


def test_random_beginnings_follow_the_seed_and_leave_the_environment_alone() -> None:
    inner, plain = Shown(), Shown()
    env = GlimpseWrapper(inner, SENSOR, first="random")
    begins = []
    for seed in (7, None, 7, None, 8):
        begins.append(tuple(env.reset(seed=seed)[0]["location"]))
        plain.reset(seed=seed)
        np.testing.assert_array_equal(inner.image, plain.image)
    assert begins[:2] == begins[2:4]
    assert len(set(begins)) == 3


def test_flat_actions_of_numbers_end_with_the_look() -> None:
    inner = Shown(actions=spaces.Box(-2, 3, (2,), np.float64))
    env = GlimpseWrapper(inner, SENSOR, actions="flat")
    assert env.action_space == spaces.Box(
        np.array([-2.0, -2, -1, -1]), np.array([3.0, 3, 1, 1]), dtype=np.float64
    )
    env.reset(seed=0)
    seen, *_ = env.step(np.array([1.5, -2, 0.6, -1]))
    np.testing.assert_array_equal(inner.taken, [[1.5, -2]])
    _assert_sees(seen, inner.image, 8, 0)


@pytest.mark.parametrize(
    ("own", "chosen", "taken"),
    [
        (spaces.Discrete(3, start=1), [2], 3),
        (spaces.MultiDiscrete([3, 2], start=[5, 0]), [2, 1], [7, 1]),
    ],
)
def test_flat_actions_of_choices_end_with_a_cell(
    own: spaces.Space[Any], chosen: list[int], taken: Any
) -> None:
    inner = Shown(actions=own)
    env = GlimpseWrapper(inner, SENSOR, actions="flat", grid=5)
    counts = [3] if len(chosen) == 1 else [3, 2]
    assert env.action_space == spaces.MultiDiscrete([*counts, 5, 5])
    env.reset(seed=0)
    seen, *_ = env.step(np.array([*chosen, 4, 2]))  # the last column, the middle row
    np.testing.assert_array_equal(inner.taken[0], taken)
    np.testing.assert_allclose(seen["location"], [0.8, 0], atol=1e-6)
    _assert_sees(seen, inner.image, 9, 3)


def test_a_picture_shows_the_windows_on_the_image() -> None:
    inner = Shown(render_mode="rgb_array")
    env = GlimpseWrapper(inner, SENSOR)
    with refused("`reset` must come first, got no image to show: call reset(seed=0)"):
        env.render()
    env.reset(seed=0)
    before = env.render()
    assert before.dtype == np.uint8
    assert before.shape[0] / before.shape[1] == HEIGHT / WIDTH
    env.step(_look(1, 1))
    assert (env.render() != before).any()
    assert GlimpseWrapper(Shown(render_mode="ansi"), SENSOR).render() == "text"


def test_the_environment_may_write_where_it_wrote_before() -> None:
    inner = Shown(render_mode="rgb_array")
    env = GlimpseWrapper(inner, SENSOR, image="render")
    seen, _ = env.reset(seed=0)
    glimpse, picture = seen["glimpse"].copy(), env.render()
    inner.image[:] = 0
    np.testing.assert_array_equal(seen["glimpse"], glimpse)
    np.testing.assert_array_equal(env.render(), picture)


@pytest.mark.plain
def test_only_a_single_environment_is_wrapped() -> None:
    vector: Any = gymnasium.vector.SyncVectorEnv([Shown])
    with refused(
        "`env` must be a gymnasium.Env, got a SyncVectorEnv: of a vector of them use "
        "GlimpseVectorWrapper"
    ):
        GlimpseWrapper(vector, SENSOR)


@pytest.mark.plain
@pytest.mark.parametrize(
    ("name", "value", "known"),
    [
        ("image", "frame", "observation, render"),
        ("view", "hole", "glimpse, mask"),
        ("first", "left", "centre, random"),
        ("actions", "tuple", "dict, flat"),
        ("channels", "middle", "first, last"),
    ],
)
def test_an_unknown_choice_lists_the_known(name: str, value: str, known: str) -> None:
    options: Any = {name: value}
    with refused(f"`{name}` must be one of {known}, got '{value}': choose one"):
        GlimpseWrapper(Shown(), SENSOR, **options)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        (None, "`render_mode` must be 'rgb_array' to look at what is rendered, got None: make"),
        ("ansi", "`render_mode` must be 'rgb_array' to look at what is rendered, got 'ansi': make"),
    ],
)
def test_only_arrays_that_are_rendered_are_looked_at(mode: str | None, message: str) -> None:
    with refused(message):
        GlimpseWrapper(Shown(render_mode=mode), SENSOR, image="render")


@pytest.mark.parametrize(("picture", "got"), [(None, "NoneType"), (np.zeros((4, 4)), "float64")])
def test_what_is_rendered_must_be_bytes(
    picture: Any, got: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shown, "render", lambda self: picture)
    with refused(f"`env.render()` must return an array of uint8, got {got}: look at the"):
        GlimpseWrapper(Shown(render_mode="rgb_array"), SENSOR, image="render")


def test_a_step_needs_a_beginning() -> None:
    with refused("`reset` must come before `step`, got a step: call reset(seed=0)"):
        GlimpseWrapper(Shown(), SENSOR).step(_look(0, 0))


def test_a_wrong_action_changes_nothing() -> None:
    inner = Shown()
    env = GlimpseWrapper(inner, SENSOR)
    env.reset(seed=0)
    with refused("where to look must be numbers, got [nan, 0.0]: look for a division by zero"):
        env.step(_look(np.nan, 0))
    assert inner.taken == []
    _assert_sees(env.step(_look(0, 0))[0], inner.image, 5, 3)


def test_an_image_that_is_not_what_the_space_said() -> None:
    inner = Shown()
    env = GlimpseWrapper(inner, SENSOR)
    inner.image_space = spaces.Box(0, 255, (4, 4, 3), np.uint8)
    with refused("images must be uint8 of shape (6, 10, 3) like the first, got uint8 of shape (4,"):
        env.reset(seed=0)


@pytest.mark.parametrize(
    "own", [spaces.Discrete(3), spaces.Box(-1, 1, (2,), np.float32)], ids=["choices", "numbers"]
)
def test_stable_baselines3_learns_on_flat_actions(own: spaces.Space[Any]) -> None:
    env = GlimpseWrapper(
        Shown(actions=own, key="picture"), SENSOR, key="picture", context=3, actions="flat"
    )
    PPO("MultiInputPolicy", env, n_steps=8, batch_size=8, n_epochs=1, device="cpu").learn(16)


def _minigrid(render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    wrappers = pytest.importorskip("minigrid.wrappers")
    env = gymnasium.make("MiniGrid-Empty-5x5-v0", render_mode=render_mode)
    return wrappers.RGBImgObsWrapper(env)  # type: ignore[no-any-return]


def _pong() -> gymnasium.Env[Any, Any]:
    gymnasium.register_envs(pytest.importorskip("ale_py"))
    return gymnasium.make("ALE/Pong-v5")


@pytest.mark.parametrize(
    ("make", "key", "image"), [(_minigrid, "image", (40, 40, 3)), (_pong, None, (210, 160, 3))]
)
def test_environments_of_others(
    make: Callable[[], gymnasium.Env[Any, Any]], key: str | None, image: tuple[int, ...]
) -> None:
    inner, env = make(), GlimpseWrapper(make(), GlimpseSensor(size=8, scales=3), key=key)
    whole, _ = inner.reset(seed=1)
    seen, _ = env.reset(seed=1)
    for action in (2, 2, 0, 1):
        shown = np.asarray(whole if key is None else whole[key])
        assert shown.shape == image
        y, x = (length // 2 - 4 for length in image[:2])
        crop = shown[y : y + 8, x : x + 8].transpose(2, 0, 1) / np.float32(255)
        np.testing.assert_array_equal(seen["glimpse"][0], crop)
        assert env.observation_space.contains(seen)
        (whole, reward, *ends, _), (seen, *rest) = inner.step(action), env.step(_look(0, 0, action))
        assert rest[:3] == [reward, *ends]
    for each in (inner, env):
        each.close()
