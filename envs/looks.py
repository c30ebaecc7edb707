"""Actions of an environment together with where to look: one space, and its parts again.

Convention:
    A look is `(x, y)` in [-1, 1]: a location, or a move in units of the stride. On a grid of n
    cells a side, cell `(column, row)` counts from the top left and is the look at its centre: of 5
    cells they lie at -0.8, -0.4, 0, 0.4, 0.8 (`glimpse.grid`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse.grid import Grid

Array = NDArray[Any]


@runtime_checkable
class Joined(Protocol):
    """A space of actions that also say where to look."""

    @property
    def space(self) -> spaces.Space[Any]:
        """What one environment takes."""
        ...

    def split(self, action: Any, lead: tuple[int, ...]) -> tuple[Any, Array]:
        """Return the environment's own action and the look, `(*lead, 2)` float32.

        `lead` is () for one action and (B,) for a batch.

        Raises:
            ValueError: The action has another form or shape, or its look is NaN.
        """
        ...


def join(own: spaces.Space[Any], form: str, grid: int) -> Joined:
    """Return the space of an environment's own actions together with looks.

    Args:
        own: The environment's.
        form: `dict`, or `flat` for one array.
        grid: How many cells a side there are, where a flat action is one of whole numbers.

    Raises:
        ValueError: The environment's actions cannot be laid beside numbers.
    """
    if form == "dict":
        return DictLooks(own)
    if isinstance(own, spaces.Box) and len(own.shape) == 1 and own.dtype.kind == "f":
        return BoxLooks(own)
    if isinstance(own, spaces.Discrete):
        return GridLooks(own, np.array([own.n]), np.array([own.start]), grid)
    if isinstance(own, spaces.MultiDiscrete) and len(own.shape) == 1:
        return GridLooks(own, own.nvec, own.start, grid)
    raise ValueError(
        "the environment's actions must be Discrete, MultiDiscrete or a Box of floats, of one "
        f'axis, to be flat, got {own}: use actions="dict"'
    )


@dataclass(frozen=True)
class DictLooks:
    """`{"action": the environment's own, "look": (x, y)}`."""

    own: spaces.Space[Any]

    @property
    def space(self) -> spaces.Dict:
        """What one environment takes."""
        return spaces.Dict({"action": self.own, "look": look_space()})

    def split(self, action: Any, lead: tuple[int, ...]) -> tuple[Any, Array]:
        """Return both parts."""
        if not isinstance(action, Mapping) or set(action) != {"action", "look"}:
            got = (
                f"keys {', '.join(map(str, action))}"
                if isinstance(action, Mapping)
                else repr(action)
            )
            raise ValueError(
                "actions must be a dict of `action` and `look`, got "
                f'{got}: use {{"action": ..., "look": (x, y)}}'
            )
        look = action["look"]
        return action["action"], _numeric(_numbers("`look`", look, (*lead, 2), "fiu"))


@dataclass(frozen=True)
class BoxLooks:
    """The numbers of the environment's own action, then x and y."""

    own: spaces.Box

    @property
    def space(self) -> spaces.Box:
        """What one environment takes."""
        low = np.concatenate([self.own.low, [-1, -1]])
        high = np.concatenate([self.own.high, [1, 1]])
        dtype: Any = self.own.dtype.type
        return spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype)

    def split(self, action: Any, lead: tuple[int, ...]) -> tuple[Any, Array]:
        """Return both parts."""
        action = _numbers("actions", action, (*lead, self.own.shape[0] + 2), "fiu")
        return action[..., :-2].astype(self.own.dtype), _numeric(action[..., -2:])


@dataclass(frozen=True)
class GridLooks:
    """The whole numbers of the environment's own action, then the column and row of a cell.

    Attributes:
        own: `Discrete` or `MultiDiscrete`.
        counts: How many values each of its numbers has.
        start: The least value of each.
        grid: How many cells a side there are.
    """

    own: spaces.Discrete | spaces.MultiDiscrete
    counts: Array
    start: Array
    grid: int

    @property
    def space(self) -> spaces.MultiDiscrete:
        """What one environment takes; every number counts from 0."""
        return spaces.MultiDiscrete([*self.counts.tolist(), self.grid, self.grid])

    def split(self, action: Any, lead: tuple[int, ...]) -> tuple[Any, Array]:
        """Return both parts."""
        counts = np.array([*self.counts, self.grid, self.grid])
        action = _numbers("actions", action, (*lead, len(counts)), "iu")
        if not ((action >= 0) & (action < counts)).all():
            raise ValueError(
                f"actions must be whole numbers from 0 and below {counts.tolist()}, got "
                f"{action.tolist()}: name what there is"
            )
        own = (action[..., :-2] + self.start).astype(self.own.dtype)
        if isinstance(self.own, spaces.Discrete):
            own = own[..., 0][()]  # one action is a number, not an array of no axes
        column, row = action[..., -2].ravel(), action[..., -1].ravel()
        return own, Grid(self.grid)(row * self.grid + column).reshape(*lead, 2)


def look_space() -> spaces.Box:
    """Return the space of where to look."""
    return spaces.Box(-1, 1, (2,))


def _numbers(name: str, given: Any, shape: tuple[int, ...], kinds: str) -> Array:
    try:
        array = np.asarray(given)
    except ValueError:  # rows of different lengths
        array = np.empty(0, dtype=np.object_)
    if array.shape != shape or array.dtype.kind not in kinds:
        what = "numbers" if "f" in kinds else "whole numbers"
        raise ValueError(
            f"{name} must be {what} of shape {shape}, got {array.dtype} of shape {array.shape}: "
            "give each action its own numbers, the look's two last"
        )
    return array


def _numeric(look: Array) -> Array:
    if np.isnan(look).any():
        raise ValueError(
            f"where to look must be numbers, got {look.tolist()}: look for a division by zero or a "
            "diverged network"
        )
    return look.astype(np.float32)
