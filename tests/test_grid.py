"""Actions by number: which cell is which, with zoom and stop, and that views and envs take them."""

import numpy as np
import pytest
from expect import refused
from gymnasium import spaces
from lookers import make_agent, make_batch, make_eye

from glimpse.agents import BeliefView
from glimpse.envs import GlimpseEnv, GlimpseVectorEnv
from glimpse.grid import Grid

SIDES = [1, 2, 3, 4, 7]


def test_two_by_two_in_numbers() -> None:
    wanted = [[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]]
    assert Grid(2)(np.arange(4)).tolist() == wanted


@pytest.mark.parametrize("side", SIDES)
def test_actions_are_the_centres_of_the_cells_row_by_row_from_the_top_left(side: int) -> None:
    """As many linspace borders, halved: y stays while x goes from left to right."""
    borders = np.linspace(-1, 1, side + 1)
    centres = (borders[1:] + borders[:-1]) / 2
    wanted = [[x, y] for y in centres for x in centres]
    actions = Grid(side)(np.arange(side * side))
    assert actions.dtype == np.float32
    np.testing.assert_allclose(actions, wanted, rtol=0, atol=1e-7)


def test_zoom_and_stop_follow() -> None:
    grid = Grid(2, zoom=3, stop=True)
    assert grid.count == 13
    actions = grid(np.arange(13))
    np.testing.assert_allclose(actions[:12, :2], np.tile(Grid(2)(np.arange(4)), (3, 1)))
    np.testing.assert_allclose(actions[:12, 2], np.repeat([-2 / 3, 0, 2 / 3], 4), atol=1e-7)
    assert (actions[:12, 3] < 0).all()
    assert actions[12].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("predict", ["external", "flat", "dict"])
def test_an_environment_with_a_grid_does_what_the_cells_say(predict: str) -> None:
    plain = GlimpseVectorEnv(3, glimpses=4, predict=predict)
    env = GlimpseVectorEnv(3, glimpses=4, predict=predict, grid=3)
    for one in (plain, env):
        one.reset(seed=5)
    numbers = np.array([0, 4, 8])
    look = Grid(3)(numbers)
    scores = np.zeros((3, 10), dtype=np.float32)
    scores[:, 2] = 1
    given = {
        "external": (look, numbers),
        "flat": (
            np.concatenate([look, 2 * scores - 1], axis=1),
            np.stack([numbers, np.full(3, 2)], axis=1),
        ),
        "dict": (
            {"action": look, "prediction": scores},
            {"action": numbers, "prediction": scores},
        ),
    }[predict]
    wanted, got = plain.step(given[0]), env.step(given[1])
    for name, value in wanted[0].items():
        np.testing.assert_array_equal(got[0][name], value)
    np.testing.assert_allclose(got[1], wanted[1], atol=1e-6)


def test_the_spaces() -> None:
    assert GlimpseEnv(grid=3).action_space == spaces.Discrete(9)
    assert GlimpseEnv(grid=3, zoom=2, stop=True).action_space == spaces.Discrete(19)
    assert GlimpseEnv(grid=2, predict="flat").action_space == spaces.MultiDiscrete([4, 10])
    batch = make_batch(make_eye())
    view = BeliefView(batch, make_agent(eye=batch.eye).model, grid=5)
    assert view.single_action_space == spaces.Discrete(25)


@pytest.mark.parametrize("numbers", [[4], [-1], [[0]], [0.5]])
def test_numbers_of_no_action_are_refused(numbers: list[float]) -> None:
    with refused("actions must be (B,) of whole numbers in [0, 4)"):
        Grid(2)(np.array(numbers))


def test_a_grid_without_cells_is_refused() -> None:
    with refused("`grid` must be a whole number from 1"):
        GlimpseEnv(grid=0)
