"""Actions by number, for agents that choose one of a few.

Convention:
    A grid of `side` x `side` cells divides [-1, 1] x [-1, 1] evenly; action i looks at the centre
    of cell i, counted row by row from the top left: of 2 x 2 cells, 0 is (-0.5, -0.5), 1 is
    (0.5, -0.5). With a stride these are moves, and of an odd number of cells a side the middle one
    stays. With several levels of zoom all cells of the finest come first, then those of the next;
    with stop the last number ends the episode.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks import check_count


@dataclass(frozen=True)
class Grid:
    """Which actions there are to choose from.

    Attributes:
        side: How many cells lie beside one another, and how many below.
        zoom: How many levels of zoom there are.
        stop: Whether one action ends the episode.
    """

    side: int
    zoom: int = 1
    stop: bool = False

    def __post_init__(self) -> None:
        """Refuse a grid without cells."""
        check_count(1, grid=self.side, zoom=self.zoom)

    @property
    def count(self) -> int:
        """How many actions there are."""
        return len(self._actions)

    def __call__(self, numbers: NDArray[Any]) -> NDArray[np.float32]:
        """Return the actions (B, a) of these numbers (B,), as an eye takes them.

        Raises:
            ValueError: One is that of no action, or they are no whole numbers along one axis.
        """
        numbers = np.asarray(numbers)
        whole = numbers.dtype.kind in "iu" and numbers.ndim == 1
        if not whole or not ((numbers >= 0) & (numbers < self.count)).all():
            raise ValueError(
                f"actions must be (B,) of whole numbers in [0, {self.count}), got {numbers.dtype} "
                f"of shape {numbers.shape} {numbers.ravel().tolist()[:8]}: name one for each row"
            )
        chosen: NDArray[np.float32] = self._actions[numbers]
        return chosen

    @cached_property
    def _actions(self) -> NDArray[np.float32]:
        """All actions: x, y and, where there is a choice, zoom and stop."""
        centres = (2 * np.arange(self.side) + 1) / self.side - 1
        levels = (2 * np.arange(self.zoom) + 1) / self.zoom - 1
        z, y, x = np.meshgrid(levels, centres, centres, indexing="ij")
        columns = [x.ravel(), y.ravel()]
        if self.zoom > 1:
            columns.append(z.ravel())
        if self.stop:
            columns = [np.append(column, 0) for column in columns]
            columns.append(np.append(-np.ones(z.size), 1))
        return np.stack(columns, axis=1).astype(np.float32)
