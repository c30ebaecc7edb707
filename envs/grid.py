"""Locations on a grid, for agents that choose one of a few actions."""

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from gymnasium.wrappers.vector import TransformAction
from numpy.typing import NDArray

from glimpse.checks import check_count


def on_grid(env: VectorEnv[Any, Any, Any], side: int) -> VectorEnv[Any, Any, Any]:
    """Return the environment with actions `Discrete(side * side)` instead of locations.

    Action i looks at the centre of a cell of the grid that divides [-1, 1] x [-1, 1] evenly, row by
    row from the top left: of 2 x 2 cells, 0 is (-0.5, -0.5) and 1 is (0.5, -0.5).

    Raises:
        ValueError: The environment is no vector environment, or its actions are no locations; or,
            at a step, an action names no cell.
    """
    check_count(1, side=side)
    if not isinstance(env, VectorEnv):
        raise ValueError(
            f"`env` must be a vector environment, got a {type(env).__name__}: make it with "
            "gymnasium.make_vec"
        )
    given = env.single_action_space
    if not (isinstance(given, spaces.Box) and given.shape == (2,)):
        raise ValueError(
            f"actions must be locations, Box(2), to be laid on a grid, got {given}: choose an "
            'environment with predict="external"'
        )

    def locations(actions: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        if np.shape(actions) != (env.num_envs,):
            raise ValueError(
                f"actions must be ({env.num_envs},), got {np.shape(actions)}: name a cell for each "
                "environment"
            )
        return cell_centres(actions, side)

    return TransformAction(env, locations, single_action_space=spaces.Discrete(side * side))


def cell_centres(actions: NDArray[np.integer[Any]], side: int) -> NDArray[np.float32]:
    """Return the locations (B, 2) that such actions (B,) look at.

    Raises:
        ValueError: An action names no cell.
    """
    actions = np.asarray(actions)
    if actions.dtype.kind not in "iu" or not ((actions >= 0) & (actions < side**2)).all():
        raise ValueError(
            f"actions must be whole numbers in [0, {side**2}), got {actions.dtype} "
            f"{actions.tolist()[:8]}: name cells of the grid"
        )
    rows, columns = np.divmod(actions, side)
    return ((2 * np.stack([columns, rows], axis=1) + 1) / side - 1).astype(np.float32)
