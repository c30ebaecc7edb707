"""The spaces of an environment, and what crosses them: numpy outside, torch inside."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from glimpse.batch import GlimpseBatch
from glimpse.feedback import FeedbackBatch
from glimpse.grid import Grid
from glimpse.tasks import answered

# A flat action's class scores lie in [-1, 1]. Ten times as large they are logits, so that one class
# can be 5e8 times as probable as another.
SCORE_SCALE = 10.0


def observation_space(core: GlimpseBatch) -> spaces.Dict:
    """Return the space of what one row sees."""
    eye, channels = core.eye, core.channels
    glimpse = (eye.sensor.scales, channels, eye.sensor.size, eye.sensor.size)
    parts: dict[str, spaces.Space[Any]] = {
        "glimpse": spaces.Box(0, 1, glimpse),
        "location": spaces.Box(-1, 1, (2,)),
        "step": spaces.Box(0, eye.glimpses, (1,)),
    }
    if eye.zoom > 1:
        parts["zoom"] = spaces.Box(0, eye.zoom - 1, (1,))
    if eye.context is not None:
        parts["context"] = spaces.Box(0, 1, (channels, eye.context, eye.context))
    return spaces.Dict(parts)


class Actions:
    """What one row does, and what that means to the engine.

    A look is a Box, or with a grid the number of one. An answer, where the environment judges, is
    flat beside it: scores in the same Box or, with a grid, the number of a class; or in a Dict:
    the scores as they are, logits.

    Args:
        core: The engine.
        grid: How many cells lie beside one another, and below; None: there is no grid.

    Attributes:
        space: Of one row's action.

    Raises:
        ValueError: A grid has no cells.
    """

    def __init__(self, core: GlimpseBatch, grid: int | None) -> None:
        self._core = core
        self._grid = None if grid is None else Grid(grid, core.eye.zoom, core.eye.stop)
        self._size, scores = core.eye.action_size, core.scores
        look: spaces.Space[Any] = spaces.Box(-1, 1, (self._size,))
        if self._grid is not None:
            look = spaces.Discrete(self._grid.count)
        self.space = look
        if core.predict == "dict":
            prediction = spaces.Box(-np.inf, np.inf, (scores,))
            self.space = spaces.Dict({"action": look, "prediction": prediction})
        elif core.predict == "flat" and self._grid is not None:
            self.space = spaces.MultiDiscrete([self._grid.count, scores])
        elif core.predict == "flat":
            self.space = spaces.Box(-1, 1, (self._size + scores,))

    def to_core(self, actions: Any, rows: int) -> tuple[Tensor, Tensor | None]:
        """Return the engine's actions (B, a) and the answers (B, n), if any.

        Args:
            actions: Of all rows, as the space has them.
            rows: How many those are.

        Raises:
            ValueError: The actions have another shape, or are no numbers.
        """
        core, answer = self._core, None
        if core.predict == "dict":
            check_parts(actions)
            answer = self._numbers(actions["prediction"], (rows, core.scores), "prediction")
            actions = actions["action"]
        elif core.predict == "flat" and self._grid is not None:
            numbers = self._numbers(actions, (rows, 2), "actions", whole=True)
            if not ((numbers[:, 1] >= 0) & (numbers[:, 1] < core.scores)).all():
                raise ValueError(
                    f"answers must be in [0, {core.scores}), got {numbers[:, 1].tolist()[:8]}: "
                    "name a class"
                )
            actions = numbers[:, 0]
            answer = 2 * SCORE_SCALE * np.eye(core.scores, dtype=np.float32)[numbers[:, 1]]
        elif core.predict == "flat":
            numbers = self._numbers(actions, (rows, self._size + core.scores), "actions")
            actions = numbers[:, : self._size]
            answer = SCORE_SCALE * numbers[:, self._size :].clip(-1, 1)
        if self._grid is not None:
            actions = self._grid(self._numbers(actions, (rows,), "actions", whole=True))
        look = torch.from_numpy(self._numbers(actions, (rows, self._size), "actions"))
        if answer is None:
            return look.to(core.device), None
        scores = torch.from_numpy(answer.astype(np.float32)).to(core.device)
        return look.to(core.device), answered(core.task).answers(scores)

    def _numbers(
        self, given: Any, wanted: tuple[int, ...], name: str, *, whole: bool = False
    ) -> NDArray[Any]:
        """Return numbers as an array of their own."""
        return numbers_of(given, wanted, name, self._meaning(name), whole=whole)

    def _meaning(self, name: str) -> str:
        if name == "prediction":
            return "the scores of an answer"
        size = self._size
        look = "one (x, y) pair" if size == 2 else f"{size} numbers, (x, y) first,"
        if self._grid is not None:
            look = f"one number below {self._grid.count}"
        if self._core.predict != "flat":
            return look
        return look + (" and the number of a class" if self._grid else " and one score a class")


def check_parts(actions: Any) -> None:
    """Refuse actions that are no dict of where to look and what to answer.

    Raises:
        ValueError: They are not.
    """
    if not isinstance(actions, Mapping) or set(actions) != {"action", "prediction"}:
        raise ValueError(
            "actions must be a dict of action and prediction, got "
            f"{type(actions).__name__}: give where to look, and the logits of an answer"
        )


def numbers_of(
    given: Any, wanted: tuple[int, ...], name: str, meaning: str, *, whole: bool = False
) -> NDArray[Any]:
    """Return numbers as an array of their own.

    Args:
        given: What should be that.
        wanted: Its shape.
        name: What it is called.
        meaning: What is wanted of each environment.
        whole: Whether they must be whole.

    Raises:
        ValueError: They are of another shape, or no numbers.
    """
    given = np.asarray(given)
    if given.shape != wanted or given.dtype.kind not in ("iu" if whole else "fiu"):
        numbers = "whole numbers" if whole else "numbers"
        raise ValueError(
            f"{name} must be {numbers} of shape {wanted}, got {given.dtype} of shape "
            f"{given.shape}: give {meaning} for each environment"
        )
    return np.array(given, dtype=np.int64 if whole else np.float32, order="C")


def check_indices(core: GlimpseBatch | FeedbackBatch, options: Mapping[str, Any] | None) -> None:
    """Refuse to show more or fewer images than the environment has rows; the engine itself may.

    Raises:
        ValueError: `options["indices"]` has another length.
    """
    indices = (options or {}).get("indices")
    groups = core.rows // core.copies
    if indices is not None and np.shape(indices) != (groups,):
        raise ValueError(
            f"`indices` must be ({groups},), got {np.shape(indices)}: "
            "name one image for each group of copies"
        )


def target_of(info: dict[str, Tensor]) -> int | NDArray[Any]:
    """Return the one row's target: a class, classes, or a place `(x, y)`."""
    target = info["target"][0]
    whole = target.ndim == 0 and not target.is_floating_point()
    return int(target) if whole else np.array(target.numpy(force=True))


def to_numpy(tensors: dict[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Return the same by name as arrays that share no memory with the tensors."""
    return {name: np.array(tensor.numpy(force=True)) for name, tensor in tensors.items()}
