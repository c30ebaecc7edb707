"""Locations on a grid: which cell is which, and that nothing else of the environment changes."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from expect import assert_alike, refused
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from lookers import make_agent, make_batch, make_eye
from numpy.typing import NDArray

from glimpse.agents import BeliefView
from glimpse.envs import GlimpseVectorEnv, on_grid

ROWS = 5
SIDES = [1, 2, 3, 4, 7]


class Listening(VectorEnv[Any, Any, Any]):
    """An environment that keeps the actions it was given."""

    def __init__(self, action: spaces.Space[Any], rows: int = ROWS) -> None:
        self.num_envs, self.given = rows, []
        self.single_observation_space = self.observation_space = spaces.Box(0, 1, (1,))
        self.single_action_space = action
        self.action_space = gymnasium.vector.utils.batch_space(action, rows)

    def step(self, actions: Any) -> Any:
        self.given.append(actions)
        return (np.zeros(1), *[np.zeros(self.num_envs)] * 3, {})


def _looks(side: int) -> NDArray[np.float32]:
    """Return where all the actions look, one a row."""
    heard = Listening(spaces.Box(-1, 1, (2,)), side * side)
    on_grid(heard, side).step(np.arange(side * side))
    locations: NDArray[np.float32] = heard.given[0]
    return locations


def test_two_by_two_in_numbers() -> None:
    assert _looks(2).tolist() == [[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize("side", SIDES)
def test_actions_are_the_centres_of_the_cells_row_by_row_from_the_top_left(side: int) -> None:
    """As many linspace borders, halved: y stays while x goes from left to right."""
    borders = np.linspace(-1, 1, side + 1)
    centres = (borders[1:] + borders[:-1]) / 2
    wanted = [[x, y] for y in centres for x in centres]
    locations = _looks(side)
    assert locations.dtype == np.float32
    np.testing.assert_allclose(locations, wanted, rtol=0, atol=1e-7)


@pytest.mark.parametrize("side", [1, 3, 7])
def test_an_odd_grid_has_the_centre(side: int) -> None:
    assert _looks(side)[side * side // 2].tolist() == [0, 0]


@pytest.mark.parametrize("side", SIDES)
def test_its_actions_are_discrete(side: int) -> None:
    env = on_grid(Listening(spaces.Box(-1, 1, (2,))), side)
    assert env.single_action_space == spaces.Discrete(side * side)
    assert env.action_space == spaces.MultiDiscrete([side * side] * ROWS)
    env.action_space.seed(0)
    env.step(env.action_space.sample())


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint8])
def test_any_whole_numbers_do(kind: type[np.integer[Any]]) -> None:
    heard = Listening(spaces.Box(-1, 1, (2,)))
    on_grid(heard, 2).step(np.array([3, 0, 1, 2, 3], kind))
    np.testing.assert_array_equal(heard.given[0], _looks(2)[[3, 0, 1, 2, 3]])


def _environment(kind: str) -> VectorEnv[Any, Any, Any]:
    if kind == "glimpses":
        return GlimpseVectorEnv(ROWS, autoreset_mode="SameStep", glimpses=3)
    eye = make_eye("agent")
    return BeliefView(make_batch(eye, ROWS), make_agent(eye=eye).model)


@pytest.mark.parametrize("kind", ["glimpses", "belief"])
def test_a_step_is_the_one_with_the_locations(kind: str) -> None:
    """With everything it tells, over the end of two episodes."""
    plain, env = _environment(kind), on_grid(_environment(kind), 3)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert env.num_envs == ROWS
    assert env.single_observation_space == plain.single_observation_space
    for got, wanted in zip(env.reset(seed=4), plain.reset(seed=4), strict=True):
        assert_alike(got, wanted)
    looks, ends = _looks(3), 0
    for time in range(9):
        actions = np.random.default_rng(time).integers(9, size=ROWS)
        results = env.step(actions), plain.step(looks[actions])
        for got, wanted in zip(*results, strict=True):
            assert_alike(got, wanted)
        ends += int(results[0][2].all())
    assert ends >= 2


@pytest.mark.parametrize(
    "action", [spaces.Box(-1, 1, (12,)), spaces.Box(-1, 1, (2, 1)), spaces.Discrete(2)]
)
def test_actions_that_are_no_locations_are_refused(action: spaces.Space[Any]) -> None:
    message = (
        f"actions must be locations, Box(2), to be laid on a grid, got {action}: choose an "
        'environment with predict="external"'
    )
    with refused(message):
        on_grid(Listening(action), 3)


def test_an_environment_that_judges_is_refused() -> None:
    with refused('choose an environment with predict="external"'):
        on_grid(GlimpseVectorEnv(2, predict="flat"), 3)


@pytest.mark.parametrize("side", [0, -1])
def test_a_grid_of_no_cells_is_refused(side: int) -> None:
    with refused(f"`side` must be a whole number from 1, got {side}: choose another"):
        on_grid(Listening(spaces.Box(-1, 1, (2,))), side)


@pytest.mark.plain
def test_a_grid_of_half_cells_is_refused() -> None:
    half: Any = 2.5
    with refused("`side` must be a whole number from 1, got 2.5: choose another"):
        on_grid(Listening(spaces.Box(-1, 1, (2,))), half)
