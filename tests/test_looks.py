"""Actions together with looks: the spaces, and both parts again."""

from typing import Any

import numpy as np
import pytest
from expect import refused
from gymnasium import spaces
from gymnasium.vector.utils import batch_space

from glimpse.envs.looks import join

BOX = spaces.Box(-2, 3, (2,))


def test_a_dict_holds_any_action_beside_the_look() -> None:
    own = spaces.Tuple([spaces.Discrete(2), spaces.Text(3)])
    joined = join(own, "dict", 5)
    assert joined.space == spaces.Dict({"action": own, "look": spaces.Box(-1, 1, (2,))})
    action, look = joined.split({"action": (1, "a"), "look": [0.5, -0.25]}, ())
    assert action == (1, "a")
    assert look.dtype == np.float32
    assert look.tolist() == [0.5, -0.25]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_box_gets_two_numbers_more(kind: Any) -> None:
    joined = join(spaces.Box(-2, 3, (2,), kind), "flat", 5)
    assert joined.space == spaces.Box(
        np.array([-2, -2, -1, -1], kind), np.array([3, 3, 1, 1], kind), dtype=kind
    )
    action, look = joined.split(np.array([[1, 2, 0.5, -0.5]] * 3), (3,))
    assert action.dtype == kind
    assert action.tolist() == [[1, 2]] * 3
    assert look.tolist() == [[0.5, -0.5]] * 3


def test_whole_numbers_get_the_column_and_row_of_a_cell() -> None:
    joined = join(spaces.Discrete(3, start=-1), "flat", 2)
    assert joined.space == spaces.MultiDiscrete([3, 2, 2])
    action, look = joined.split([2, 1, 0], ())
    assert action == 1  # it begins at -1
    assert spaces.Discrete(3, start=-1).contains(action)
    assert look.tolist() == [0.5, -0.5]
    action, look = joined.split(np.array([[0, 0, 1], [1, 1, 1]]), (2,))
    assert action.tolist() == [-1, 0]
    assert look.tolist() == [[-0.5, 0.5], [0.5, 0.5]]


def test_several_whole_numbers_stay_beside_the_cell() -> None:
    own = spaces.MultiDiscrete([2, 4], start=[0, 7])
    joined = join(own, "flat", 3)
    assert joined.space == spaces.MultiDiscrete([2, 4, 3, 3])
    action, look = joined.split([1, 2, 1, 2], ())
    assert action.tolist() == [1, 9]
    assert own.contains(action)
    np.testing.assert_allclose(look, [0, 2 / 3], rtol=1e-6)


@pytest.mark.parametrize(
    ("grid", "wanted"), [(5, [-0.8, -0.4, 0, 0.4, 0.8]), (2, [-0.5, 0.5]), (1, [0])]
)
def test_a_cell_is_the_look_at_its_centre(grid: int, wanted: list[float]) -> None:
    joined = join(spaces.Discrete(2), "flat", grid)
    for column, x in enumerate(wanted):
        for row, y in enumerate(wanted):
            look = joined.split([0, column, row], ())[1]
            assert look.dtype == np.float32
            np.testing.assert_allclose(look, [x, y], atol=1e-7)


@pytest.mark.parametrize("lead", [(), (4,)])
@pytest.mark.parametrize(
    ("own", "form"),
    [
        (spaces.Discrete(3, start=-1), "dict"),
        (BOX, "dict"),
        (BOX, "flat"),
        (spaces.Discrete(3, start=-1), "flat"),
        (spaces.MultiDiscrete([2, 4], start=[0, 7]), "flat"),
    ],
)
def test_the_parts_of_any_action_are_one_of_the_own_and_a_look(
    own: spaces.Space[Any], form: str, lead: tuple[int, ...]
) -> None:
    """What a space samples is split into what the environment's own space holds."""
    joined = join(own, form, 4)
    space, wanted = joined.space, own
    if lead:
        space, wanted = batch_space(space, *lead), batch_space(own, *lead)
    space.seed(0)
    for _ in range(20):
        action, look = joined.split(space.sample(), lead)
        assert wanted.contains(action)
        assert look.shape == (*lead, 2)
        assert (abs(look) <= 1).all()


@pytest.mark.parametrize(
    "own",
    [
        spaces.Box(0, 1, (2, 2)),
        spaces.Box(0, 9, (2,), np.int64),
        spaces.Dict({"a": BOX}),
        spaces.MultiDiscrete([[2, 2]]),
    ],
)
def test_what_cannot_be_flat_is_refused(own: spaces.Space[Any]) -> None:
    with refused("to be flat, got " + str(own) + ': use actions="dict"'):
        join(own, "flat", 5)


@pytest.mark.parametrize(
    ("action", "got"),
    [
        ({"action": 1}, "got keys action"),
        ({"action": 1, "look": [0, 0], "more": 1}, "got keys action, look, more"),
        (3, "got 3"),
    ],
)
def test_an_action_that_is_no_dict_of_both_is_refused(action: Any, got: str) -> None:
    with refused(f"actions must be a dict of `action` and `look`, {got}: use"):
        join(BOX, "dict", 5).split(action, ())


@pytest.mark.parametrize("look", [0.5, [0.5], [[0.5, 0.5]], [0, 0, 0], ["a", "b"], [True, False]])
def test_a_look_of_another_shape_is_refused(look: Any) -> None:
    with refused("`look` must be numbers of shape (2,), got "):
        join(BOX, "dict", 5).split({"action": [0, 0], "look": look}, ())


@pytest.mark.parametrize("action", [[0, 0], [[0, 0, 0, 0]], [[0], [0, 0]], "abcd"])
def test_a_flat_action_of_another_shape_is_refused(action: Any) -> None:
    with refused("actions must be numbers of shape (4,), got "):
        join(BOX, "flat", 5).split(action, ())
    with refused("actions must be whole numbers of shape (3,), got "):
        join(spaces.Discrete(4), "flat", 5).split(action, ())


def test_fractions_of_cells_are_refused() -> None:
    with refused("actions must be whole numbers of shape (3,), got float64 of shape (3,)"):
        join(spaces.Discrete(4), "flat", 5).split([0.0, 1.0, 2.0], ())


@pytest.mark.parametrize("action", [[4, 0, 0], [0, 5, 0], [0, 0, -1]])
def test_cells_that_are_not_there_are_refused(action: list[int]) -> None:
    message = f"actions must be whole numbers from 0 and below [4, 5, 5], got {action}"
    with refused(message):
        join(spaces.Discrete(4), "flat", 5).split(action, ())


@pytest.mark.parametrize("form", ["dict", "flat"])
def test_a_look_that_is_no_number_is_refused(form: str) -> None:
    action: Any = {"action": [0, 0], "look": [np.nan, 0]} if form == "dict" else [0, 0, np.nan, 0]
    with refused("where to look must be numbers, got [nan, 0.0]: look for a division by zero"):
        join(BOX, form, 5).split(action, ())
